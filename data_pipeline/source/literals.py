"""Values written as Python literals: read without running anything, compared type for type."""

import ast
import re
import warnings
from typing import Any

MAX_CHARACTERS = 20_000
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_STRING = re.compile(r"""[bBrR]{0,2}('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""")
_ATOM = re.compile(
    r"[-+]?(?:0[xob][0-9a-fA-F]+|(?:\d[\d_]*)(?:\.\d+)?(?:[eE][-+]?\d+)?j?|\.\d+)(?![\w])"
    r"|(?:True|False|None)(?!\w)|set\(\)"
)


class LiteralError(ValueError):
    """Text that is no Python literal, or one too large to read."""


def parse_literal(text: str) -> Any:
    """The value that `text` spells. Never evaluates code; raises LiteralError."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise LiteralError(
            f"a literal of {len(text)} characters, at most {MAX_CHARACTERS} are read"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd backslash is the text's own business
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise LiteralError(f"no Python literal: {text[:80]!r}") from error


def is_literal(text: str) -> bool:
    try:
        parse_literal(text)
    except LiteralError:
        return False
    return True


def literal_end(text: str, start: int) -> int | None:
    """Where the literal that begins at `start` ends; None where none begins there.

    Prose may follow: the `3` of "a=3." ends before the period.
    """
    if start >= len(text):
        return None
    if text[start] not in _CLOSING:
        match = _STRING.match(text, start) or _ATOM.match(text, start)
        return match.end() if match else None
    open_brackets, i = [], start
    while i < len(text):
        character = text[i]
        if character in "'\"":
            match = _STRING.match(text, i)
            if match is None:
                return None
            i = match.end()
            continue
        if character in _CLOSING:
            open_brackets.append(_CLOSING[character])
        elif character in "])}":
            if open_brackets.pop() != character:
                return None
            if not open_brackets:
                return i + 1
        i += 1
    return None


def same_value(one: Any, other: Any) -> bool:
    """Equal with equal types all through: 1 is not True, 2 not 2.0, 0.0 not -0.0; NaN is NaN.

    Of a dict the order does not count, as in Python's own comparison.
    """
    try:
        return _tagged(one) == _tagged(other)
    except RecursionError:
        return False


def _tagged(value: Any):
    """A hashable form in which `==` sees types."""
    kind = type(value)
    if kind in (list, tuple):
        return (kind, tuple(_tagged(item) for item in value))
    if kind in (set, frozenset):
        return (kind, frozenset(_tagged(item) for item in value))
    if kind is dict:
        return (kind, frozenset((_tagged(key), _tagged(item)) for key, item in value.items()))
    if kind in (float, complex):
        return (kind, repr(value))
    return (kind, value)
