"""Held-out functions, asked backward: a call that returns the given value.

Rows are those of `heldout`: {"id", "program", "call", "output"}. A right answer is any call of the
row's function that returns the same value and type in the sandbox (arguments: `answer_calls`). The
row's own call only serves as an example of a right answer.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipeline.pyx.prompts import backward_prompt
from data_pipeline.source.calls import CallError, parse_call, parse_value
from data_pipeline.source.literals import LiteralError
from semcoder_jax.evaluation.benchmarks import cruxeval
from semcoder_jax.evaluation.benchmarks.data import DataError, check_new_id, field, read_rows
from semcoder_jax.evaluation.results import Reference

TITLE = "Held-out, backward"


@dataclasses.dataclass(frozen=True)
class HeldoutBackwardProblem(cruxeval.CruxEvalProblem):
    """Holds a row; `input` is its whole call."""

    @property
    def call(self) -> str:
        return self.input


class HeldoutBackward(cruxeval.CruxEval):
    """Asks for a call that returns a value; see `harness.Benchmark`."""

    variants = ("monologue", "direct")
    modes = ("fixed",)

    def __init__(self, problems: Sequence[HeldoutBackwardProblem]):
        super().__init__(problems, "input")
        self.name, self.title = "heldout_backward", TITLE
        self.references: Mapping[str, Sequence[Reference]] = {}

    def prompt(self, task_id: str, variant: str, mode: str) -> str:
        problem = self.problems[task_id]
        return backward_prompt(
            problem.code,
            problem.output,
            function=problem.function,
            answer_mode=variant,
            mode=mode,
        )


def read_problems(
    path: str | Path, *, limit: int | None = None
) -> tuple[HeldoutBackwardProblem, ...]:
    """Reads the first `limit` problems of a JSONL file. Raises DataError (file:line, field)."""
    problems: dict[str, HeldoutBackwardProblem] = {}
    for where, row in read_rows(path).rows[:limit]:
        id = field(where, row, "id")
        check_new_id(problems, where, id)
        call, output = field(where, row, "call"), field(where, row, "output")
        try:
            name = parse_call(call).name
            parse_value(output)
        except CallError as error:
            raise DataError(f"{where}: field 'call': {error}") from error
        except LiteralError as error:
            raise DataError(f"{where}: field 'output': {error}") from error
        problems[id] = HeldoutBackwardProblem(id, field(where, row, "program"), call, output, name)
    return tuple(problems.values())
