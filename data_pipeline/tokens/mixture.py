"""Mixtures: how often the records of a dataset or kind come in an epoch.

A weight is a number of passes: a record of weight 2 comes twice an epoch, one of weight 0.25 once
in four epochs, one of weight 0 never; what is not named has weight 1. Weights are given by the
names of datasets and of kinds (records.TRAINING_KINDS), and a record's weight is the product of
its dataset's and its kind's. An epoch so has (records x weight) records of each group, a group
being the records of one dataset and kind; its share is that over the sum of all groups'.

Fractions are exact: the records of a group stand in one endless row, a new shuffle of all of them
after every full one, and epoch e takes the places floor(e n w) to floor((e + 1) n w) of it. After
any number of epochs two records of a group have come equally often, up to one. Everything follows
from (seed, epoch) alone. Written here because Grain's MapDataset.mix takes
from data sets by proportions and ends with the first that runs out: it does not count passes.

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
"""The largest weight: beyond, a slip of the pen is likelier than a wish."""


class MixtureError(UserError):
    """Weights that give no records; the message is one line."""


@dataclass(frozen=True)
class Group:
    """The records of one dataset and kind, and how many passes over them an epoch makes."""

    dataset: str
    kind: str
    key: tuple[int, int]  # (index of the dataset, kind number): what its shuffles are seeded with
    weight: Fraction
    records: np.ndarray  # int64: their numbers in the source, rising

    def size(self, epoch: int) -> int:
        """Its records in an epoch."""
        first, last = self._places(epoch)
        return last - first

    def drawn(self, seed: int, epoch: int) -> np.ndarray:
        """The numbers of its records in an epoch, a record as often as it comes. int64."""
        first, last = self._places(epoch)
        count = len(self.records)
        drawn = []
        while first < last:
            shuffle, place = divmod(first, count)
            end = min(last - shuffle * count, count)
            whole = place == 0 and end == count  # in which case its order does not matter
            order = np.arange(count) if whole else self._shuffle(seed, shuffle)
            drawn.append(self.records[order[place:end]])
            first += end - place
        return np.concatenate([np.empty(0, np.int64), *drawn])

    def _places(self, epoch: int) -> tuple[int, int]:
        an_epoch = len(self.records) * self.weight
        return math.floor(epoch * an_epoch), math.floor((epoch + 1) * an_epoch)

    def _shuffle(self, seed: int, number: int) -> np.ndarray:
        # The key ends in a number above 0, so that no epoch's own shuffle has the same seed.
        return RandomOrders([seed, number, *self.key]).order(len(self.records))


def groups(
    records: np.ndarray,
    datasets_R: np.ndarray,
    kinds_R: np.ndarray,
    dataset_names: Sequence[str],
    weights: Mapping[str, float],
) -> tuple[Group, ...]:
    """`records` (numbers in the source) by dataset and kind, those of weight 0 among them.

    Raises MixtureError for a name that is neither dataset nor kind, a weight that is none, a name
    whose records are none, and where no weight is left above 0.
    """
    check_weights(weights, dataset_names)
    exact = {name: Fraction(repr(weight)) for name, weight in weights.items()}
    keys = datasets_R[records].astype(np.int64) * (len(TRAINING_KINDS) + 1) + kinds_R[records]
    found = []
    for key in np.unique(keys):
        dataset, kind = (int(part) for part in divmod(key, len(TRAINING_KINDS) + 1))
        names = dataset_names[dataset], TRAINING_KINDS[kind - 1]
        weight = exact.get(names[0], Fraction(1)) * exact.get(names[1], Fraction(1))
        found.append(Group(*names, (dataset, kind), weight, np.sort(records[keys == key])))
    for name in weights:
        if weights[name] and not any(name in (group.dataset, group.kind) for group in found):
            present = sorted({name for group in found for name in (group.dataset, group.kind)})
            raise MixtureError(
                f"mixture: {name}: expected records of it; there are only "
                f"{', '.join(name for name in present if name)}"
            )
    if not any(group.weight for group in found):
        raise MixtureError("mixture: expected a weight above 0 for some records; got none")
    return tuple(found)


def epoch_records(groups: Sequence[Group], seed: int, epoch: int) -> np.ndarray:
    """The numbers of the records of an epoch, rising, each as often as it comes. int64."""
    drawn = [group.drawn(seed, epoch) for group in groups]
    return np.sort(np.concatenate([np.empty(0, np.int64), *drawn]))


class RandomOrders:
    """Permutations, one after another, from `entropy` (non-negative integers)."""

    def __init__(self, entropy: Sequence[int]):
        # The bit generator's raw stream is fixed for good; numpy may change Generator.permutation.
        self._random = np.random.PCG64(np.random.SeedSequence(list(entropy)))

    def order(self, count: int) -> np.ndarray:
        """The next permutation, of `count`. int64."""
        return np.argsort(self._random.random_raw(count), kind="stable")


def check_weights(weights: Mapping[str, float], dataset_names: Iterable[str]) -> None:
    """Raises MixtureError for a name that is neither dataset nor kind, or a weight that is none."""
    dataset_names = list(dataset_names)
    for name in dataset_names:
        if name in TRAINING_KINDS:
            raise MixtureError(f"datasets: {name}: expected a name that no kind of record has")
    known = [*(name for name in dataset_names if name), *TRAINING_KINDS]
    for name, weight in weights.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
            raise MixtureError(f"mixture: {name!r} is neither a kind nor a dataset; {hint}")
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= MOST:
            raise MixtureError(f"mixture: {name}: expected a weight of 0 to {MOST}; got {weight!r}")


def mixture_table(groups: Sequence[Group], lengths_R: np.ndarray) -> str:
    """What an epoch is made of, for people; `lengths_R` are the source's input tokens."""
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
