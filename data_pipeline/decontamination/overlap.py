"""Finds overlap with benchmarks: programs and questions that repeat one of their tasks.

Compares programs in the normal form of `fingerprints`, as a whole and function by function: by
hash, and by the Jaccard similarity of 5-token windows (`fragments`). Compares questions by runs of
ten words. Each decision concerns one item and the tasks, so results do not depend on the order of
items or the number of workers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipeline.decontamination.benchmark_tasks import read_tasks
from data_pipeline.decontamination.fragments import bands, jaccard, program_fragments
from data_pipeline.errors import UserError
from data_pipeline.seeds.seed import Seed

NEAR = 0.7  # Jaccard similarity from which programs are near-duplicates
RUN = 10  # consecutive words; two authors do not write the same ten by chance
MIN_QUESTION = 6  # words; shorter questions are not compared

REASONS = ("exact", "normalized", "near", "text")


@dataclass(frozen=True)
class Item:
    """Holds a program and a text (either may be "") to compare.

    Args:
      id: unique; of two duplicates the one with the smaller id stays.
      entry: the function of the program that is asked for; "" for the last one.
      calls: examples of calls of it.
    """

    id: str
    code: str = ""
    text: str = ""
    entry: str = ""
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removal:
    """Gives the reason for removing an item.

    Args:
      id: the item's id.
      reason: "exact", "normalized", "near" (code) or "text".
      matched: id of the benchmark task ("HumanEval/3") or other item that it duplicates.
      similarity: 1.0 for "exact" and "normalized", the Jaccard similarity for "near", and for
        "text" the share of the item's words that occur in the question.
    """

    id: str
    reason: str
    matched: str
    similarity: float


def item_of(seed: Seed) -> Item:
    """Converts a seed for comparison; of two with the same id the smaller origin stays."""
    return Item(f"{seed.id} {seed.origin}", seed.code, seed.nl, seed.name, seed.calls)


def strongest_removal(removals: Iterable[Removal]) -> Removal | None:
    """Returns the removal with the strongest reason, independent of their order; None for none."""
    return min(
        removals,
        key=lambda r: (REASONS.index(r.reason), -r.similarity, r.matched),
        default=None,
    )


# ---- benchmarks -------------------------------------------------------------------------------


class BenchmarkIndex:
    """Indexes the tasks of benchmarks for lookup. Picklable."""

    def __init__(self, tasks: Iterable[Item]):
        self._exact: dict[str, str] = {}
        self._strict: dict[str, str] = {}
        self._loose: dict[str, str] = {}
        self._banded: dict[tuple[int, bytes], list[int]] = defaultdict(list)
        self._windows: list[tuple[str, frozenset[int]]] = []
        self._runs: dict[tuple[str, ...], str] = {}
        self._questions: dict[tuple[str, ...], str] = {}
        for task in sorted(tasks, key=lambda task: task.id):
            self._add(task)
        self.tasks = len({name for name, _ in self._windows} | set(self._runs.values()))

    @classmethod
    def from_files(cls, paths: Iterable[str | Path]) -> "BenchmarkIndex":
        """Reads HumanEval, MBPP, CRUXEval, LiveCodeBench (and EvalPlus) files, or folders of them.

        Raises BenchmarkFileError as `benchmark_tasks.read_tasks` does.
        """
        return cls(Item(task.id, task.code, task.text) for task in read_tasks(paths))

    def _add(self, task: Item) -> None:
        if task.code.strip():
            self._exact.setdefault(task.code.strip(), task.id)
        for fragment in program_fragments(task.code):
            self._strict.setdefault(fragment.strict, task.id)
            self._loose.setdefault(fragment.loose, task.id)
            number = len(self._windows)
            self._windows.append((task.id, fragment.windows))
            for band in enumerate(bands(fragment.windows)):
                self._banded[band].append(number)
        words = _words(task.text)
        for run in _runs(words):
            self._runs.setdefault(run, task.id)
        if MIN_QUESTION <= len(words) < RUN:
            self._questions.setdefault(tuple(words), task.id)

    def overlap(self, item: Item) -> Removal | None:
        """Returns the strongest overlap of an item with a task, or None."""
        return strongest_removal(self._overlaps(item))

    def _overlaps(self, item: Item) -> Iterator[Removal]:
        known = self._exact.get(item.code.strip())
        if known is not None:
            yield Removal(item.id, "exact", known, 1.0)
            return
        for fragment in program_fragments(item.code):
            known = self._strict.get(fragment.strict) or self._loose.get(fragment.loose)
            if known is not None:
                yield Removal(item.id, "normalized", known, 1.0)
                continue
            known_bands = (
                self._banded.get(band, ()) for band in enumerate(bands(fragment.windows))
            )
            for number in {n for numbers in known_bands for n in numbers}:
                task, windows = self._windows[number]
                similarity = jaccard(fragment.windows, windows)
                if similarity >= NEAR:
                    yield Removal(item.id, "near", task, round(similarity, 4))
        yield from self._text_overlaps(item)

    def _text_overlaps(self, item: Item) -> Iterator[Removal]:
        words = _words(item.text)
        covered: dict[str, set[int]] = defaultdict(set)
        for start, run in enumerate(_runs(words)):
            if run in self._runs:
                covered[self._runs[run]].update(range(start, start + RUN))
        for size in range(MIN_QUESTION, RUN):
            for start in range(len(words) - size + 1):
                task = self._questions.get(tuple(words[start : start + size]))
                if task is not None:
                    covered[task].update(range(start, start + size))
        for task, places in covered.items():
            yield Removal(item.id, "text", task, round(len(places) / len(words), 4))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1))


def count_reasons(removals: Iterable[Removal]) -> Counter[str]:
    """Counts removals by reason, in the order of REASONS."""
    return Counter(sorted((r.reason for r in removals), key=REASONS.index))


# ---- rows --------------------------------------------------------------------------------------


class DecontaminationError(UserError):
    """Reports a row that cannot be read; one line: where, what was expected."""


_BLOCKS = re.compile(r"```(?:python)?\n(.*?)```|PYTHON\]\n(.*?)\[/PYTHON\]", re.DOTALL)


def item_of_row(row: Mapping[str, Any], where: str) -> Item:
    """Converts a row of seeds (`code`, `nl`) or of PyX and PyX-R.

    The programs of PyX rows are taken from Markdown fences or [PYTHON] blocks. Raises
    DecontaminationError if the row has none of the fields.
    """
    fields = ("code", "nl", "fwd_mnl", "bwd_mnl", "fault", "response")
    texts = {name: row[name] for name in fields if isinstance(row.get(name), str)}
    if not texts:
        raise DecontaminationError(f"{where}: expected one of the fields {', '.join(fields)}")
    code = texts.get("code", "")
    if not code:
        prose = "\n".join(texts.get(name, "") for name in fields[2:])
        blocks = ["".join(found) for found in _BLOCKS.findall(prose)]
        programs = [_without_question(block) for block in blocks]
        code = max(programs, key=len, default="")
    return Item(f"{row.get('id', '')} {where}".strip(), code, texts.get("nl", ""))


def _without_question(block: str) -> str:
    """Returns a block's program without the open assertion (`assert f(1) == ??`)."""
    lines = [line for line in block.split("\n") if not re.match(r"\s*assert .*\?\?", line)]
    return "\n".join(lines).strip()
