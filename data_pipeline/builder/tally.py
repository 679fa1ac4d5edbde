"""Counts functions, runs, records, lengths and refusals of a build; merging is commutative."""

import heapq
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from data_pipeline.builder.held_out import TRAIN

EXAMPLES = 2  # stored per kind
HARDEST = 3  # functions with most discarded tries


@dataclass
class Tally:
    """Counts the results of some functions; `add` merges two tallies in any order.

    Args:
      counts: group -> name -> number, e.g. "runs refused" -> reason -> number.
      lengths: record kind -> length of prompt and response -> number of records.
      examples: record kind -> (rank, row) of the records with the lowest rank, a hash of the id.
      hardest: (discarded tries, function, kept runs) of the functions with most discarded tries.

    Its size does not grow with the number of functions.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    lengths: dict[str, Counter[int]] = field(default_factory=dict)
    examples: dict[str, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)
    hardest: list[tuple[int, str, int]] = field(default_factory=list)

    def count(self, group: str, name: str, number: int = 1) -> None:
        if number:
            self.counts.setdefault(group, Counter())[name] += number

    def count_all(self, group: str, numbers: Counter[str]) -> None:
        for name, number in numbers.items():
            self.count(group, name, number)

    def get(self, group: str) -> Counter[str]:
        """Returns the counts of a group; empty if nothing was counted."""
        return self.counts.get(group, Counter())

    def record(self, kind: str, split: str, length: int, rank: str, row: dict[str, str]) -> None:
        """Counts a record of the dataset."""
        self.count("records", f"{kind}/{split}")
        self.lengths.setdefault(kind, Counter())[length] += 1
        self._example(kind, [(rank, row)])

    def drop(self, name: str, kind: str, split: str, length: int) -> None:
        """Takes back a record, of the id `name`, that was counted."""
        self.count("records", f"{kind}/{split}", -1)
        self.lengths[kind] -= Counter({length: 1})
        self.examples[kind] = [pair for pair in self.examples[kind] if pair[1]["id"] != name]

    def drop_variant(self, name: str, length: int) -> None:
        """Takes back a training record whose faulty program is a held-out function."""
        self.drop(name, "fault", TRAIN, length)
        self.count("records refused", "faulty variant is a held-out function")

    def tries(self, function: str, kept: int, discarded: int) -> None:
        """Counts the runs of a function."""
        if kept:
            self.count("tries", "functions with kept runs")
        if discarded:
            self.count("tries", "functions with discarded runs")
            self.count("tries", "discarded", discarded)
            self._keep_hardest([(discarded, function, kept)])

    def add(self, other: "Tally") -> None:
        for group, numbers in other.counts.items():
            self.count_all(group, numbers)
        for kind, lengths in other.lengths.items():
            self.lengths.setdefault(kind, Counter()).update(lengths)
        for kind, examples in other.examples.items():
            self._example(kind, examples)
        self._keep_hardest(other.hardest)

    def _keep_hardest(self, more: Iterable[tuple[int, str, int]]) -> None:
        ranked = sorted([*self.hardest, *more], key=lambda one: (-one[0], one[1]))
        self.hardest = ranked[:HARDEST]

    def _example(self, kind: str, more: Iterable[tuple[str, dict[str, str]]]) -> None:
        ranked = [*self.examples.get(kind, []), *more]
        self.examples[kind] = heapq.nsmallest(EXAMPLES, ranked, key=lambda pair: pair[0])

    def to_json(self) -> str:
        """Returns one line of JSON; the same counts give the same text."""
        return json.dumps(
            {
                "counts": {group: dict(numbers) for group, numbers in self.counts.items()},
                "lengths": {kind: dict(lengths) for kind, lengths in self.lengths.items()},
                "examples": self.examples,
                "hardest": self.hardest,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "Tally":
        row = json.loads(text)
        return cls(
            {group: Counter(numbers) for group, numbers in row["counts"].items()},
            {
                kind: Counter({int(length): number for length, number in lengths.items()})
                for kind, lengths in row["lengths"].items()
            },
            {
                kind: [(rank, row) for rank, row in examples]
                for kind, examples in row["examples"].items()
            },
            [(discarded, name, kept) for discarded, name, kept in row["hardest"]],
        )


def quantile(lengths: Counter[int], share: float) -> int:
    """Returns the smallest length that `share` of the records do not exceed; 0 for no records."""
    wanted = share * lengths.total()
    below = 0
    for length in sorted(lengths):
        below += lengths[length]
        if below >= wanted:
            return length
    return 0
