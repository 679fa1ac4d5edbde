"""Counts of a build that add up in any order: of functions, runs, records, lengths, refusals."""

import heapq
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

EXAMPLES = 2  # kept of each kind


@dataclass
class Tally:
    """What became of some functions; `add` merges, and the order never matters.

    counts:   group -> name -> number; groups are the keys of GROUPS
    lengths:  record kind -> length of prompt and response -> records
    examples: record kind -> (rank, row), the records of the lowest rank (a hash of the id)
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    lengths: dict[str, Counter[int]] = field(default_factory=dict)
    examples: dict[str, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)

    def count(self, group: str, name: str, number: int = 1) -> None:
        if number:
            self.counts.setdefault(group, Counter())[name] += number

    def count_all(self, group: str, numbers: Counter[str]) -> None:
        for name, number in numbers.items():
            self.count(group, name, number)

    def get(self, group: str) -> Counter[str]:
        """The counts of a group, empty where nothing was counted."""
        return self.counts.get(group, Counter())

    def record(self, kind: str, split: str, length: int, rank: str, row: dict[str, str]) -> None:
        """Counts a record that is kept."""
        self.count("records", f"{kind}/{split}")
        self.lengths.setdefault(kind, Counter())[length] += 1
        self._example(kind, [(rank, row)])

    def add(self, other: "Tally") -> None:
        for group, numbers in other.counts.items():
            self.count_all(group, numbers)
        for kind, lengths in other.lengths.items():
            self.lengths.setdefault(kind, Counter()).update(lengths)
        for kind, examples in other.examples.items():
            self._example(kind, examples)

    def _example(self, kind: str, more: Iterable[tuple[str, dict[str, str]]]) -> None:
        ranked = [*self.examples.get(kind, []), *more]
        self.examples[kind] = heapq.nsmallest(EXAMPLES, ranked, key=lambda pair: pair[0])

    def to_json(self) -> str:
        """One line; the same counts give the same text."""
        return json.dumps(
            {
                "counts": {group: dict(numbers) for group, numbers in self.counts.items()},
                "lengths": {kind: dict(lengths) for kind, lengths in self.lengths.items()},
                "examples": self.examples,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "Tally":
        told = json.loads(text)
        return cls(
            {group: Counter(numbers) for group, numbers in told["counts"].items()},
            {
                kind: Counter({int(length): number for length, number in lengths.items()})
                for kind, lengths in told["lengths"].items()
            },
            {
                kind: [(rank, row) for rank, row in examples]
                for kind, examples in told["examples"].items()
            },
        )


def quantile(lengths: Counter[int], share: float) -> int:
    """The smallest length that at least `share` of the records do not exceed; 0 for no records."""
    wanted = share * lengths.total()
    below = 0
    for length in sorted(lengths):
        below += lengths[length]
        if below >= wanted:
            return length
    return 0
