"""Runs the user's programs in the sandbox, and lays their steps out for the page."""

import dataclasses
from typing import Any

from data_pipeline.execution.outcomes import BadInput, Died, Limit, Result
from data_pipeline.execution.service import Limits, Sandbox, TraceLimits, call_job
from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.events import Raised
from semcoder_jax.demo.requests import DemoError

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=5.0, memory_bytes=256 << 20, output_bytes=64 << 10)
TRACE = TraceLimits(max_lines=10_000, max_bytes=4 << 20, ends_run=True, tells_ended=True)
MAX_STEPS = 400  # shown: the first three quarters and the last
MAX_VALUE = 160  # characters shown of a value
MAX_PRINTED = 2_000  # characters shown of what the program prints


@dataclasses.dataclass(frozen=True)
class Run:
    """A traced run.

    Attributes:
      trace: its steps; those until it was stopped, if it was.
      printed: what the program wrote to stdout.
      stopped: why the run was stopped, in one line; None if it ended by itself.
    """

    trace: Trace
    printed: str
    stopped: str | None


def trace_call(sandbox: Sandbox, program: str, call: str) -> Run:
    """Traces a call. Raises DemoError, with one line, if it cannot be run or leaves no trace."""
    result = sandbox.run(call_job(program.rstrip("\n"), call.strip(), trace=TRACE, limits=LIMITS))
    problem = describe_problem(result)
    if result.trace is None:
        raised = f"the run raises {result.outcome}" if isinstance(result.outcome, Raised) else ""
        raise DemoError(problem or _cut(raised, MAX_VALUE) or "the run left no trace")
    return Run(result.trace, result.stdout, problem)


def describe_problem(result: Result) -> str | None:
    """Returns in one line why a run is not whole; None for a value or an exception."""
    match result.outcome:
        case BadInput(message=message):
            return message.splitlines()[0][:300]
        case Limit(kind=kind):
            return _STOPPED.get(kind, f"the run was stopped: {kind} limit")
        case Died():
            return "the run ended its own process"
    return None


_STOPPED = {
    "cpu": f"stopped after {LIMITS.cpu_seconds:g} s of computing: does the program end?",
    "wall": f"stopped after waiting for {LIMITS.wall_seconds:g} s",
    "memory": f"stopped: the run needs more than {LIMITS.memory_bytes >> 20} MiB",
    "output": f"stopped: the program prints more than {LIMITS.output_bytes >> 10} KiB",
    "steps": f"stopped after {TRACE.max_lines:,} steps: does the program end?",
}


def run_event(run: Run) -> dict[str, Any]:
    """Returns a run as the page draws it."""
    events = run.trace.events
    head = MAX_STEPS * 3 // 4
    omitted = max(0, len(events) - MAX_STEPS)
    shown = [*events[:head], *events[head + omitted :]]
    source = run.trace.program.split("\n")
    return {
        "event": "run",
        "call": run.trace.call,
        "steps": [_step(event, source) for event in shown],
        "omitted": {"after": head, "count": omitted} if omitted else None,
        "outcome": run.stopped or _outcome(run.trace),
        "returned": run.stopped is None and run.trace.raised is None,
        "printed": _cut(run.printed, MAX_PRINTED),
    }


def _outcome(trace: Trace) -> str:
    if trace.raised is not None:
        return f"raises {_cut(str(trace.raised), MAX_VALUE)}"
    return f"returns {_cut(trace.result or '', MAX_VALUE)}"


def _step(event: Event, source: list[str]) -> dict[str, Any]:
    """Returns a step; `label` is the line as monologues count it."""
    code = source[event.line - 1] if 0 < event.line <= len(source) else ""
    return {
        "kind": event.kind,
        "label": event.line + FIRST_LABEL - 1,
        "depth": event.depth,
        "code": _cut(code.rstrip(), MAX_VALUE),
        "function": event.function,
        "changed": [[name, _cut(text, MAX_VALUE)] for name, text in event.changed.items()],
        "gone": list(event.gone),
        "value": None if event.value is None else _cut(event.value, MAX_VALUE),
        "raised": None if event.raised is None else _cut(str(event.raised), MAX_VALUE),
        "branch": event.branch,
        "turn": event.iteration,
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… {len(text) - most:,} more characters"
