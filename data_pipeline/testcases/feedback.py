"""Infers kinds of arguments from failed runs.

Python's own messages name the type that they found and the operation that it lacks.
"""

import re
from collections.abc import Iterator
from typing import Any

from data_pipeline.testcases.generation import Arguments
from data_pipeline.testcases.kinds import METHODS, EntryParameter, Signature
from data_pipeline.testcases.value_kind import (
    BYTES,
    FLOAT,
    INT,
    INTS,
    STR,
    ValueKind,
    accepts,
    is_definite,
    kind_of,
)
from data_pipeline.tracing.events import Raised

_FAILED, _WORKED = 0.85, 1.1
_LEAST, _MOST = 0.05, 20.0
_HINT = 1.5  # weight of a kind that a message suggests

_MESSAGES = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"a bytes-like object is required, not '(\w+)'", BYTES),
        (r"argument should be bytes, buffer or ASCII string, not '(\w+)'", BYTES),
        (r"'(\w+)' object is not (?:iterable|subscriptable|reversible)", INTS),
        (r"object of type '(\w+)' has no len\(\)", INTS),
        (r"expected str instance, (\w+) found", STR),
        (
            r"(?:must be|expected) str(?:ing)?(?: or bytes-like object)?,? (?:not|got) '?(\w+)'?",
            STR,
        ),
        (r"expected string or bytes-like object, got '(\w+)'", STR),
        (r"requires string as left operand, not (\w+)", STR),
        (r"'(\w+)' object cannot be interpreted as an integer", INT),
        (r"(?:list|string|tuple) ind(?:ices|ex) must be integers or slices, not (\w+)", INT),
        (r"must be real number, not (\w+)", FLOAT),
        (r"'(\w+)' object is not a mapping", ValueKind("dict", (STR, INT))),
        (r"cannot unpack non-iterable (\w+) object", ValueKind("tuple", (INT, INT))),
    )
)
_ATTRIBUTE = re.compile(r"'(\w+)' object has no attribute '(\w+)'")


def pair_arguments(
    signature: Signature, arguments: Arguments
) -> Iterator[tuple[EntryParameter, Any]]:
    """Yields each parameter that received a value, with it; `*args` once for each value."""
    positional = [one for one in signature.parameters if one.style == "positional"]
    star = next((one for one in signature.parameters if one.style == "star"), None)
    yield from zip(positional, arguments.args, strict=False)
    if star is not None:
        yield from ((star, value) for value in arguments.args[len(positional) :])
    for one in signature.parameters:
        if one.name in arguments.kwargs:
            yield one, arguments.kwargs[one.name]


def keeps_to_law(signature: Signature, arguments: Arguments) -> bool:
    """Returns whether every argument is of the kind that its annotation names."""
    return all(accepts(one.law, value) for one, value in pair_arguments(signature, arguments))


def reweigh(signature: Signature, arguments: Arguments, raised: Raised | None) -> None:
    """Raises the weights of kinds that a run accepted and lowers those of kinds that it failed on.

    raised: the exception of the run, None if it returned.
    """
    if raised is not None and raised.type not in ("TypeError", "AttributeError"):
        return
    factor = _WORKED if raised is None else _FAILED
    hint = None if raised is None else parse_hint(raised)
    for parameter, value in pair_arguments(signature, arguments):
        if is_definite(parameter.law):
            continue
        kind = kind_of(value)
        for known in parameter.kinds:
            if known == kind or (known.name == kind.name and known.parts):
                weight = parameter.kinds[known] * factor
                parameter.kinds[known] = min(max(weight, _LEAST), _MOST)
        if hint is not None:
            met, asked = hint
            wanted = _replace_kind(kind, met, asked)
            if wanted is not None and wanted != kind:
                weight = parameter.kinds.get(wanted, 0.0) + _HINT
                parameter.kinds[wanted] = min(weight, _MOST)


def parse_hint(raised: Raised) -> tuple[str, ValueKind] | None:
    """Returns (name of the type found, kind expected); None if the message names neither."""
    found = _ATTRIBUTE.search(raised.message)
    if found:
        kind = METHODS.get(found[2])
        return None if kind is None else (found[1], kind)
    for pattern, kind in _MESSAGES:
        found = pattern.search(raised.message)
        if found:
            return found[1], kind
    return None


def _replace_kind(kind: ValueKind, met: str, asked: ValueKind) -> ValueKind | None:
    """Replaces the type that was found in `kind`, itself or in its items."""
    met = "none" if met == "NoneType" else met
    if kind.name == met:
        return asked
    if kind.name in ("list", "set", "tuple") and any(part.name == met for part in kind.parts):
        return ValueKind("list", (asked,)) if asked.name in ("list", "dict", "set") else ValueKind(
            kind.name, tuple(asked if part.name == met else part for part in kind.parts)
        )  # fmt: skip
    return None
