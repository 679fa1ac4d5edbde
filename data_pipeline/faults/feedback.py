"""Writes the failed test of a prompt: the assertion, the end of the call, and the run as comments.

PyX-R records and self-refinement share this text, so that prompts match the training data.
"""

from data_pipeline.tracing import Trace
from data_pipeline.tracing.views import inline_trace

MAX_LINE = 600
"""Maximum characters of a line of the inlined run; longer comments are cut."""


def failed_test(test: str, trace: Trace, came: str | None = None) -> str:
    """Returns the "Failed Test" of a refine prompt.

    test: the assertion, such as "assert f(3) == 4"; must be a test that the model may see
    trace: of the *buggy* program on that test's call
    came: outcome of the test, in a line (None: how the call ended)
    """
    lines = inline_trace(trace).rstrip().split("\n")
    source = trace.program.split("\n")
    shown = [
        line if len(line) <= max(MAX_LINE, len(code)) else f"{line[: max(MAX_LINE, len(code))]} …"
        for line, code in zip(lines, [*source, *[""] * len(lines)], strict=False)
    ]
    return "\n".join([test, f"# {came or ending(trace)}", "", *shown])


def ending(trace: Trace) -> str:
    """Describes how the call ended, in a sentence without a period."""
    if trace.raised is not None:
        where = f" in line {trace.raised.line}" if trace.raised.line else ""
        return f"{trace.call} raises {_line(str(trace.raised))}{where}"
    if trace.result is None:
        return f"{trace.call} does not end: stopped after {trace.truncated}"
    return f"{trace.call} returns {_line(trace.result)}"


def _line(text: str) -> str:
    text = text.replace("\n", "\\n").replace("\r", "\\r")
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} …"
