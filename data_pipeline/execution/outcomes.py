"""Defines the outcomes of a run. Records are frozen and hold no objects of the program."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from data_pipeline.execution.guest.values import decode, has_opaque
from data_pipeline.tracing.events import Raised, Trace


@dataclass(frozen=True)
class Value:
    """A returned value, as the tagged tree of `values`."""

    tree: Any

    @property
    def exact(self) -> bool:
        """Whether the tree contains no opaque value and no cycle."""
        return not has_opaque(self.tree)

    def python(self) -> Any:
        """Decodes the value. Raises `values.Malformed` if its keys were chosen to collide."""
        return decode(self.tree)


@dataclass(frozen=True)
class Limit:
    """The program passed a limit. kind: "cpu", "wall", "memory", "output", "steps" (of a trace)."""

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Died:
    """The process ended without a result: by a signal, os._exit, or a forged message."""

    reason: str


@dataclass(frozen=True)
class BadInput:
    """The job could not be run. reason: "syntax", "entry", "literal" or "arity".

    line: line of a syntax error in the program.
    """

    reason: str
    message: str
    line: int | None = None


Outcome = Value | Raised | Limit | Died | BadInput

_NAMES: dict[type, str] = {
    Value: "value",
    Raised: "exception",
    Limit: "limit",
    Died: "died",
    BadInput: "bad_input",
}


@dataclass(frozen=True)
class Result:
    """The result of one run.

    stdout:          the program's output, up to the output limit
    tier:            "A", "B" or "C", see `tiers`
    cpu_seconds:     user and system time of the sample's process
    wall_seconds:    measured by the worker
    peak_bytes:      peak resident memory of the process
    deterministic:   whether a second run had the same outcome and output; None without one
    trace:           None unless requested
    tries:           number of workers used (2: the first was killed)

    Time and memory are those of the process, which `Sandbox.run_calls` shares among calls.
    """

    outcome: Outcome
    stdout: str = ""
    tier: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    deterministic: bool | None = None
    trace: Trace | None = field(default=None, repr=False)
    tries: int = 1

    @property
    def kind(self) -> str:
        """ "value", "exception", "limit", "died" or "bad_input"."""
        return _NAMES[type(self.outcome)]

    def to_json(self) -> Mapping[str, Any]:
        """Returns a JSON object: `kind`, the outcome under its kind, and the measurements."""
        row: dict[str, Any] = {"kind": self.kind}
        if isinstance(self.outcome, Value):
            row["value"] = self.outcome.tree
            row["text"] = value_text(self.outcome)
        else:
            row[self.kind] = asdict(self.outcome)
        row |= {
            "stdout": self.stdout,
            "tier": self.tier,
            "cpu_seconds": round(self.cpu_seconds, 6),
            "wall_seconds": round(self.wall_seconds, 6),
            "peak_bytes": self.peak_bytes,
        }
        if self.deterministic is not None:
            row["deterministic"] = self.deterministic
        return row


def value_text(value: Value) -> str:
    """Renders the value as Python text, with opaque parts as `<Type>`."""
    from data_pipeline.tracing.rendering import render

    try:
        return render(value.python(), 10_000)
    except ValueError as error:
        return f"<{error}>"


def describe_missing_trace(result: Result) -> str | None:
    """Returns in one line why a traced run has no whole trace; None if it has one."""
    match result.outcome:
        case BadInput(message=message):
            return message.splitlines()[0]
        case Limit(kind=kind):
            return f"the run was stopped: {kind} limit"
        case Died(reason=reason):
            return f"the run died: {reason}"
        case Raised() as raised if result.trace is None:
            return describe_early_end(raised)
    return None if result.trace is not None else "the run left no trace"


def describe_unreached_call(trace: Trace) -> str | None:
    """Returns in one line which exception ended a program before the traced call; None if none."""
    if trace.raised is None or trace.raised.line is None or trace.events:
        return None
    return describe_early_end(trace.raised)


def describe_early_end(raised: Raised) -> str:
    """Returns in one line which exception ended a program outside the traced call.

    A statement of its module raised it, or it ends the process (SystemExit).
    """
    place = "the program" if raised.line is None else f"line {raised.line}"
    alone = raised.type == "ImportError" and "relative import" in raised.message
    hint = "; a program is run by itself, outside its package" if alone else ""
    return " ".join(f"no trace: {place} raises {raised}{hint}".split())
