"""Runs self-refinement as a benchmark: several rounds, each judged by the hidden tests.

`refine` builds prompts from the visible part of a problem only. The benchmark judges whole
programs by hidden tests, after all rounds are generated; only this module connects the two.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from data_pipeline.execution.service import Sandbox
from data_pipeline.verify import verify_trace
from semcoder_jax.evaluation.generators import GenerationSource, Question, ask
from semcoder_jax.evaluation.harness import Response, row_seed
from semcoder_jax.evaluation.refine import STOP, RefineTask, Turn, refine
from semcoder_jax.evaluation.results import Answer, EvaluationRun, Reference, scores
from semcoder_jax.evaluation.store import GenerationStore
from semcoder_jax.inference.generate import SamplingParams


class CodeBenchmark(Protocol):
    """The part of a code benchmark that self-refinement needs (see `harness.Benchmark`).

    refine_tasks: the visible part of each task, in the order of the tasks.
    """

    name: str
    modes: tuple[str, ...]
    stop: tuple[str, ...]
    references: Mapping[str, Sequence[Reference]]
    refine_tasks: Sequence[RefineTask]

    def solution(self, response: Response) -> str | None:
        """Extracts the program from a response to the task's own prompt, or returns None."""
        ...

    def judge_solutions(
        self, solutions: Iterable[tuple[Response, str | None]], sandbox: Sandbox | None
    ) -> Iterator[Answer]:
        """Yields at least one answer for each program, in order; `None` is a wrong answer."""
        ...


def run_refinement(
    benchmark: CodeBenchmark,
    source: GenerationSource | None,
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
) -> EvaluationRun:
    """Generates every round, then judges every round as variants "round 0", "round 1", …

    A killed run resumes from its store, which already holds the finished rounds. Without a
    source, a response that the store lacks counts as empty.
    """
    totals = {"tokens": 0, "seconds": 0.0, "round": 0}

    def ask_turns(turns: Sequence[tuple[Turn, str]]) -> list[tuple[str, str]]:
        number, totals["round"] = totals["round"], totals["round"] + 1
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
        result = ask(
            questions,
            source,
            dataclasses.replace(params, stop=tuple(dict.fromkeys((*params.stop, *stop)))),
            store,
            progress=progress and f"{progress} {number}",
        )
        totals["tokens"] += result.new_tokens
        totals["seconds"] += result.seconds
        found = [result.generations.get(question.key) for question in questions]
        return [(one.text, one.finish_reason) if one else ("", "missing") for one in found]

    def first_solution(task: str, text: str, reason: str) -> str | None:
        return benchmark.solution(Response(task, 0, "round 0", "fixed", text, reason))

    tasks = benchmark.refine_tasks
    turns = [
        turn
        for turns in refine(
            tasks, ask_turns, first_solution, sandbox, rounds=rounds, samples=samples
        )
        for turn in turns
    ]
    answers = list(_judge_turns(benchmark, turns, modes, sandbox))
    blind = sum(not task.visible for task in tasks)
    notes = [f"{blind:,} of {len(tasks):,} problems show no test: asked once"] if blind else []
    return EvaluationRun(
        name=name,
        model=model,
        identity=dict(identity),
        answers=tuple(answers),
        scores=scores(answers, ks),
        references={},  # published figures are of one answer, without refinement
        notes=tuple(notes),
        tokens_per_second=totals["tokens"] / totals["seconds"] if totals["tokens"] else None,
    )


def _judge_turns(
    benchmark: CodeBenchmark, turns: Sequence[Turn], modes: Sequence[str], sandbox: Sandbox
) -> Iterator[Answer]:
    for mode in modes:
        responses = [
            Response(
                turn.task.id,
                turn.sample,
                f"round {turn.round}",
                mode,
                turn.text,
                turn.finish_reason,
            )
            for turn in turns
        ]
        solutions = zip(responses, (turn.code for turn in turns), strict=True)
        by_key = {(turn.task.id, turn.sample, f"round {turn.round}"): turn for turn in turns}
        for answer in benchmark.judge_solutions(solutions, sandbox):
            turn = by_key[answer.task, answer.sample, answer.variant]
            yield dataclasses.replace(answer, **_answer_fields(turn))


def _answer_fields(turn: Turn) -> dict[str, Any]:
    """Returns the fields of `Answer` that show one round: the explanation with verified steps.

    If the round asked nothing, they show the current solution instead.
    """
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
