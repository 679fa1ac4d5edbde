"""Near-duplicates within a corpus and overlap with benchmarks: what is removed, and why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """What is compared. id: names it in reports; code: program, or ""; text: in words, or ""."""

    id: str
    code: str = ""
    text: str = ""


@dataclass(frozen=True)
class Removal:
    """Why an item goes.

    reason:     "exact", "normalized", "near" (code) or "text"
    matched:    id of what it repeats: a benchmark's task ("HumanEval/3") or another item
    similarity: 1.0 for "exact" and "normalized", the Jaccard similarity for "near" and the share
                of words for "text"
    """

    id: str
    reason: str
    matched: str
    similarity: float


class BenchmarkIndex:
    """The tasks of benchmarks, ready to be looked up. Picklable; built once a worker."""

    def __init__(self, tasks: Iterable[Item]):
        raise NotImplementedError

    @classmethod
    def from_files(cls, paths: Sequence[str | Path]) -> "BenchmarkIndex":
        """Reads HumanEval, MBPP, CRUXEval, LiveCodeBench (and EvalPlus) files, .jsonl[.gz]."""
        raise NotImplementedError

    def overlap(self, item: Item) -> Removal | None:
        """The worst overlap of an item with a task, None if there is none."""
        raise NotImplementedError


def block_keys(item: Item) -> Sequence[str]:
    """Items that repeat one another share a key: group by it, then ask `repeats_in` of a group."""
    raise NotImplementedError


def repeats_in(group: Iterable[Item]) -> Sequence[Removal]:
    """Of items that share a key, those that repeat one with a smaller id (order-independent)."""
    raise NotImplementedError


def repeats(items: Iterable[Item]) -> Sequence[Removal]:
    """The whole corpus at once: one removal per removed item, sorted by id."""
    raise NotImplementedError
