"""REval's four questions about runs (arXiv 2403.16437), over any programs and calls.

Rows are those of `heldout`: {"id", "program", "call", "output"}. Each run gives groups of four
questions about one statement (see data_pipeline.questions.reval). Coverage, state, path and output
are scores of their own; incremental consistency over the groups is a note of the evaluation.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from data_pipeline.execution.service import Sandbox
from data_pipeline.pyx.instructions import InstructionRecord
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.questions import (
    TASKS,
    RunQuestion,
    incremental_consistency,
    is_right,
    run_questions,
)
from semcoder_jax.evaluation.benchmarks.answers import CLOSING, OPENING, extract_tagged_answer
from semcoder_jax.evaluation.benchmarks.heldout import HeldoutProblem, read_problems
from semcoder_jax.evaluation.benchmarks.problem_set import ProblemSet, answer_to
from semcoder_jax.evaluation.harness import Response
from semcoder_jax.evaluation.results import RIGHT, WRONG, Answer, Reference

TITLE = "REval"


@dataclasses.dataclass(frozen=True)
class RunProblem:
    """Holds one question; `id` is "PROBLEM/LABEL/TASK"."""

    id: str
    question: RunQuestion


class Reval(ProblemSet):
    """Asks about statements of runs; see `harness.Benchmark`."""

    name = "reval"
    variants = ("direct",)
    modes = ("fixed",)
    stop = (CLOSING,)
    references: Mapping[str, Sequence[Reference]] = {}

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        asked = InstructionRecord(task_id, self.problems[task_id].question.text, OPENING)
        return f"{training_prompt(asked)}{OPENING}\n"

    def judge(
        self, responses: Iterable[Response], sandbox: Sandbox | None = None
    ) -> Iterator[Answer]:
        """Yields one answer per response; runs nothing."""
        for one in responses:
            yield self._judge(one)

    def _judge(self, response: Response) -> Answer:
        question = self.problems[response.task].question
        text = f"{OPENING}\n{response.text or ''}"
        answer = extract_tagged_answer(text, finished=response.finish_reason == "stop")
        if response.text is None:
            outcome = "missing"
        elif answer is None:
            outcome = "no answer"
        else:
            outcome = RIGHT if is_right(question, answer) else WRONG
        return answer_to(
            response,
            benchmark=f"{TITLE} {question.task}",
            outcome=outcome,
            answer=answer,
            question=question.text,
            expected=" or ".join(question.answers),
            detail="",
            text=text,
            claims=None,
        )

    def notes_on(self, answers: Sequence[Answer]) -> Sequence[str]:
        """Returns incremental consistency, over the groups whose four questions were judged."""
        groups: dict[tuple, dict[str, bool]] = {}
        for answer in answers:
            statement, _, task = answer.task.rpartition("/")
            key = statement, answer.sample, answer.variant, answer.mode
            groups.setdefault(key, {})[task] = answer.right
        whole = [group for group in groups.values() if len(group) == len(TASKS)]
        if not whole:
            return ()
        scores = [incremental_consistency([group[task] for task in TASKS]) for group in whole]
        share = sum(scores) / len(scores)
        return (f"incremental consistency {100 * share:.1f} of 100 over {len(whole)} statements",)


def make_problems(problem: HeldoutProblem, *, most: int = 4) -> Iterator[RunProblem]:
    """Yields the questions about a run, group by group."""
    for group in run_questions(problem.trace, most=most):
        for question in group:
            yield RunProblem(f"{problem.id}/{question.label}/{question.task}", question)


def load(path: str | Path, *, limit: int | None = None) -> Reval:
    """Reads the first `limit` problems and traces them in the sandbox. Raises HeldoutError."""
    problems = read_problems(path, limit=limit)
    return Reval([asked for problem in problems for asked in make_problems(problem)])
