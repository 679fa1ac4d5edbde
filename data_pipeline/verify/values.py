"""Compares a value as a monologue writes it with its text in a trace."""

import functools
import re

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE

_CUT = re.compile(r"…⟨\+\d+ characters(?: at least)?⟩$")
_GAP = re.compile(r"\s*(?:\.\.\.|…)\s*")


@functools.lru_cache(maxsize=4096)
def compare(text: str, real: str) -> str:
    """Returns the verdict on the literal `text` where the run had the value rendered as `real`.

    A gap ("[1, 2, ..., 9]", "'abc…'") matches anything. Where `real` is cut, as in "…⟨+9
    characters⟩", a text with a gap after a fitting start is confirmed, and what tells more than is
    known is not checkable.
    """
    text = text.strip()
    if text == real:
        return CONFIRMED
    cut = _CUT.search(real)
    if _GAP.search(text) or cut:
        start = real[: cut.start()] if cut else real
        verdict = _compare_ends(text, start, bool(cut))
        if cut and verdict == CONFIRMED and _tells_more(text):
            return NOT_CHECKABLE
        return verdict
    try:
        real_value = _parse_value(real)
    except LiteralError:  # an object
        return NOT_CHECKABLE
    try:
        return CONFIRMED if same_value(_parse_value(text), real_value) else CONTRADICTED
    except LiteralError:
        return CONTRADICTED
    except ValueError:
        return NOT_CHECKABLE


@functools.lru_cache(maxsize=4096)
def _parse_value(text: str) -> object:
    return parse_literal(text)


def _compare_ends(text: str, real: str, cut: bool) -> str:
    if text[:1] == "{":  # a set may be written in any order
        return CONFIRMED if _ends_fit(text, real, cut) else NOT_CHECKABLE
    return CONFIRMED if _ends_fit(text, real, cut) else CONTRADICTED


def _ends_fit(text: str, real: str, cut: bool) -> bool:
    parts = _GAP.split(_CUT.sub("…", text))
    head, tail = _plain(parts[0]), _plain(parts[-1])
    real = _plain(real)
    if len(parts) == 1:
        return cut and head.startswith(real)
    if not real.startswith(head):
        return False
    return cut or tail in ("'", "") or real.endswith(tail)


def _tells_more(text: str) -> bool:
    """Returns whether a text tells how a value ends: it is whole, or goes on behind its gap."""
    parts = _GAP.split(_CUT.sub("…", text))
    return len(parts) == 1 or _plain(parts[-1]) not in ("", "'")


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text).replace('"', "'")
