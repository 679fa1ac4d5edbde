"""What can be run: one record for each way of running a program, with what it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from data_pipeline.execution.guest.values import encode


@dataclass(frozen=True)
class Limits:
    """Of one run. The wall limit only catches what waits: CPU time is what is judged by.

    cpu_seconds, wall_seconds; memory_bytes: of address space beyond the interpreter's own;
    output_bytes: of stdout; answer_bytes: of the result (and its trace) as JSON.
    """

    cpu_seconds: float = 2.0
    wall_seconds: float = 10.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 20
    answer_bytes: int = 16 << 20


@dataclass(frozen=True)
class TraceLimits:
    """Steps, bytes of recorded locals, and characters of a value's text, see `trace_call`.

    ends_run: past the first two the run itself ends, as Limit("steps"), and gives no trace;
    with tells_ended it gives the trace of what ran until then.
    """

    max_lines: int = 10_000
    max_bytes: int = 16 << 20
    max_characters: int = 1000
    ends_run: bool = False
    tells_ended: bool = False


@dataclass(frozen=True)
class Job:
    """One run of a program; its kinds say how it is run.

    twice: run a second time, with other addresses, and say whether it came to the same.
    limits: None for the sandbox's own.
    """

    mode: ClassVar[str]  # as the worker names it
    shares_process: ClassVar[bool] = False  # whether others may run in the same one before it

    program: str
    twice: bool = field(default=False, kw_only=True)
    limits: Limits | None = field(default=None, kw_only=True)

    def message(self) -> dict[str, Any]:
        """The job as the sandbox's worker reads it, beside its mode."""
        return {"program": self.program}


@dataclass(frozen=True)
class _TracedJob(Job):
    """trace: None for no trace."""

    shares_process = True

    trace: TraceLimits | None = field(default=None, kw_only=True)

    def message(self) -> dict[str, Any]:
        return {**super().message(), "trace": asdict(self.trace) if self.trace else None}


@dataclass(frozen=True)
class CallJob(_TracedJob):
    """`call`: the text of a call with literal arguments, "f(3, key=[1])"."""

    mode = "call"

    call: str

    def message(self) -> dict[str, Any]:
        return {**super().message(), "call": self.call}


@dataclass(frozen=True)
class FunctionJob(_TracedJob):
    """The function `name` on values."""

    mode = "call"

    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        return {
            **super().message(),
            "name": self.name,
            "args": [encode(value) for value in self.args],
            "kwargs": {name: encode(value) for name, value in self.kwargs.items()},
        }


@dataclass(frozen=True)
class ExpressionJob(_TracedJob):
    """An expression, run as code beside the program."""

    mode = "evaluate"

    expression: str

    def message(self) -> dict[str, Any]:
        return {**super().message(), "expression": self.expression}


@dataclass(frozen=True)
class ScriptJob(Job):
    """The program as a script (`__main__`) that reads `stdin`."""

    mode = "module"

    stdin: str


@dataclass(frozen=True)
class BodyJob(Job):
    """A test's body against the program, each in a process of its own.

    entry: the program's function that the body knows as `candidate`.
    """

    mode = "test"

    test: str
    entry: str | None


@dataclass(frozen=True)
class SeriesJob(Job):
    """The function `name` on one input after another, in one process; see `guest.series`."""

    mode = "series"

    name: str
    series: tuple[Any, ...]
    seconds: tuple[float, ...]
    collect: str | None

    def message(self) -> dict[str, Any]:
        return {
            **super().message(),
            "name": self.name,
            "series": self.series,
            "seconds": self.seconds,
            "collect": self.collect,
        }


def call_job(program: str, call: str, **options: Any) -> CallJob:
    """`call` in the text of a call with literal arguments: "f(3, key=[1])"."""
    return CallJob(program, call, **options)


def function_job(program: str, name: str, *args: Any, **options: Any) -> FunctionJob:
    """The function `name` on values; keyword arguments of it go in as kwargs={...}."""
    return FunctionJob(program, name, args, **options)


def series_job(
    program: str,
    name: str,
    series: Sequence[Any],
    seconds: Sequence[float],
    *,
    collect: str | None = None,
    **options: Any,
) -> SeriesJob:
    """The function `name` on one input after another, in one process; see `guest.series`.

    series: argument lists as tagged trees (`values.encode`); seconds: CPU time each may take.
    """
    return SeriesJob(program, name, tuple(series), tuple(seconds), collect, **options)


def expression_job(program: str, expression: str, **options: Any) -> ExpressionJob:
    """Any expression, run as code beside the program: only what is no prediction to be scored."""
    return ExpressionJob(program, expression, **options)


def stdin_job(program: str, stdin: str = "", **options: Any) -> ScriptJob:
    """The program as a script (`__main__`) that reads `stdin`; what counts is its stdout."""
    return ScriptJob(program, stdin, **options)


def test_job(program: str, test: str, entry: str | None = None, **options: Any) -> BodyJob:
    """A test body against the program, each in a process of its own.

    In the body the program's functions are known by their names, and `entry` as `candidate`; if
    it defines `check`, that is called with the entry point. The value None means that it passed.
    """
    return BodyJob(program, test, entry, **options)


test_job.__test__ = False  # type: ignore[attr-defined]  # pytest takes it for a test
