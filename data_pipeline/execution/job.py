"""Defines the jobs of the sandbox: one record for each way of running a program."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from data_pipeline.execution.guest.values import encode


@dataclass(frozen=True)
class Limits:
    """The limits of one run.

    cpu_seconds:  CPU time, by which a run is judged
    wall_seconds: wall time, which only stops runs that wait
    memory_bytes: address space beyond that of the interpreter
    output_bytes: size of stdout
    answer_bytes: size of the result (and its trace) as JSON
    """

    cpu_seconds: float = 2.0
    wall_seconds: float = 10.0
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 20
    answer_bytes: int = 16 << 20


@dataclass(frozen=True)
class TraceLimits:
    """The limits of a trace; see `trace_call`.

    max_lines:      steps
    max_bytes:      bytes of recorded locals
    max_characters: characters of a value's text
    ends_run:       end the run past max_lines or max_bytes, as Limit("steps") without a trace
    tells_ended:    with ends_run, return the trace of the steps until then
    """

    max_lines: int = 10_000
    max_bytes: int = 16 << 20
    max_characters: int = 1000
    ends_run: bool = False
    tells_ended: bool = False


@dataclass(frozen=True)
class Job:
    """One run of a program; subclasses define how to run it.

    twice:  run a second time, with other addresses, and compare the two results
    limits: None for those of the sandbox
    """

    mode: ClassVar[str]  # the worker's name for it

    program: str
    twice: bool = field(default=False, kw_only=True)
    limits: Limits | None = field(default=None, kw_only=True)

    def message(self) -> dict[str, Any]:
        """Returns the job's fields, without the mode, as the sample's process reads them."""
        return {"program": self.program}

    def request(self, perturb: int = 0) -> bytes:
        """Returns what the sample's process reads. perturb: changes the addresses of objects."""
        message = {"mode": self.mode, "perturb": perturb, **self.message()}
        return json.dumps(message).encode()


@dataclass(frozen=True)
class _TracedJob(Job):
    """A job that can be traced. trace: None for no trace."""

    trace: TraceLimits | None = field(default=None, kw_only=True)

    def message(self) -> dict[str, Any]:
        return {**super().message(), "trace": asdict(self.trace) if self.trace else None}


@dataclass(frozen=True)
class CallJob(_TracedJob):
    """Runs `call`, the text of a call with literal arguments: "f(3, key=[1])"."""

    mode = "call"

    call: str

    def message(self) -> dict[str, Any]:
        return {**super().message(), "call": self.call}


@dataclass(frozen=True)
class BatchJob(_TracedJob):
    """Makes calls of one program one after another in one process (`guest.batch`)."""

    mode = "batch"

    calls: tuple[str, ...]

    def message(self) -> dict[str, Any]:
        return {**super().message(), "calls": self.calls}


@dataclass(frozen=True)
class FunctionJob(_TracedJob):
    """Calls the function `name` with values."""

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
    """Evaluates an expression as code in the program's module."""

    mode = "evaluate"

    expression: str

    def message(self) -> dict[str, Any]:
        return {**super().message(), "expression": self.expression}


@dataclass(frozen=True)
class ScriptJob(Job):
    """Runs the program as a script (`__main__`) that reads `stdin`."""

    mode = "module"

    stdin: str


@dataclass(frozen=True)
class BodyJob(Job):
    """Runs a test's body and the program in separate processes.

    entry: the program's function that the body calls `candidate`.
    """

    mode = "test"

    test: str
    entry: str | None

    def request(self, perturb: int = 0) -> bytes:
        """Returns what the test's process reads; the program's process gets `message` alone."""
        return json.dumps({"body": self.test, "entry": self.entry}).encode()


@dataclass(frozen=True)
class SeriesJob(Job):
    """Calls the function `name` with one input after another in one process (`guest.series`).

    series: JSON of the list of inputs
    plain:  whether the inputs are themselves JSON values, not tagged trees
    timed:  whether to return the CPU time of each call
    """

    mode = "series"

    name: str
    series: str = field(repr=False)
    seconds: tuple[float, ...]
    collect: str | None
    timed: bool = False
    plain: bool = False

    def message(self) -> dict[str, Any]:
        return {
            **super().message(),
            "name": self.name,
            "seconds": self.seconds,
            "collect": self.collect,
            "timed": self.timed,
            "plain": self.plain,
        }

    def request(self, perturb: int = 0) -> bytes:
        """Returns what the sample's process reads; the inputs are JSON already."""
        return b'%s, "series": %s}' % (super().request(perturb)[:-1], self.series.encode())


def call_job(program: str, call: str, **options: Any) -> CallJob:
    """Makes a job for a call with literal arguments, such as "f(3, key=[1])"."""
    return CallJob(program, call, **options)


def function_job(program: str, name: str, *args: Any, **options: Any) -> FunctionJob:
    """Makes a job that calls the function `name` with values; pass its keywords as kwargs={...}."""
    return FunctionJob(program, name, args, **options)


def series_job(
    program: str,
    name: str,
    series: Sequence[Any] | str,
    seconds: Sequence[float],
    *,
    collect: str | None = None,
    timed: bool = False,
    plain: bool = False,
    **options: Any,
) -> SeriesJob:
    """Makes a job that calls the function `name` with one input after another in one process.

    series:  argument lists as tagged trees (`values.encode`), or their JSON
    seconds: CPU time limit of each call
    collect: see `guest.series.run`
    timed:   whether to return the CPU time of each call
    plain:   whether `series` has the argument lists as JSON has them, untagged
    """
    inputs = series if isinstance(series, str) else json.dumps(series)
    return SeriesJob(program, name, inputs, tuple(seconds), collect, timed, plain, **options)


def expression_job(program: str, expression: str, **options: Any) -> ExpressionJob:
    """Makes a job that evaluates an expression as code; never use it to score predictions."""
    return ExpressionJob(program, expression, **options)


def stdin_job(program: str, stdin: str = "", **options: Any) -> ScriptJob:
    """Makes a job that runs the program as a script (`__main__`); read its output from stdout."""
    return ScriptJob(program, stdin, **options)


def test_job(program: str, test: str, entry: str | None = None, **options: Any) -> BodyJob:
    """Makes a job that runs a test body and the program in separate processes.

    The body calls the program's functions by their names, and `entry` also as `candidate`. If it
    defines `check`, the job calls that with the entry point. The value None means that it passed.
    """
    return BodyJob(program, test, entry, **options)


test_job.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it
