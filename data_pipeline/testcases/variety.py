"""Compares the arguments of runs: edge cases, stray blanks, and how much two runs are alike."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from data_pipeline.seeds.call_text import literal_text
from data_pipeline.testcases.generation import Arguments


def _given(arguments: Arguments) -> Iterator[tuple[Any, Any]]:
    yield from enumerate(arguments.args)
    yield from arguments.kwargs.items()


def is_edge(arguments: Arguments) -> bool:
    """Returns whether an argument is empty, zero or None, or has one item."""
    return any(
        value is None
        or (type(value) in (int, float) and value == 0)
        or (isinstance(value, (str, bytes)) and not value)
        or (isinstance(value, (list, tuple, set, frozenset, dict)) and len(value) < 2)
        for _, value in _given(arguments)
    )


def has_stray_blanks(arguments: Arguments) -> bool:
    """Returns whether a text in the arguments begins, ends or is cut by needless blanks."""
    return any(_is_blotted(value) for _, value in _given(arguments))


def _is_blotted(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > 1 and (value.strip() != value or "  " in value)
    if isinstance(value, dict):
        return any(map(_is_blotted, (*value, *value.values())))
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(_is_blotted, value))
    return False


def likeness(one: Arguments, other: Arguments) -> float:
    """Returns how alike two calls are, from 0 to 1: the mean over their arguments."""
    mine, theirs = dict(_given(one)), dict(_given(other))
    shared = [name for name in mine if name in theirs]
    count = len(mine) + len(theirs) - len(shared)
    return sum(_alike(mine[name], theirs[name]) for name in shared) / count if count else 1.0


def _alike(one: Any, other: Any) -> float:
    first, second = literal_text(one) or "", literal_text(other) or ""
    if first == second:
        return 1.0
    mine, theirs = _tokens(first), _tokens(second)
    return 0.9 * len(mine & theirs) / max(1, len(mine | theirs))


@lru_cache(maxsize=4096)
def _tokens(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+|[^\w\s]+", text))
