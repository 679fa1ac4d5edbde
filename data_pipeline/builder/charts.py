"""Computes the layout of length histograms; histogram.html.j2 draws them.

Uses inline SVG instead of matplotlib, because SVG adopts the page's light or dark colours and is
small.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Area:
    """Holds the size of the drawing and the edges of the plot, in SVG units; y grows downward."""

    width: int = 620
    height: int = 150
    left: int = 46
    right: int = 596
    top: int = 12
    bottom: int = 126


AREA = Area()


@dataclass(frozen=True)
class Bin:
    """Holds one bar: the number of records with lengths `first` to `last` (None: no limit)."""

    first: int
    last: int | None
    records: int
    x: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """Marks a length on the axis."""

    label: str
    length: int
    x: float


@dataclass(frozen=True)
class Histogram:
    """Holds a histogram's layout; `highest` is the number of records in the largest bin."""

    bins: tuple[Bin, ...]
    ticks: tuple[Mark, ...]
    marks: tuple[Mark, ...]
    highest: int
    area: Area = AREA


def lay_out_histogram(
    lengths: Counter[int], marks: Mapping[str, int], num_bins: int = 40
) -> Histogram:
    """Lays out records by length, with a mark at each of `marks` (label -> length).

    Bins reach the 99.5th percentile; the last one holds the rest. Raises ValueError if `lengths`
    is empty.
    """
    if not lengths:
        raise ValueError("a histogram of no lengths")
    ordered = sorted(lengths.elements())
    top = max(ordered[min(len(ordered) - 1, int(0.995 * len(ordered)))], 1)
    size = -(-top // num_bins)
    records = Counter()
    for length, number in lengths.items():
        records[min(length // size, num_bins - 1)] += number
    highest, end = max(records.values()), size * num_bins
    return Histogram(
        bins=tuple(_bin(i, records[i], size, num_bins, highest) for i in range(num_bins)),
        ticks=tuple(Mark("", round(end * share), _x(share)) for share in (0, 0.25, 0.5, 0.75, 1)),
        marks=tuple(
            Mark(label, length, _x(min(length / end, 1))) for label, length in marks.items()
        ),
        highest=highest,
    )


def _bin(index: int, records: int, size: int, num_bins: int, highest: int) -> Bin:
    last = (index + 1) * size - 1 if index < num_bins - 1 else None
    return Bin(
        first=index * size,
        last=last,
        records=records,
        x=_x(index / num_bins) + 0.5,
        width=(AREA.right - AREA.left) / num_bins - 1,
        height=(AREA.bottom - AREA.top) * records / highest,
    )


def _x(share: float) -> float:
    return AREA.left + (AREA.right - AREA.left) * share
