"""Self-refinement as a benchmark run: rounds of asking, each judged by the hidden tests.

The two sides meet here alone. `refine` makes prompts out of what a problem shows; the benchmark
judges whole programs by tests that `refine` never sees, after all rounds are made.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from data_pipeline.execution.service import Sandbox
from data_pipeline.verify import verify_trace
from semcoder_jax.evaluation.generators import Question, Source, ask
from semcoder_jax.evaluation.harness import Said, row_seed
from semcoder_jax.evaluation.refine import STOP, RefineTask, Turn, refine
from semcoder_jax.evaluation.results import Answer, Reference, Run, scores
from semcoder_jax.evaluation.store import GenerationStore
from semcoder_jax.inference.generate import SamplingParams


class CodeBenchmark(Protocol):
    """A benchmark of programs, as far as self-refinement needs it (see `flow.Benchmark`).

    refine_tasks: what a model may know of each task, in the order of the tasks.
    """

    name: str
    modes: tuple[str, ...]
    stop: tuple[str, ...]
    references: Mapping[str, Sequence[Reference]]
    refine_tasks: Sequence[RefineTask]

    def solution(self, said: Said) -> str | None:
        """The whole program in a generation for the task's own prompt; None where there is none."""
        ...

    def judge_solutions(
        self, solutions: Iterable[tuple[Said, str | None]], sandbox: Sandbox | None
    ) -> Iterator[Answer]:
        """One answer or more for each program, in order; `None` is a wrong answer."""
        ...


def refined_run(
    benchmark: CodeBenchmark,
    source: Source | None,
    params: SamplingParams,
    store: GenerationStore,
    sandbox: Sandbox,
    *,
    name: str,
    rounds: int,
    samples: int = 1,
    modes: Sequence[str] = ("fixed",),
    model: str,
    identity: Mapping[str, Any],
    ks: Sequence[int] = (1,),
    progress: str | None = "round",
) -> Run:
    """Every round generated, then every round judged: variants "round 0", "round 1", …

    A killed run goes on from its store: rounds that are there are read, not asked. Without a
    source, what the store lacks is a generation that says nothing.
    """
    made = {"tokens": 0, "seconds": 0.0, "round": 0}

    def asked(turns: Sequence[tuple[Turn, str]]) -> list[tuple[str, str]]:
        number, made["round"] = made["round"], made["round"] + 1
        stop = benchmark.stop if number == 0 else (STOP,)
        questions = [
            Question(
                turn.task.id,
                turn.sample,
                prompt,
                row_seed(f"{turn.task.id} round {number}" if number else turn.task.id, turn.sample),
            )
            for turn, prompt in turns
        ]
        told = ask(
            questions,
            source,
            dataclasses.replace(params, stop=tuple(dict.fromkeys((*params.stop, *stop)))),
            store,
            progress=progress and f"{progress} {number}",
        )
        made["tokens"] += told.new_tokens
        made["seconds"] += told.seconds
        found = [told.generations.get(question.key) for question in questions]
        return [(one.text, one.finish_reason) if one else ("", "missing") for one in found]

    def first_solution(task: str, text: str, reason: str) -> str | None:
        return benchmark.solution(Said(task, 0, "round 0", "fixed", text, reason))

    tasks = benchmark.refine_tasks
    turns = [
        turn
        for turns in refine(tasks, asked, first_solution, sandbox, rounds=rounds, samples=samples)
        for turn in turns
    ]
    answers = list(_judged(benchmark, turns, modes, sandbox))
    blind = sum(not task.visible for task in tasks)
    notes = [f"{blind:,} of {len(tasks):,} problems show no test: asked once"] if blind else []
    return Run(
        name=name,
        model=model,
        identity=dict(identity),
        answers=tuple(answers),
        scores=scores(answers, ks),
        references={},  # published figures are of one answer, without refinement
        notes=tuple(notes),
        tokens_per_second=made["tokens"] / made["seconds"] if made["tokens"] else None,
    )


def _judged(
    benchmark: CodeBenchmark, turns: Sequence[Turn], modes: Sequence[str], sandbox: Sandbox
) -> Iterator[Answer]:
    for mode in modes:
        said = [
            Said(
                turn.task.id,
                turn.sample,
                f"round {turn.round}",
                mode,
                turn.text,
                turn.finish_reason,
            )
            for turn in turns
        ]
        solutions = zip(said, (turn.code for turn in turns), strict=True)
        by_key = {(turn.task.id, turn.sample, f"round {turn.round}"): turn for turn in turns}
        for answer in benchmark.judge_solutions(solutions, sandbox):
            turn = by_key[answer.task, answer.sample, answer.variant]
            yield dataclasses.replace(answer, **_told(turn))


def _told(turn: Turn) -> dict[str, Any]:
    """What the report shows of a round: the explanation with its steps verified, or what stands."""
    if turn.round and not turn.prompt:
        return {
            "text": f"(not asked in this round; what stands:)\n{turn.code or ''}",
            "claims": None,
        }
    claims = None
    if turn.failure is not None and turn.failure.trace is not None:
        claims = tuple(verify_trace(turn.failure.trace, turn.text))
    question = turn.prompt or turn.task.prompt
    return {"text": turn.text, "question": question, "claims": claims}
