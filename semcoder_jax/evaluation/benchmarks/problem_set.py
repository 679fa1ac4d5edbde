"""Shared parts of the benchmarks: problems by id, and the answer to a response."""

from collections.abc import Sequence
from typing import Protocol

from semcoder_jax.evaluation.harness import Response
from semcoder_jax.evaluation.results import Answer


class Identified(Protocol):
    @property
    def id(self) -> str: ...


class ProblemSet:
    """Holds problems by id, in the order of the file."""

    def __init__(self, problems: Sequence[Identified]):
        self.problems = {problem.id: problem for problem in problems}

    @property
    def task_ids(self) -> Sequence[str]:
        return tuple(self.problems)


def answer_to(response: Response, **fields) -> Answer:
    """Builds the Answer for `response`; `fields` are those that `response` does not have."""
    return Answer(
        task=response.task,
        sample=response.sample,
        variant=response.variant,
        mode=response.mode,
        finish_reason=response.finish_reason,
        **fields,
    )
