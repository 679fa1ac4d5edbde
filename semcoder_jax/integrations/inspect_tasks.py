"""Inspect AI tasks: the benchmarks of this package, judged by its scorers in its sandbox.

    pip install "semcoder-jax[inspect]"
    inspect eval semcoder_jax/cruxeval_output --model openai/NAME -T max_tasks=20
    inspect eval semcoder_jax/heldout --model vllm/NAME -T data=DIR/problems.jsonl -T variant=direct

A task's parameters: `data` (its file; none: the benchmark's public home), `variant` of the prompt
(none: the benchmark's first), `mode` ("fixed", or upstream's "compat"), `max_tasks`, and
`max_new_tokens`. Models answer as they do to `evaluate --chat`.
"""

import atexit
import contextlib
import functools
import threading
from collections.abc import Callable

import anyio
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    Score,
    Scorer,
    Target,
    accuracy,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate

from data_pipeline.execution.service import Sandbox
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation.benchmarks.registry import load_by_name
from semcoder_jax.evaluation.generators import chat_stops
from semcoder_jax.evaluation.harness import Benchmark, open_judging
from semcoder_jax.evaluation.reasoning import with_claims
from semcoder_jax.evaluation.response import Response
from semcoder_jax.evaluation.results import Answer

_CUT = frozenset({"max_tokens", "model_length"})  # Inspect's reasons for an unfinished answer


def _benchmark_task(name: str) -> Callable[..., Task]:
    """Returns the Inspect task of a benchmark, registered under the benchmark's name."""

    def make(
        data: str | None = None,
        variant: str | None = None,
        mode: str = "fixed",
        max_tasks: int | None = None,
        max_new_tokens: int = 2048,
    ) -> Task:
        benchmark = _benchmark(name, data, max_tasks)
        variant = variant or benchmark.variants[0]
        _check("variant", variant, benchmark.variants)
        _check("mode", mode, benchmark.modes)
        samples = [
            Sample(input=benchmark.prompt(id, variant, mode), id=id) for id in benchmark.task_ids
        ]
        return Task(
            dataset=MemoryDataset(samples, name=name),
            solver=generate(),
            scorer=semcoder_verdict(name, data, variant, mode, max_tasks),
            config=GenerateConfig(
                temperature=0.0,
                max_tokens=max_new_tokens,
                stop_seqs=list(chat_stops(benchmark.stop)) or None,
            ),
        )

    make.__name__ = make.__qualname__ = name
    return task(name=name)(make)


heldout = _benchmark_task("heldout")
heldout_backward = _benchmark_task("heldout_backward")
cruxeval_input = _benchmark_task("cruxeval_input")
cruxeval_output = _benchmark_task("cruxeval_output")
humaneval = _benchmark_task("humaneval")
mbpp = _benchmark_task("mbpp")
livecodebench = _benchmark_task("livecodebench")
livecodebench_execution = _benchmark_task("livecodebench_execution")
reval = _benchmark_task("reval")


class InspectTaskError(UserError, ValueError):
    """Raised for a parameter that a task does not know."""


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InspectTaskError(f"-T {name}={value}: expected one of {', '.join(known)}")


@functools.cache
def _benchmark(name: str, data: str | None, max_tasks: int | None) -> Benchmark:
    return load_by_name(name, data, max_tasks)


# ==== Judging


@scorer(metrics={"*": [accuracy(), stderr()]})
def semcoder_verdict(
    benchmark: str, data: str | None, variant: str, mode: str, max_tasks: int | None
) -> Scorer:
    """Scores an answer by each of the benchmark's verdicts: two for HumanEval and MBPP.

    The score's metadata tells whether the run confirms the monologue's steps. All arguments are
    plain values, so that `inspect score` can judge a log again.
    """

    async def score(state: TaskState, target: Target) -> Score:
        response = Response(
            task=str(state.sample_id),
            sample=state.epoch - 1,
            variant=variant,
            mode=mode,
            text=state.output.completion,
            finish_reason="length" if state.output.stop_reason in _CUT else "stop",
        )
        # Judging blocks; the event loop goes on with other samples.
        answers = await anyio.to_thread.run_sync(
            lambda: _judge(benchmark, data, max_tasks).judge(response)
        )
        return _score_of(benchmark, answers)

    return score


def _score_of(benchmark: str, answers: list[Answer]) -> Score:
    """Returns the score under the benchmark's name, or under that of each of several verdicts."""
    first = answers[0]
    names = [answer.benchmark for answer in answers] if len(answers) > 1 else [benchmark]
    metadata = {"outcome": {answer.benchmark: answer.outcome for answer in answers}}
    if first.claims is not None:
        wrong = first.first_wrong_step
        metadata["monologue is sound"] = first.sound
        metadata["first wrong step"] = None if wrong is None else wrong.kind
    return Score(
        value={
            name: CORRECT if one.right else INCORRECT
            for name, one in zip(names, answers, strict=True)
        },
        answer=first.answer,
        explanation="\n".join(one.detail for one in answers if one.detail) or None,
        metadata=metadata,
    )


class _Judge:
    """Judges responses to one benchmark in a sandbox that lives as long as the process."""

    def __init__(self, benchmark: Benchmark):
        self._benchmark, self._lock = benchmark, threading.Lock()
        stack = contextlib.ExitStack()
        atexit.register(stack.close)
        self._sandbox = stack.enter_context(Sandbox())
        self._judging = stack.enter_context(open_judging(benchmark, self._sandbox))

    def judge(self, response: Response) -> list[Answer]:
        if self._judging is not None:
            answers = list(self._judging.submit(response).result())
        else:
            with self._lock:
                answers = list(self._benchmark.judge([response], self._sandbox))
        if (run_of := getattr(self._benchmark, "run_of", None)) is not None:
            runs = [run_of(answer) for answer in answers]
            answers = with_claims(answers, runs, self._sandbox, progress=None)
        return answers


_OPENING = threading.Lock()


def _judge(name: str, data: str | None, max_tasks: int | None) -> _Judge:
    with _OPENING:  # several samples end at once
        return _open_judge(name, data, max_tasks)


@functools.cache
def _open_judge(name: str, data: str | None, max_tasks: int | None) -> _Judge:
    return _Judge(_benchmark(name, data, max_tasks))
