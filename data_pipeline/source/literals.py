"""Parses values from Python literals without running code, and compares them with their types."""

import ast
import marshal
import re
import warnings
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from data_pipeline.source.constructed import Constructed, collection_of

MAX_CHARACTERS = 20_000
_SHORT = 200  # characters; many more short texts than long ones are remembered
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_STRING = re.compile(r"""[bBrR]{0,2}('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""")
_ATOM = re.compile(
    r"[-+]?(?:0[xob][0-9a-fA-F]+|(?:\d[\d_]*)(?:\.\d+)?(?:[eE][-+]?\d+)?j?|\.\d+)(?![\w])"
    r"|(?:True|False|None)(?!\w)|set\(\)"
)


class LiteralError(ValueError):
    """The text is not a Python literal, or is too long to parse."""


def parse_literal(text: str) -> Any:
    """Returns the value of a literal without evaluating code. Raises LiteralError if it is none."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise LiteralError(
            f"expected a literal of at most {MAX_CHARACTERS} characters, got {len(text)}"
        )
    try:
        make = _short_maker(text) if len(text) <= _SHORT else _long_maker(text)
    except (MemoryError, RecursionError) as error:
        raise LiteralError(f"not a Python literal: {text[:80]!r}") from error
    if make is None:
        raise LiteralError(f"not a Python literal: {text[:80]!r}")
    return make()


def _maker(text: str) -> Callable[[], Any] | None:
    """Returns a function that makes the value anew at each call; None if the text is no literal.

    The values of a run are read again and again, and callers may change what they get.
    Unmarshalling copies ten times faster than `literal_eval`, but may give a set another order.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape such as "\d" is still a value
            tree = ast.parse(text, mode="eval")
        value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError):
        return None
    if any(isinstance(node, ast.Set | ast.Call) for node in ast.walk(tree)):
        return partial(ast.literal_eval, tree)
    return partial(marshal.loads, marshal.dumps(value))


_short_maker = lru_cache(maxsize=8192)(_maker)
_long_maker = lru_cache(maxsize=256)(_maker)


def value_or_none(text: str | None) -> Any:
    """Returns the value of a literal; None for another text, for None, and for "None"."""
    try:
        return None if text is None else parse_literal(text)
    except LiteralError:
        return None


def is_literal(text: str) -> bool:
    try:
        parse_literal(text)
    except LiteralError:
        return False
    return True


def literal_end(text: str, start: int) -> int | None:
    """Returns the end of the literal that begins at `start`, or None if none begins there.

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
    """Returns whether two values and the types of all their parts are equal.

    1 is not True, 2 is not 2.0, 0.0 is not -0.0; NaN is NaN. Ignores the order of a dict, as `==`.
    """
    try:
        return _typed_form(one) == _typed_form(other)
    except RecursionError:
        return False


_COLLECTIONS = (Counter, OrderedDict, defaultdict, deque)


def _collection_form(value: Any) -> Any:
    """Returns the content as `==` compares it: an OrderedDict and a deque in their order."""
    if isinstance(value, OrderedDict):
        return _typed_form(list(value.items()))
    return _typed_form(list(value) if isinstance(value, deque) else dict(value))


def _typed_form(value: Any):
    """Returns a hashable form of the value, with which `==` also compares types."""
    kind = type(value)
    if kind in (list, tuple):
        return (kind, tuple(_typed_form(item) for item in value))
    if kind in (set, frozenset):
        return (kind, frozenset(_typed_form(item) for item in value))
    if kind is dict:
        return (
            kind,
            frozenset((_typed_form(key), _typed_form(item)) for key, item in value.items()),
        )
    if kind in (float, complex):
        return (kind, repr(value))
    if kind in _COLLECTIONS:
        return (kind, _collection_form(value))
    if kind is Constructed:
        made = collection_of(value)
        if made is not None:
            return _typed_form(made)
        args = None if value.args is None else _typed_form(value.args)
        return (kind, value.name, args, _typed_form(value.kwargs))
    return (kind, value)
