"""Held-out described functions: writes the program that a description asks for.

A row is {"id", "prompt", "entry", "program", "visible", "hidden"}: `prompt` has the form of an
MBPP problem (a docstring with the description and the visible tests), and the last two are lists of
argument lists. Judging is EvalPlus's: by the visible tests, and by all tests.
"""

from pathlib import Path
from typing import Any

from semcoder_jax.evaluation.benchmarks.data import DataError, check_new_id, field, read_rows
from semcoder_jax.evaluation.benchmarks.evalplus import EvalPlus, EvalPlusTask

TITLES = ("Held-out code, visible tests", "Held-out code, all tests")
STANDING = "all tests"


class HeldoutCode(EvalPlus):
    """Asks for programs; see `harness.Benchmark` and `refine_harness.CodeBenchmark`."""

    modes = ("fixed",)

    def __init__(self, tasks, *, cache: str | Path | None = None):
        super().__init__(tasks, "mbpp", cache=cache)
        self.name, self.titles, self.references = "heldout_code", TITLES, {}


def read_problems(path: str | Path, *, limit: int | None = None) -> tuple[EvalPlusTask, ...]:
    """Reads the first `limit` problems of a JSONL file. Raises DataError (file:line, field)."""
    tasks: dict[str, EvalPlusTask] = {}
    for where, row in read_rows(path).rows[:limit]:
        id = field(where, row, "id")
        check_new_id(tasks, where, id)
        prompt, entry, program = (
            field(where, row, name) for name in ("prompt", "entry", "program")
        )
        visible, hidden = (_inputs(where, row, name) for name in ("visible", "hidden"))
        tasks[id] = EvalPlusTask(id, prompt, entry, f"\n{program}\n", visible, hidden, 0.0)
    return tuple(tasks.values())


def _inputs(where: str, row: Any, name: str) -> tuple[Any, ...]:
    rows = field(where, row, name, list)
    if not rows or not all(isinstance(each, list) for each in rows):
        raise DataError(f"{where}: field {name!r}: expected a list of argument lists")
    return tuple(rows)
