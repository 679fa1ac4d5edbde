"""Runs jobs on a pool of warmed workers and returns their results.

    with Sandbox() as sandbox:
        result = sandbox.call("def f(x):\\n    return x + 1\\n", "f(3)")
        is_exact(result, 4)

Threads wait for the workers, so many threads may use one `Sandbox`.
"""

import contextlib
import itertools
import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.execution import tiers
from data_pipeline.execution.job import (
    BodyJob,
    Job,
    Limits,
    ScriptJob,
    TraceLimits,
    call_job,
    expression_job,
    function_job,
    series_job,
    stdin_job,
    test_job,
)
from data_pipeline.execution.outcomes import BadInput, Died, Limit, Outcome, Result, Value
from data_pipeline.execution.tiers import SandboxUnavailable, Setup, WorkerLost
from data_pipeline.tracing.events import Event, Loop, Raised, Trace

STRETCHES = 8  # number of wall limits granted to a run that computes while it runs alone
TWIN_HASH_SEED = 4242


class TraceError(UserError):
    """A program and call give no trace: invalid input, a passed limit, or a dead process."""


MAX_TEXT = 1 << 22  # characters of a program, a call or an input


class _Gate:
    """Lets many threads run together, or one alone."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running = 0
        self._alone = 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._alone)
            self._running += 1
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._condition:
            self._alone += 1
            self._condition.wait_for(lambda: self._running == 0)
            self._running += 1
        try:
            yield
        finally:
            with self._condition:
                self._running -= 1
                self._alone -= 1
                self._condition.notify_all()


class Sandbox:
    """A pool of workers of the strongest tier that this machine can start (or of `tier`).

    Raises SandboxUnavailable if it can start none.
    workers: number of processes, one per core by default. allow_weak: admit tier C.
    """

    def __init__(
        self,
        *,
        tier: str | None = None,
        allow_weak: bool = False,
        workers: int | None = None,
        limits: Limits | None = None,
        setup: Setup | None = None,
    ):
        self.setup = setup or Setup()
        self._found = tiers.probe(self.setup, tier, allow_weak)
        self.tier = self._found.tier
        self.limits = limits or Limits()
        self.workers = workers or len(os.sched_getaffinity(0))
        self._gate = _Gate()
        self._idle: queue.LifoQueue[tiers.WorkerProcess | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(None)  # started when first needed
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="sandbox")
        self._closed = False
        self._twins: dict[int, Sandbox] = {}
        self._twin_lock = threading.Lock()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all workers. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for twin in self._twins.values():
            twin.close()
        self._pool.shutdown(cancel_futures=True)
        for _ in range(self.workers):
            worker = self._idle.get()
            if worker is not None:
                worker.close()

    def warn_if_weaker(self) -> None:
        """Warns on stderr if the tier is not the strongest, and why. Call it after the work."""
        tiers.warn_if_weaker(self._found)

    def twin(self, number: int = 0) -> "Sandbox":
        """Returns the same sandbox with another hash seed, to find results that depend on it.

        Each number has its own seed. The twin starts at its first use and closes with this sandbox.
        """
        with self._twin_lock:
            if number not in self._twins:
                hash_seed = self.setup.hash_seed + TWIN_HASH_SEED + number
                self._twins[number] = Sandbox(
                    tier=self.tier,
                    allow_weak=self.tier == "C",
                    workers=self.workers,
                    limits=self.limits,
                    setup=replace(self.setup, hash_seed=hash_seed),
                )
            return self._twins[number]

    # ---- one run

    def call(self, program: str, call: str, **options: Any) -> Result:
        """Runs a call such as "f(3)"; `options` are those of `call_job`."""
        return self.run(call_job(program, call, **options))

    def trace(self, program: str, call: str) -> Trace:
        """Traces a call step by step. Raises TraceError if the run leaves no trace."""
        result = self.run(call_job(program, call, trace=TraceLimits()))
        match result.outcome:
            case BadInput(message=message):
                raise TraceError(message.splitlines()[0])
            case Limit(kind=kind):
                raise TraceError(f"the run was stopped: {kind} limit")
            case Died(reason=reason):
                raise TraceError(f"the run died: {reason}")
        if result.trace is None:
            raise TraceError("the run left no trace")
        return result.trace

    def run(self, job: Job) -> Result:
        """Runs one job in a process of its own."""
        bad = _check_size(job)
        if bad is not None:
            return Result(bad, tier=self.tier)
        result = self._run([job])[0]
        if job.twice and result.kind in ("value", "exception"):
            again = self._run([job], perturb=37)[0]
            same = (again.outcome, again.stdout) == (result.outcome, result.stdout)
            result = replace(result, deterministic=same)
        return result

    # ---- many runs

    def map(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Yields results in the order of the jobs, each run in a process of its own."""
        yield from self._map_in_order(self.run, jobs)

    def map_batched(self, jobs: Iterable[Job], size: int = 16) -> Iterator[Result]:
        """Yields results in order, and runs up to `size` jobs one after another in one process.

        Use it to build data from screened programs, never to score: one job can affect the next.
        """
        chunks = (
            itertools.batched(jobs, size) if hasattr(itertools, "batched") else _chunks(jobs, size)
        )
        for results in self._map_in_order(self._run_batch, chunks):
            yield from results

    def _map_in_order(self, function: Any, items: Iterable[Any]) -> Iterator[Any]:
        waiting: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        ahead = 0
        for item in items:
            waiting.put(self._pool.submit(function, item))
            ahead += 1
            if ahead >= 8 * self.workers:
                yield waiting.get().result()
                ahead -= 1
        while ahead:
            yield waiting.get().result()
            ahead -= 1

    def _run_batch(self, jobs: Sequence[Job]) -> list[Result]:
        alone = [
            not job.shares_process or job.twice or job.limits or _check_size(job) for job in jobs
        ]
        together = iter(self._run([j for j, a in zip(jobs, alone, strict=True) if not a]))
        return [
            self.run(job) if apart else next(together)
            for job, apart in zip(jobs, alone, strict=True)
        ]

    # ---- the worker's side

    def _run(self, jobs: Sequence[Job], perturb: int = 0) -> list[Result]:
        if not jobs:
            return []
        with self._gate.together():
            results = self._ask(jobs, perturb)
        for index, result in enumerate(results):
            if isinstance(result.outcome, Limit) and result.outcome.kind == "wall":
                # The run waited, or the machine was busy. Run it alone; if it still computes at
                # the limit, it gets more time.
                with self._gate.alone():
                    results[index] = self._ask([jobs[index]], perturb, STRETCHES)[0]
        return results

    def _ask(self, jobs: Sequence[Job], perturb: int, stretches: int = 0) -> list[Result]:
        if self._closed:
            raise SandboxUnavailable("the sandbox is closed: use it inside its `with` block")
        alone = jobs[0]  # jobs that cannot share a process come one at a time
        limits = alone.limits or self.limits
        request = {
            "jobs": [{"mode": job.mode, "perturb": perturb, **job.message()} for job in jobs],
            "limits": asdict(limits),
            "stdin": alone.stdin if isinstance(alone, ScriptJob) else None,
            "threads": self.setup.threads,
            "stretches": stretches,
            "test": {"body": alone.test, "entry": alone.entry}
            if isinstance(alone, BodyJob)
            else None,
        }
        patience = 30.0 + 3 * limits.wall_seconds * (len(jobs) + stretches)
        for tries in (1, 2):
            worker = self._idle.get()
            try:
                if worker is None:
                    worker = tiers.start_worker(self.tier, self.setup)
                rows, answers = worker.ask(request, patience)
            except WorkerLost as error:
                if worker is not None:
                    worker.close()
                worker, reason = None, str(error)
                continue
            finally:
                self._idle.put(worker)
            return [
                _result(job, row, answer, self.tier, tries)
                for job, row, answer in zip(jobs, rows, answers, strict=True)
            ]
        if len(jobs) > 1:  # one of them kills workers: run each alone to find it
            return [self._ask([job], perturb, stretches)[0] for job in jobs]
        return [Result(Died(f"the worker was lost twice: {reason}"), tier=self.tier, tries=2)]


