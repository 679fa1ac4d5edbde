"""Judges responses in threads: as soon as they arrive, those that may take long first.

    with Judging(benchmark, sandbox) as judging:
        judging.submit(response)                   # while others are still being generated
        for answers in judging.map(responses):     # in order; equal responses are judged once
            ...

A response is judged by one thread from its first run to its last, so no run waits for another
response. There are more threads than workers of the sandbox: a worker runs the next program while
a thread compares the results of the last one. Outside the sandbox, one thread works at a time:
parsing in several threads at once fails in CPython 3.11 (gh-106905), and mixes up the filters of
warnings in every version.
"""

import contextlib
import queue
import threading
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Protocol

from data_pipeline.execution.job import Job
from data_pipeline.execution.outcomes import Result
from data_pipeline.execution.service import Sandbox
from semcoder_jax.evaluation.numpy_sandbox import NumpySandbox
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.results import Answer

_LAST = float("inf")
_TURN = threading.Lock()  # held by the thread that works outside the sandbox


class JudgedByRuns(Protocol):
    """A benchmark that judges each response by itself, by runs in a sandbox."""

    def cost(self, response: Response) -> float:
        """Returns a figure that grows with the expected time; the highest is judged first."""
        ...

    def judge_one(self, response: Response, judging: "Judging") -> tuple[Answer, ...]: ...


class JudgingMixin:
    """Gives a `JudgedByRuns` the method `judge` of `harness.Benchmark`."""

    def judging(self, sandbox: Sandbox) -> "Judging":
        return Judging(self, sandbox)

    def cost(self, response: Response) -> float:
        return 0.0

    def judge(self, responses: Iterable[Response], sandbox: Sandbox) -> Iterator[Answer]:
        """Yields the answers to each response, in order."""
        with self.judging(sandbox) as judging:
            for answers in judging.map(responses):
                yield from answers


class Judging(contextlib.AbstractContextManager):
    """Judges the responses to one benchmark; `run` and `once` are for the benchmark."""

    def __init__(self, benchmark: JudgedByRuns, sandbox: Sandbox):
        self._benchmark = benchmark
        self._sandboxes = NumpySandbox(sandbox)
        self._waiting: queue.PriorityQueue = queue.PriorityQueue()
        self._judged: dict[Response, Future[tuple[Answer, ...]]] = {}
        self._found: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"judging {number}", daemon=True)
            for number in range(sandbox.workers + 1)
        ]

    def __enter__(self) -> "Judging":
        self._warnings = warnings.catch_warnings()  # parsers change the filters beside this thread
        self._warnings.__enter__()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        """Drops the responses that are waiting, and ends the threads after their present runs."""
        for future in self._judged.values():
            future.cancel()
        for _ in self._threads:
            self._waiting.put((_LAST, len(self._judged), None))
        for thread in self._threads:
            thread.join()
        self._sandboxes.close()
        self._warnings.__exit__(None, None, None)

    def submit(self, response: Response) -> Future[tuple[Answer, ...]]:
        """Begins to judge a response; the same response again gives the same future.

        May be called from several threads.
        """
        with self._lock:
            future = self._judged.get(response)
            if future is None:
                future = self._judged[response] = Future()
                place = (-self._benchmark.cost(response), len(self._judged))
                self._waiting.put((*place, (response, future)))
        return future

    def map(self, responses: Iterable[Response]) -> Iterator[tuple[Answer, ...]]:
        """Judges all responses and yields their answers in order; raises what judging raised."""
        for future in [self.submit(response) for response in responses]:
            yield future.result()

    def notes(self) -> tuple[str, ...]:
        """Returns how many samples import numpy, and modules that the sandbox lacks."""
        return self._sandboxes.notes()

    # ---- for the benchmark, in a thread of its own for each response

    def run(self, job: Job) -> Result:
        sandbox = self._sandboxes.sandbox_for(job.program)
        with _others_turn():
            return sandbox.run(job)

    def count_imports(self, response: Response, program: str) -> None:
        """Counts what the program of a sample imports, for `notes`."""
        sample = (response.task, response.sample, response.variant)
        self._sandboxes.count(sample, program)

    def has_numpy(self, program: str) -> bool:
        """Whether the program imports numpy and the sandbox has it for this program."""
        return self._sandboxes.is_for_numpy(program)

    def once(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """Returns `find()`, which runs once for each key; others wait for its result."""
        with self._lock:
            future, is_new = self._found.get(key), key not in self._found
            if is_new:
                future = self._found[key] = Future()
        if is_new:
            try:
                future.set_result(find())
            except BaseException as error:
                future.set_exception(error)
        with _others_turn():
            return future.result()

    def _work(self) -> None:
        while (item := self._waiting.get()[2]) is not None:
            response, future = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                with _TURN:
                    answers = self._benchmark.judge_one(response, self)
                future.set_result(answers)
            except BaseException as error:
                future.set_exception(error)


@contextlib.contextmanager
def _others_turn() -> Iterator[None]:
    """Lets other threads work while this one waits."""
    _TURN.release()
    try:
        yield
    finally:
        _TURN.acquire()
