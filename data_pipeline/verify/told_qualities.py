"""Contradicts what is called reversed or sorted where the run reverses or sorts nothing.

"The reversed string is joined" of a program in which no value is another one turned round, and no
code turns one round, is false wherever it stands. A word in a variable's name is no evidence.
"""

import functools
import re
from collections.abc import Callable, Iterator

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.clause_cutting import is_hypothetical
from data_pipeline.verify.pools import Pools
from data_pipeline.verify.program_facts import ProgramFacts

_NOUN = (
    r"(?:\w+ )?(?:version|copy|string|text|list|word|array|number|tuple|sequence|form|characters|"
    r"elements|items|order|input)"
)
_TOLD: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.I))
    for name, pattern in (
        ("reversed", rf"\breversed {_NOUN}\b|\bthe reverse of (?:the|`)"),
        ("sorted", rf"\bsorted {_NOUN}\b"),
    )
)
_UNSURE = re.compile(
    r"\b(?:not|never|no|without|nor|neither|like|as if|expects?|assumes?|already|must|should)\b|"
    r"n't\b",
    re.I,
)
_LONGEST = 300  # of a value that is compared with the others


class ToldQualities:
    """Knows whether a run has anything reversed or sorted."""

    def __init__(self, run: Replay, pools: Pools):
        self.run, self.pools = run, pools

    def denied(self, text: str) -> Iterator[tuple[str, str]]:
        """Yields (what is told, the truth) for each such word that the run denies."""
        plain = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "`", text)
        for name, pattern in _TOLD:
            found = pattern.search(plain)
            sure = found and not _UNSURE.search(plain) and not is_hypothetical(plain)
            if found and sure and name not in self._made:
                yield found[0].rstrip("`").strip(), f"nothing is {name}"

    @functools.cached_property
    def _made(self) -> frozenset[str]:
        """Returns the qualities that something in the run has, or may have."""
        facts = ProgramFacts(self.run)
        pool = self.pools.everything
        values = [one for text in pool.texts if (one := _row(text)) is not None]
        made = set()
        if not pool.complete or facts.turns_round or _has_pair(values, lambda row: row[::-1]):
            made.add("reversed")
        if not pool.complete or facts.sorts or any(map(_is_ordered, values)):
            made.add("sorted")  # also what was given in order
        return frozenset(made)


def _row(text: str) -> tuple[object, ...] | None:
    """Returns the elements of a string, list or tuple that has an order to change."""
    value = value_or_none(text) if len(text) <= _LONGEST else None
    return tuple(value) if isinstance(value, str | list | tuple) and len(value) > 1 else None


def _sorted(row: tuple) -> tuple:
    try:
        return tuple(sorted(row))
    except TypeError:
        return row


def _is_ordered(row: tuple) -> bool:
    return row == _sorted(row) and len(set(map(repr, row))) > 1


def _has_pair(rows: list[tuple], change: Callable[[tuple], tuple]) -> bool:
    """Returns whether one of the rows is another one changed."""
    known = {repr(row) for row in rows}
    changed = {repr(new) for row in rows if (new := change(row)) != row}
    return not known.isdisjoint(changed)
