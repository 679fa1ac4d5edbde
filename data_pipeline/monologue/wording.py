"""Formats values and code for narrators, and chooses among equivalent wordings."""

import ast
import functools
import random
from collections.abc import Sequence

from data_pipeline.source.literals import LiteralError, parse_literal

MOST_CODE = 90


class Words:
    """Chooses among equivalent wordings, the same way for the same seed.

    values: maximum characters of a value in a step.
    """

    def __init__(self, seed: str, values: int):
        self._random = random.Random(seed)
        self.values = values

    def choose(self, options: Sequence[str]) -> str:
        return options[self._random.randrange(len(options))]

    def value(self, text: str | None) -> str | None:
        return shorten_value(text, self.values) if text is not None else None


@functools.lru_cache(maxsize=4096)
def shorten_value(text: str, most: int) -> str | None:
    """Shortens a value's text to `most` characters; returns None if it is no literal."""
    if text.startswith("<") or "\n" in text or "`" in text or "⟦" in text or "⟧" in text:
        return None
    cut = text.endswith("⟩") and "…⟨+" in text
    if not cut:
        try:
            value = parse_literal(text)
        except LiteralError:
            return None
        if "..." in text or "…" in text:
            return None
        if len(text) <= most:
            return text
        if isinstance(value, list | tuple) and len(value) > 2:
            return _short_sequence(value, most)
        if isinstance(value, str) and text[0] == text[-1]:
            return text[: most - 2].rstrip("\\") + "…" + text[0]
    return None


def _short_sequence(value: list | tuple, most: int) -> str | None:
    opening, closing = "[]" if isinstance(value, list) else "()"
    last = repr(value[-1])
    room, kept = most - len(last) - 8, []
    for item in value[:-1]:
        text = repr(item)
        room -= len(text) + 2
        if room < 0:
            break
        kept.append(text)
    if not kept:
        return None
    return f"{opening}{', '.join(kept)}, ..., {last}{closing}"


def code_of(node: ast.AST, most: int = MOST_CODE) -> str | None:
    """Returns the code of a node on one line, in backticks; None if it is too long."""
    try:
        text = ast.unparse(node)
    except (ValueError, RecursionError):
        return None
    if "\n" in text or len(text) > most or "`" in text:
        return None
    return f"`{text}`"


def join_words(parts: Sequence[str]) -> str:
    """Joins words as "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
