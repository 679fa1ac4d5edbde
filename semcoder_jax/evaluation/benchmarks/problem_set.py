"""What benchmarks have in common: problems by id, and answers judged some at a time."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from semcoder_jax.evaluation.harness import Said
from semcoder_jax.evaluation.results import Answer


class Identified(Protocol):
    @property
    def id(self) -> str: ...


class ProblemSet:
    """Problems by id, in the order of the file."""

    def __init__(self, problems: Sequence[Identified]):
        self.problems = {problem.id: problem for problem in problems}

    @property
    def task_ids(self) -> Sequence[str]:
        return tuple(self.problems)


def answer_to(said: Said, **fields) -> Answer:
    """The Answer to `said`, whose place in the run it takes over; `fields` are the others."""
    return Answer(
        task=said.task,
        sample=said.sample,
        variant=said.variant,
        mode=said.mode,
        finish_reason=said.finish_reason,
        **fields,
    )


def chunked(items: Iterable, size: int) -> Iterator[list]:
    """Lists of `size` items, the last one shorter."""
    rest = iter(items)
    while some := list(itertools.islice(rest, size)):
        yield some
