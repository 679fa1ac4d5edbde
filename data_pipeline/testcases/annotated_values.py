"""Makes values of the kinds that only annotations name."""

import ast
import random
from collections.abc import Callable
from typing import Any

from data_pipeline.source.constructed import Constructed
from data_pipeline.testcases.value_kind import ANY, INT, STR, ValueKind, can_be_made

Make = Callable[[ValueKind, str], Any]  # makes a value of a kind for a name

_SHALLOW = 4  # deeper than this, unions and optional fields take what is simplest


def make_annotated(kind: ValueKind, make: Make, rng: random.Random, name: str, depth: int) -> Any:
    """Returns a value of `kind`. Raises KeyError for a kind that it does not know."""
    match kind.name:
        case "sequence" | "collection":
            items = make(ValueKind("list", kind.parts), name)
            return tuple(items) if rng.random() < 0.15 else items
        case "tuples":
            return tuple(make(ValueKind("list", kind.parts), name))
        case "frozenset":
            return frozenset(make(ValueKind("set", kind.parts), name))
        case "abstract set":
            return make(ValueKind("set", kind.parts), name)
        case "hashable":
            return make(rng.choice((INT, STR)), name)
        case "literal":
            return ast.literal_eval(rng.choice(kind.names))
        case "enum":
            return Constructed(rng.choice(kind.names))
        case "union":
            return make(_alternative(kind, rng, depth), name)
        case "record":
            return dict(_fields(kind.names, kind.parts, make, rng, depth))
        case "object" if kind.parts:
            made = _fields(kind.names[1:], kind.parts, make, rng, depth)
            return Constructed(kind.names[0], (), tuple(made))
        case "object":
            return _standard_object(kind.names[0], kind.names[1:], make, rng)
    raise KeyError(kind.name)


def _alternative(kind: ValueKind, rng: random.Random, depth: int) -> ValueKind:
    """Returns an alternative of a union; None is given less often, as callers do."""
    parts = [part for part in kind.parts if can_be_made(part)]
    if depth > _SHALLOW:
        parts = [part for part in parts if not part.parts] or parts
    return rng.choices(parts, [0.4 if part.name == "none" else 1.0 for part in parts])[0]


def _fields(
    names: tuple[str, ...],
    kinds: tuple[ValueKind, ...],
    make: Make,
    rng: random.Random,
    depth: int,
) -> list[tuple[str, Any]]:
    """Returns fields with values; those that may be missing are given half of the time."""
    made = []
    for name, kind in zip(names, kinds, strict=True):
        own = name.removesuffix("?")
        is_left_out = own != name and (depth > _SHALLOW or rng.random() < 0.5)
        if not is_left_out and can_be_made(kind):
            made.append((own, make(ANY if kind == ANY else kind, own)))
    return made


def _standard_object(
    name: str, items: tuple[str, ...], make: Make, rng: random.Random
) -> Constructed:
    """Returns an object of a class of the standard library, as its `repr` writes it.

    items: names of the plain kinds of its items, if its annotation names them
    """
    kinds = [INT if item == "int" else STR for item in items]
    match name.split(".")[-1]:
        case "Counter":
            keys = make(ValueKind("list", (kinds[0] if kinds else STR,)), "words")
            return Constructed(name, ({key: rng.randint(1, 5) for key in keys},))
        case "OrderedDict":
            key, value = kinds if len(kinds) == 2 else (STR, INT)
            return Constructed(name, (make(ValueKind("dict", (key, value)), "table"),))
        case "deque":
            return Constructed(
                name, (make(ValueKind("list", (kinds[0] if kinds else INT,)), "items"),)
            )
        case "Decimal":
            return Constructed(name, (rng.choice(("0", "1.50", "9.99", "12.25", "100")),))
        case "Fraction":
            return Constructed(name, (rng.randint(-3, 9), rng.randint(1, 8)))
        case "timedelta":
            return Constructed(name, (), (("days", rng.choice((0, 1, 7, 30))),))
        case "datetime":
            hours = (rng.choice((0, 8, 12, 23)), rng.choice((0, 15, 30, 59)))
            return Constructed(name, (*_day(rng), *hours))
    return Constructed(name, _day(rng))


def _day(rng: random.Random) -> tuple[int, int, int]:
    return rng.choice((1999, 2023, 2024)), rng.randint(1, 12), rng.choice((1, 15, 28))