# ---- jobs and results as JSON


def _chunks(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk


def _check_size(job: Job) -> BadInput | None:
    for name in ("program", "call", "expression", "stdin", "test"):
        text = getattr(job, name, None)
        if text is not None and len(text) > MAX_TEXT:
            return BadInput("syntax", f"the {name} is longer than {MAX_TEXT} characters")
    return None


def _result(job: Job, row: Mapping[str, Any], answer: bytes, tier: str, tries: int) -> Result:
    """Reads a sample's answer, which is untrusted data."""
    trace = None
    stdout = row["stdout"]
    if row["ended"] is not None:
        outcome = _read_outcome(row["ended"])
    else:
        try:
            reply = json.loads(answer)
            outcome = _read_outcome(reply["outcome"])
            stdout = _text(reply.get("stdout", "")) + stdout
            if "trace" in reply and getattr(job, "trace", None) is not None:
                trace = trace_from_json(reply["trace"], job.program)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, AttributeError):
            outcome, trace = Died("the sandboxed process returned a malformed message"), None
    return Result(
        outcome, stdout, tier, row["cpu"], row["wall"], row["peak"], trace=trace, tries=tries
    )


def _read_outcome(parts: Any) -> Outcome:
    match parts:
        case ["value", tree]:
            return Value(tree)
        case ["exception", str(name), str(message), int() | None as line]:
            return Raised(name, message, line)
        case ["limit", ("cpu" | "wall" | "memory" | "output" | "steps") as kind, str(detail)]:
            return Limit(kind, detail)
        case ["died", str(reason)]:
            return Died(reason)
        case ["bad_input", str(reason), str(message), int() | None as line]:
            return BadInput(reason, message, line)
    raise ValueError("no outcome")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("expected text")
    return value


def trace_from_json(data: Mapping[str, Any], program: str) -> Trace:
    """Reads a trace from `jobs.trace_to_json`. Raises ValueError, TypeError or KeyError."""

    def read_raised(parts: Any) -> Raised | None:
        return None if parts is None else Raised(_text(parts[0]), _text(parts[1]), parts[2])

    events = tuple(
        Event(
            _text(kind), int(line), _text(function), int(frame), int(depth),
            {_text(name): _text(text) for name, text in changed.items()},
            tuple(map(_text, gone)), None if value is None else _text(value), read_raised(error),
            branch, iteration, int(part),
        )
        for kind, line, function, frame, depth, changed, gone, value, error, branch, iteration, part
        in data["events"]
    )  # fmt: skip
    loops = tuple(
        Loop(int(line), _text(kind), _text(function), int(frame), int(iterations))
        for line, kind, function, frame, iterations in data["loops"]
    )
    return Trace(
        program, _text(data["call"]), events, loops, data["result"], read_raised(data["raised"]),
        data["truncated"], int(data["clipped"]),
    )  # fmt: skip


__all__ = [
    "Job",
    "Limits",
    "Sandbox",
    "SandboxUnavailable",
    "Setup",
    "TraceLimits",
    "call_job",
    "expression_job",
    "function_job",
    "series_job",
    "stdin_job",
    "test_job",
]
