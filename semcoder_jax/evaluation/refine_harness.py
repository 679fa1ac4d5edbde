"""Runs self-refinement as a benchmark: several rounds, each judged by the hidden tests.

`refine` builds prompts from the visible part of a problem only. The benchmark judges whole
programs by hidden tests, after all rounds are generated; only this module connects the two.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from data_pipeline.execution.service import Sandbox
from data_pipeline.verify import verify_trace
from semcoder_jax.evaluation.generators import GenerationSource, Question, ask
from semcoder_jax.evaluation.harness import Response, refusal_notes, row_seed
from semcoder_jax.evaluation.refine import STOP, RefineTask, Turn, refine, resample
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
    asked = ask_rounds(
        benchmark,
        source,
        params,
        store,
        sandbox,
        rounds=rounds,
        samples=samples,
        progress=progress,
    )
    turns, tasks = asked.turns, benchmark.refine_tasks
    answers = list(judge_turns(benchmark, turns, modes, sandbox))
    blind = sum(not task.visible for task in tasks)
    notes = [f"{blind:,} of {len(tasks):,} problems show no test: asked once"] if blind else []
    notes += refusal_notes([turn.finish_reason for turn in turns])
    return EvaluationRun(
        name=name,
        model=model,
        identity=dict(identity),
        answers=tuple(answers),
        scores=scores(answers, ks),
        references={},  # published figures are of one answer, without refinement
        notes=tuple(notes),
        tokens_per_second=asked.new_tokens / asked.seconds if asked.new_tokens else None,
    )


@dataclasses.dataclass(frozen=True)
class AskedRounds:
    """The turns of all rounds, and tokens and seconds of what was generated for them now."""

    turns: Sequence[Turn]
    new_tokens: int
    seconds: float


def ask_rounds(
    benchmark: CodeBenchmark,
    source: GenerationSource | None,
    params: SamplingParams,
    store: GenerationStore,
    sandbox: Sandbox,
    *,
    rounds: int,
    samples: int = 1,
    strategy: Literal["repair", "resample"] = "repair",
    progress: str | None = "round",
) -> AskedRounds:
    """Generates round after round: repairs of the failing programs, or new ones (`resample`).

    At a temperature, a prompt that comes again in a later round gets a new answer.
    """
    resamples = strategy == "resample"
    totals = {"tokens": 0, "seconds": 0.0, "round": 0}
    asked: Counter[tuple[str, int, str]] = Counter()

    def ask_turns(turns: Sequence[tuple[Turn, str]]) -> list[tuple[str, str]]:
        number, totals["round"] = totals["round"], totals["round"] + 1
        stop = benchmark.stop if resamples or number == 0 else (STOP,)
        questions = []
        for turn, prompt in turns:
            key = (turn.task.id, turn.sample, prompt)
            stream = f"{turn.task.id} round {number}" if number else turn.task.id
            seed = row_seed(stream, turn.sample)
            repeat = asked[key] if params.temperature else 0
            questions.append(Question(turn.task.id, turn.sample, prompt, seed, repeat))
            asked[key] += 1
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

    def solution(task: str, text: str, reason: str) -> str | None:
        return benchmark.solution(Response(task, 0, "round 0", "fixed", text, reason))

    run = resample if resamples else refine
    found = run(
        benchmark.refine_tasks, ask_turns, solution, sandbox, rounds=rounds, samples=samples
    )
    turns = [turn for turns in found for turn in turns]
    return AskedRounds(turns, totals["tokens"], totals["seconds"])


def judge_turns(
    benchmark: CodeBenchmark, turns: Sequence[Turn], modes: Sequence[str], sandbox: Sandbox
) -> Iterator[Answer]:
    """Yields the answers of all turns, as variants "round 0", "round 1", …"""
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
