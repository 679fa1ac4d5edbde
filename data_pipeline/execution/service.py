"""Runs jobs on a pool of warmed workers and returns their results.

    with Sandbox() as sandbox:
        result = sandbox.call("def f(x):\\n    return x + 1\\n", "f(3)")
        is_exact(result, 4)

Threads wait for the workers, so many threads may use one `Sandbox`.
"""

import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.execution import tiers
from data_pipeline.execution.answers import read_answer, read_answers
from data_pipeline.execution.channel import Report, Run
from data_pipeline.execution.job import (
    BatchJob,
    BodyJob,
    CallJob,
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
from data_pipeline.execution.outcomes import (
    BadInput,
    Died,
    Limit,
    Outcome,
    Result,
    describe_missing_trace,
)
from data_pipeline.execution.pool import Pool
from data_pipeline.execution.tiers import SandboxUnavailable, Setup
from data_pipeline.tracing.events import Trace

STRETCHES = 8  # number of further wall limits granted to a repeated run that computes
WORKING = 0.01  # CPU seconds per wall second from which a run is said to compute
TWIN_HASH_SEED = 4242
_AHEAD = 8  # jobs per worker that `map` has begun at most


class TraceError(UserError):
    """A program and call give no trace: invalid input, a passed limit, or a dead process."""


MAX_TEXT = 1 << 22  # characters of a program, a call or an input


class Sandbox:
    """A pool of workers of the strongest tier that this machine can start (or of `tier`).

    Raises SandboxUnavailable if it can start none.
    workers: number of processes, one per core by default. allow_weak: admit tier C. probed: the
    tier of another sandbox whose setup differs in nothing that isolates.
    """

    def __init__(
        self,
        *,
        tier: str | None = None,
        allow_weak: bool = False,
        workers: int | None = None,
        limits: Limits | None = None,
        setup: Setup | None = None,
        probed: tiers.TierChoice | None = None,
    ):
        self.setup = setup or Setup()
        self._found = probed or tiers.probe(self.setup, tier, allow_weak)
        self.tier = self._found.tier
        self.limits = limits or Limits()
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pool = Pool(self.tier, self.setup, self.workers)
        # Runs that are repeated for want of time take workers of their own, so that no other run
        # waits for them: first one wall limit each, one at a time; then, for those that still
        # compute, more. A run that dawdles thus holds up only others that dawdle.
        self._repeated = Pool(self.tier, self.setup, 1, keep=False)
        self._overtime = Pool(self.tier, self.setup, 1, keep=False)
        self._threads = ThreadPoolExecutor(_AHEAD * self.workers, thread_name_prefix="sandbox")
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
        self._threads.shutdown(cancel_futures=True)
        for pool in (self._pool, self._repeated, self._overtime):
            pool.close()

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
                    probed=self._found,
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
        problem = describe_missing_trace(result)
        if result.trace is None or problem is not None:
            raise TraceError(problem)
        return result.trace

    def traces(
        self, program: str, calls: Iterable[str], limits: TraceLimits | None = None
    ) -> list[Trace | None]:
        """Traces calls of one program; None stands for a run that leaves no trace."""
        limits = limits or TraceLimits()
        jobs = (call_job(program, call, trace=limits) for call in calls)
        return [result.trace for result in self.map(jobs)]

    def run(self, job: Job) -> Result:
        """Runs one job in a process of its own."""
        bad = _check_size(job)
        if bad is not None:
            return Result(bad, tier=self.tier)
        result = self._run(job)
        if job.twice and result.kind in ("value", "exception"):
            again = self._run(job, perturb=37)
            same = (again.outcome, again.stdout) == (result.outcome, result.stdout)
            result = replace(result, deterministic=same)
        return result

    # ---- many runs

    def map(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Yields results in the order of the jobs, each run in a process of its own."""
        waiting: queue.SimpleQueue[Future[Result]] = queue.SimpleQueue()
        ahead = 0
        for job in jobs:
            waiting.put(self._threads.submit(self.run, job))
            ahead += 1
            if ahead >= _AHEAD * self.workers:
                yield waiting.get().result()
                ahead -= 1
        while ahead:
            yield waiting.get().result()
            ahead -= 1

    def run_calls(
        self, program: str, calls: Sequence[str], trace: TraceLimits | None = None
    ) -> list[Result]:
        """Returns the results of calls of one program, in their order, for building data.

        Calls share processes as long as that changes no result (`guest.batch`). A program that is
        bent on it can let one of its calls spoil another: to score programs, use `map`.
        """
        size = max(1, -(-len(calls) // self.workers))
        parts = [tuple(calls[at : at + size]) for at in range(0, len(calls), size)]
        jobs = [BatchJob(program, part, trace=trace) for part in parts]
        results = [self._threads.submit(self._run_batch, job) for job in jobs]
        return [result for part in results for result in part.result()]

    def _run_batch(self, batch: BatchJob) -> list[Result]:
        results: list[Result] = []
        while left := batch.calls[len(results) :]:
            answered, stopped = [], True
            if len(left) > 1 and _check_size(batch) is None:
                answered, stopped = self._start_batch(replace(batch, calls=left))
            results += answered
            if stopped and (left := batch.calls[len(results) :]):
                results.append(self.run(CallJob(batch.program, left[0], trace=batch.trace)))
        return results

    def _start_batch(self, batch: BatchJob) -> tuple[list[Result], bool]:
        """Returns results of the batch's first calls, and whether the next must have a process.

        It must if it passed a limit or died: then it is judged by what it does alone.
        """
        report, tries = self._pool.run(Run(batch.request(), self.limits))
        if isinstance(report, str):
            return [], True
        if report.ended is not None and report.ended[1] == "output":  # whose, is not known
            return [], True
        stdout = [report.stdout]  # only the first call writes any
        results = [
            Result(
                outcome, stdout.pop() if stdout else "", self.tier,
                report.cpu, report.wall, report.peak, trace=trace, tries=tries,
            )
            for outcome, trace in read_answers(report.answer, batch)
        ]  # fmt: skip
        return results, report.ended is not None or not results

    # ---- the worker's side

    def _run(self, job: Job, perturb: int = 0) -> Result:
        result = self._ask(self._pool, job, perturb)
        # At the wall limit the run waited, or the machine was busy.
        if _is_late(result):
            result = self._ask(self._repeated, job, perturb)
            wall = (job.limits or self.limits).wall_seconds
            if _is_late(result) and result.cpu_seconds > WORKING * wall:
                result = self._ask(self._overtime, job, perturb, STRETCHES)
        return result

    def _ask(self, pool: Pool, job: Job, perturb: int, stretches: int = 0) -> Result:
        if self._closed:
            raise SandboxUnavailable("the sandbox is closed: use it inside its `with` block")
        run = Run(
            job.request(perturb),
            job.limits or self.limits,
            program=json.dumps(job.message()).encode() if isinstance(job, BodyJob) else None,
            stdin=job.stdin.encode("utf-8", "surrogatepass")
            if isinstance(job, ScriptJob)
            else None,
            stretches=stretches,
        )
        report, tries = pool.run(run)
        if isinstance(report, str):
            return Result(Died(f"the worker was lost twice: {report}"), tier=self.tier, tries=tries)
        return _result(job, report, self.tier, tries)


# ---- jobs and results


def _is_late(result: Result) -> bool:
    return isinstance(result.outcome, Limit) and result.outcome.kind == "wall"


def _check_size(job: Job) -> BadInput | None:
    for name in ("program", "call", "expression", "stdin", "test"):
        text = getattr(job, name, None)
        if text is not None and len(text) > MAX_TEXT:
            return BadInput("syntax", f"the {name} is longer than {MAX_TEXT} characters")
    if sum(map(len, getattr(job, "calls", ()))) > MAX_TEXT:
        return BadInput("syntax", f"the calls are longer than {MAX_TEXT} characters")
    return None


def _result(job: Job, report: Report, tier: str, tries: int) -> Result:
    trace = None
    if report.ended is not None:
        outcome: Outcome = Limit(*report.ended[1:])
    elif not report.answer:
        outcome = Died(report.reason)
    else:
        traced = job.program if getattr(job, "trace", None) is not None else None
        outcome, trace = read_answer(report.answer, traced)
    return Result(
        outcome, report.stdout, tier, report.cpu, report.wall, report.peak, trace=trace, tries=tries
    )


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
