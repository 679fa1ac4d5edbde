"""Writes a trace as Code World Model (Meta, 2025) reads and predicts it.

Format (the model's PROMPTING_GUIDE.md): a context whose entry point is marked
`<< START_OF_TRACE`, then frames, each an observation (the locals as JSON, every value a string)
and an action (the source line):

    <|call_sep|>LOCALS<|action_sep|>LINE<|frame_sep|>
    <|line_sep|>LOCALS<|action_sep|>LINE<|frame_sep|>
    <|return_sep|><|action_sep|>LINE<|arg_sep|>VALUE<|frame_sep|>
    <|exception_sep|><|action_sep|>LINE<|arg_sep|>VALUE<|frame_sep|>

Locals are those before the line runs; ".." stands for a value that has not changed since the
previous frame of the same scope. A `main` that makes the call is the entry point. The separators
are written as text. Left out, for they are no frames there: turns of comprehensions, and all but
the first of several statements on a line.
"""

import json
from collections.abc import Iterator, Mapping

from data_pipeline.tracing.events import Trace
from data_pipeline.tracing.replay import Moment, moments

_CONTEXT, _FRAME, _ACTION, _ARGUMENT = (
    f"<|{name}|>" for name in ("trace_context_start", "frame_sep", "action_sep", "arg_sep")
)
_UNCHANGED = ".."
_ENDS = {"return": "return", "yield": "return", "exception": "exception"}


def cwm_context(trace: Trace) -> str:
    """Returns the prompt: the program, a `main` that makes the call, and the first separator."""
    return f"{_CONTEXT}{trace.program.rstrip()}\n\n\n{''.join(_main(trace))}{_FRAME}"


def cwm_trace(trace: Trace) -> str:
    """Returns the frames that the model predicts after `cwm_context`.

    Ends in <|end_of_text|> unless the trace was cut.
    """
    header, call = _main(trace)
    frames = [_observation("call", {}, header), _observation("line", {}, call)]
    frames += _frames(trace)
    if trace.truncated is None:
        if trace.raised is None:
            frames.append(_ending("return", call, trace.result or "None"))
        else:
            frames.append(_ending("exception", call, str(trace.raised)))
        frames.append("<|end_of_text|>")
    return "".join(frames)


def _main(trace: Trace) -> tuple[str, str]:
    return "def main():  # << START_OF_TRACE\n", f"    return {trace.call}\n"


def _frames(trace: Trace) -> Iterator[str]:
    source = trace.program.split("\n")
    shown: dict[int, Mapping[str, str]] = {}  # scope -> the values of its previous frame
    for moment in moments(trace):
        event = moment.event
        line = source[event.line - 1] + "\n" if 0 < event.line <= len(source) else "\n"
        if event.kind in _ENDS:
            value = event.value if event.raised is None else str(event.raised)
            yield _ending(_ENDS[event.kind], line, value or "None")
        elif _is_frame(moment):
            seen = moment.before if event.kind == "line" else moment.after
            before = shown.get(event.frame, {})
            values = {
                name: _UNCHANGED if before.get(name) == value else value
                for name, value in seen.items()
            }
            shown[event.frame] = dict(seen)
            yield _observation("line" if event.kind == "line" else "call", values, line)


def _is_frame(moment: Moment) -> bool:
    event = moment.event
    return event.kind in ("call", "resume") or (event.kind == "line" and event.part == 0)


def _observation(kind: str, values: Mapping[str, str], line: str) -> str:
    return f"<|{kind}_sep|>{json.dumps(values)}{_ACTION}{line}{_FRAME}"


def _ending(kind: str, line: str, value: str) -> str:
    return f"<|{kind}_sep|>{_ACTION}{line}{_ARGUMENT}{json.dumps(value)}{_FRAME}"
