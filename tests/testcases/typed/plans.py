"""A typed module of ordinary code, from which a test makes inputs."""

from collections.abc import Iterable
from enum import Enum
from typing import Literal, NamedTuple, Union

Number = Union[int, float]  # noqa: UP007


class Shift(Enum):
    EARLY = "early"
    LATE = "late"


class Point(NamedTuple):
    x: float
    y: float


def justify(words: list[str], width: int, side: Literal["left", "right", "both"] = "left") -> str:
    """Justifies a line of words."""
    line = " ".join(words)
    missing = width - len(line)
    if missing <= 0 or not words:
        return line
    if side == "right":
        return " " * missing + line
    if side == "left" or len(words) == 1:
        return line + " " * missing
    gap, rest = divmod(missing, len(words) - 1)
    return (
        "".join(word + " " * (1 + gap + (place < rest)) for place, word in enumerate(words[:-1]))
        + words[-1]
    )


def rota(people: list[str], days: int, start: int = 0, shift: Shift | None = None) -> list[str]:
    """Assigns people to days in turn."""
    if not people:
        return []
    note = "" if shift is None else " (late)" if shift is Shift.LATE else " (early)"
    return [people[(start + day) % len(people)] + note for day in range(days)]


def area(corners: list[tuple[float, float]]) -> float:
    """Computes the area of a polygon."""
    total = 0.0
    for place, (x, y) in enumerate(corners):
        next_x, next_y = corners[(place + 1) % len(corners)]
        total += x * next_y - next_x * y
    return abs(total) / 2


def shift_point(
    point: Point, by: float = 1.0, axis: Literal["x", "y"] = "x"
) -> tuple[float, float]:
    """Moves a point along an axis."""
    if axis == "x":
        return (point.x + by, point.y)
    return (point.x, point.y + by)


def clamp(value: Number, low: Number, high: Number) -> Number:
    """Limits a value to a range."""
    if low > high:
        low, high = high, low
    return max(low, min(high, value))


def runs(flags: Iterable[bool], least: int = 1) -> list[tuple[bool, int]]:
    """Counts how often each value repeats in a row."""
    found: list[tuple[bool, int]] = []
    for flag in flags:
        if found and found[-1][0] == flag:
            found[-1] = (flag, found[-1][1] + 1)
        else:
            found.append((flag, 1))
    return [pair for pair in found if pair[1] >= least]


def initials(*names: str, dot: bool = True) -> str:
    """Joins the initials of names."""
    return ("." if dot else "").join(name[0].upper() for name in names if name)
