"""Mixes datasets and kinds of records by weights.

A weight is a number of passes per epoch: a record of weight 2 occurs twice per epoch, one of weight
0.25 once in four epochs, one of weight 0 never. The default is 1. Weights are given by names of
datasets and of kinds (records.TRAINING_KINDS); a record's weight is the product of the weights of
its dataset and its kind. A group, the records of one dataset and kind, thus has (records x weight)
records in an epoch.

Fractions are exact: the group's records form an endless stream, reshuffled after each full pass,
and epoch e takes the positions floor(e n w) to floor((e + 1) n w) of it. After any number of epochs
the counts of two records in a group differ by at most one. Everything follows from (seed, epoch).

Grain's MapDataset.mix is not used because it samples by proportions and stops when the first
dataset is exhausted, so it cannot count passes.

Axes: R record, G group.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from data_pipeline.errors import UserError
from data_pipeline.pyx.records import TRAINING_KINDS
from data_pipeline.terminal.tables import format_percent, format_table

MOST = 1000
"""Largest weight; a larger one is more likely a typing error than intended."""


class MixtureError(UserError):
    """Reports weights that cannot be used; the message is one line."""


@dataclass(frozen=True)
class MixtureGroup:
    """Holds the records of one dataset and kind, and their weight (passes per epoch)."""

    dataset: str
    kind: str
    key: tuple[int, int]  # (index of the dataset, kind number); part of the shuffles' seed
    weight: Fraction
    records: np.ndarray  # int64: record numbers in the source, ascending

    def size(self, epoch: int) -> int:
        """Returns the number of the group's records in an epoch."""
        first, last = self._places(epoch)
        return last - first

    def draw(self, seed: int, epoch: int) -> np.ndarray:
        """Returns the group's record numbers in an epoch, with repetitions. int64."""
        first, last = self._places(epoch)
        count = len(self.records)
        parts = []
        while first < last:
            shuffle, place = divmod(first, count)
            end = min(last - shuffle * count, count)
            whole = place == 0 and end == count  # a full pass needs no particular order
            order = np.arange(count) if whole else self._shuffle(seed, shuffle)
            parts.append(self.records[order[place:end]])
            first += end - place
        return np.concatenate([np.empty(0, np.int64), *parts])

    def _places(self, epoch: int) -> tuple[int, int]:
        an_epoch = len(self.records) * self.weight
        return math.floor(epoch * an_epoch), math.floor((epoch + 1) * an_epoch)

    def _shuffle(self, seed: int, number: int) -> np.ndarray:
        # The key ends in a number above 0, so the seed differs from those of the epochs' shuffles.
        return RandomOrders([seed, number, *self.key]).order(len(self.records))


def groups(
    records: np.ndarray,
    datasets_R: np.ndarray,
    kinds_R: np.ndarray,
    dataset_names: Sequence[str],
    weights: Mapping[str, float],
) -> tuple[MixtureGroup, ...]:
    """Groups `records` (numbers in the source) by dataset and kind; includes weight 0.

    Raises MixtureError for an unknown name, an invalid weight, a named dataset or kind without
    records, or if no weight is above 0.
    """
    check_weights(weights, dataset_names)
    exact = {name: Fraction(repr(weight)) for name, weight in weights.items()}
    keys = datasets_R[records].astype(np.int64) * (len(TRAINING_KINDS) + 1) + kinds_R[records]
    found = []
    for key in np.unique(keys):
        dataset, kind = (int(part) for part in divmod(key, len(TRAINING_KINDS) + 1))
        names = dataset_names[dataset], TRAINING_KINDS[kind - 1]
        weight = exact.get(names[0], Fraction(1)) * exact.get(names[1], Fraction(1))
        found.append(MixtureGroup(*names, (dataset, kind), weight, np.sort(records[keys == key])))
    for name in weights:
        if weights[name] and not any(name in (group.dataset, group.kind) for group in found):
            present = sorted({name for group in found for name in (group.dataset, group.kind)})
            raise MixtureError(
                f"mixture: {name}: expected the name of records in the data; got only "
                f"{', '.join(name for name in present if name)}"
            )
    if not any(group.weight for group in found):
        raise MixtureError("mixture: expected a weight above 0 for some records; got none")
    return tuple(found)


def epoch_records(groups: Sequence[MixtureGroup], seed: int, epoch: int) -> np.ndarray:
    """Returns an epoch's record numbers, ascending, with repetitions. int64."""
    parts = [group.draw(seed, epoch) for group in groups]
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))


class RandomOrders:
    """Generates a sequence of permutations from `entropy` (non-negative integers)."""

    def __init__(self, entropy: Sequence[int]):
        # numpy guarantees the raw stream; it may change Generator.permutation.
        self._random = np.random.PCG64(np.random.SeedSequence(list(entropy)))

    def order(self, count: int) -> np.ndarray:
        """Returns the next permutation of range(count). int64."""
        return np.argsort(self._random.random_raw(count), kind="stable")


def check_weights(weights: Mapping[str, float], dataset_names: Iterable[str]) -> None:
    """Raises MixtureError for an unknown name or an invalid weight."""
    dataset_names = list(dataset_names)
    for name in dataset_names:
        if name in TRAINING_KINDS:
            raise MixtureError(f"datasets: {name}: expected a name that is not a kind of record")
    known = [*(name for name in dataset_names if name), *TRAINING_KINDS]
    for name, weight in weights.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
            raise MixtureError(f"mixture: {name!r} is neither a kind nor a dataset; {hint}")
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= MOST:
            raise MixtureError(f"mixture: {name}: expected a weight of 0 to {MOST}; got {weight!r}")


def mixture_table(groups: Sequence[MixtureGroup], lengths_R: np.ndarray) -> str:
    """Returns a table of an epoch's groups; `lengths_R` counts the source's input tokens."""
    sizes = [float(len(group.records) * group.weight) for group in groups]
    means = [float(lengths_R[group.records].mean()) for group in groups]
    tokens = [size * mean for size, mean in zip(sizes, means, strict=True)]
    rows = [
        (
            group.dataset or "–",
            group.kind,
            len(group.records),
            f"{float(group.weight):g}",
            round(size),
            format_percent(size / sum(sizes)),
            format_percent(token / sum(tokens)),
        )
        for group, size, token in zip(groups, sizes, tokens, strict=True)
    ]
    headings = ("dataset", "kind", "records", "weight", "an epoch", "of records", "of tokens")
    return format_table(headings, rows)
