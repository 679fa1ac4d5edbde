"""Checks benchmarks: their references must all score, and wrong answers must not.

    for row in check_benchmark(benchmark, sandbox):   # one row for each mode
        print(row.references, row.wrong)

A user reads the table of `format_checks` before trusting a score.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from data_pipeline.execution.service import Sandbox
from data_pipeline.terminal.tables import format_table
from semcoder_jax.evaluation.benchmarks.data import DataError
from semcoder_jax.evaluation.benchmarks.known_answers import (
    WRONG_KINDS,
    references,
    wrong_answers,
)
from semcoder_jax.evaluation.benchmarks.registry import load_by_name
from semcoder_jax.evaluation.harness import Benchmark, judge_all
from semcoder_jax.evaluation.results import Answer

_DATA_FLAG = "--config.data=FILE"  # as errors name it; a check has no config
CHECKED = {  # name on the command line -> benchmarks that its data serves
    "cruxeval": ("cruxeval_output", "cruxeval_input"),
    "humaneval": ("humaneval",),
    "mbpp": ("mbpp",),
    "heldout": ("heldout", "heldout_backward"),
    "livecodebench": ("livecodebench",),
    "livecodebench_execution": ("livecodebench_execution",),
}
_SHORT = {  # heading of each kind
    kind: heading
    for kind, heading in zip(
        WRONG_KINDS,
        ("another's", "constant", "no call", "empty", "prompt", "exits 0", "prints"),
        strict=True,
    )
}


@dataclasses.dataclass(frozen=True)
class Count:
    """How many of the known answers score, and the tasks and texts judged otherwise."""

    right: int
    answers: int
    unexpected: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class CheckRow:
    """Verdicts of one benchmark's known answers in one mode.

    references: None if the data holds none. wrong: by kind; kinds that do not apply are absent.
    """

    benchmark: str
    mode: str
    tasks: int
    references: Count | None
    wrong: Mapping[str, Count]

    @property
    def is_trusted(self) -> bool:
        """Whether every reference scores and no wrong answer does."""
        every = self.references is None or self.references.right == self.references.answers
        return every and not any(count.right for count in self.wrong.values())


def check_benchmark(
    benchmark: Benchmark, sandbox: Sandbox, *, progress: bool = True
) -> Iterator[CheckRow]:
    """Yields a row for each mode and score of the benchmark (two for HumanEval and MBPP)."""
    for mode in benchmark.modes:
        label = f"{benchmark.name}, {mode}" if progress else None
        judged = [
            ("references", answer)
            for answer in judge_all(benchmark, references(benchmark, mode), sandbox, progress=label)
        ]
        wrong = wrong_answers(benchmark, mode, sandbox)
        kinds = [kind for kind, found in wrong.items() for _ in found]
        said = [
            dataclasses.replace(response, sample=number)
            for number, response in enumerate(itertools.chain(*wrong.values()))
        ]
        for answer in judge_all(benchmark, said, sandbox, progress=label):
            judged.append((kinds[answer.sample], answer))
        yield from _rows(mode, len(benchmark.task_ids), judged)


def _rows(mode: str, tasks: int, judged: Iterable[tuple[str, Answer]]) -> Iterator[CheckRow]:
    found: dict[str, dict[str, list[Answer]]] = {}
    for kind, answer in judged:
        found.setdefault(answer.benchmark, {}).setdefault(kind, []).append(answer)
    for title, answers in found.items():
        counts = {kind: _count(some, kind == "references") for kind, some in answers.items()}
        right = counts.pop("references", None)
        wrong = {kind: counts[kind] for kind in WRONG_KINDS if kind in counts}
        yield CheckRow(title, mode, tasks, right, wrong)


def _count(answers: Sequence[Answer], expected: bool) -> Count:
    unexpected = tuple(
        f"{answer.task}: {answer.outcome}: {(answer.answer or '')[:80]!r}"
        for answer in answers
        if answer.right != expected
    )
    return Count(sum(answer.right for answer in answers), len(answers), unexpected)


def load_checked(
    sources: Iterable[tuple[str, str]], *, max_tasks: int | None = None
) -> tuple[list[Benchmark], list[tuple[str, str]]]:
    """Loads the benchmarks of (name, file); of all names with public data if there are none.

    Returns (benchmarks, (name, reason) of each that has no data here). Raises a UserError for a
    file that cannot be read.
    """
    given = list(sources)
    wanted = given or [(name, None) for name in CHECKED if name != "heldout"]
    benchmarks, absent = [], []
    for name, path in wanted:
        try:
            for member in CHECKED[name]:
                benchmarks.append(load_by_name(member, path, max_tasks))
        except DataError as error:
            if given:
                raise
            absent.append((name, str(error).replace(_DATA_FLAG, f"{name}=FILE")))
    return benchmarks, absent


def list_unexpected(row: CheckRow, *, most: int = 3) -> list[str]:
    """Lists references that do not score and wrong answers that do, `most` of each kind."""
    counts = {"references": row.references, **row.wrong}
    return [
        f"{row.benchmark}, {row.mode}, {kind}: {told}"
        for kind, count in counts.items()
        if count is not None
        for told in count.unexpected[:most]
    ]


def format_checks(rows: Iterable[CheckRow]) -> str:
    """Renders one aligned row per benchmark and mode: right answers of all that were given."""
    headings = ("benchmark", "mode", "tasks", "references", *_SHORT.values())
    return format_table(
        headings,
        [
            (
                row.benchmark,
                row.mode,
                f"{row.tasks:,}",
                _cell(row.references),
                *(_cell(row.wrong.get(kind)) for kind in WRONG_KINDS),
            )
            for row in rows
        ],
    )


def _cell(count: Count | None) -> str:
    return "–" if count is None else f"{count.right:,}/{count.answers:,}"
