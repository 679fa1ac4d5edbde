"""Defines the kinds of argument values, and tells whether a value is of a kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data_pipeline.source.constructed import Constructed


@dataclass(frozen=True)
class ValueKind:
    """Names a type of arguments.

    name:  "int", "float", "bool", "str", "bytes", "none", "list", "tuple", "set", "dict", "any";
           of annotations alone: "frozenset", "abstract set", "tuples" (of any length),
           "sequence", "collection", "hashable", "union", "literal", "enum", "record" (TypedDict),
           "object", "instance" (of a class that only examples construct), "again" (a type
           inside itself) and "never" (no literal is one)
    parts: kinds of the items (list, set, tuples, sequence, collection: one; dict: key and value;
           tuple, record, object: each; union: the alternatives)
    names: literal: texts of the values; enum: members; record: its fields, with "?" where one may
           be missing; object: the class, then its fields, with "?" for those with a default
    """

    name: str
    parts: tuple["ValueKind", ...] = ()
    names: tuple[str, ...] = ()


INT, FLOAT, BOOL, STR, BYTES, NONE, ANY, NEVER, AGAIN = map(
    ValueKind, ("int", "float", "bool", "str", "bytes", "none", "any", "never", "again")
)
INSTANCE = ValueKind("instance")
LIST = ValueKind("list", (ANY,))
INTS = ValueKind("list", (INT,))
DICT = ValueKind("dict", (ANY, ANY))

# Python types of the plain kinds. The numeric tower of PEP 484: an int is a float.
_PLAIN: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "bytes": (bytes,),
    "none": (type(None),),
}
_HOLDERS: Mapping[str, tuple[type, ...]] = {
    "list": (list,),
    "tuples": (tuple,),
    "set": (set,),
    "frozenset": (frozenset,),
    "abstract set": (set, frozenset),
    "sequence": (list, tuple, str, bytes, range),
    "collection": (list, tuple, str, bytes, range, set, frozenset, dict),
}


def accepts(kind: ValueKind, value: Any) -> bool:
    """Returns whether a value is of a kind, by the rules of a run-time type checker."""
    if kind.name in _PLAIN:
        return isinstance(value, _PLAIN[kind.name])
    if kind.name in _HOLDERS:
        if not isinstance(value, _HOLDERS[kind.name]):
            return False
        if isinstance(value, str):  # its items are texts, and so on without end
            return not value or accepts_text(kind.parts[0])
        return all(accepts(kind.parts[0], item) for item in value)
    match kind.name:
        case "tuple":
            return isinstance(value, tuple) and _accepts_each(kind.parts, value)
        case "dict":
            return isinstance(value, dict) and all(
                accepts(kind.parts[0], key) and accepts(kind.parts[1], item)
                for key, item in value.items()
            )
        case "union":
            return any(accepts(part, value) for part in kind.parts)
        case "literal":
            return type(value) in (int, bool, str, bytes, type(None)) and repr(value) in kind.names
        case "hashable":
            return not isinstance(value, (list, set, dict))
        case "record":
            return isinstance(value, dict) and _accepts_fields(kind.names, kind.parts, value)
        case "enum":
            return isinstance(value, Constructed) and value.name in kind.names
        case "object":
            return _accepts_object(kind, value)
        case "instance":
            return isinstance(value, Constructed)
    return kind.name != "never"


def accepts_text(kind: ValueKind) -> bool:
    """Returns whether texts of one character are of a kind."""
    return accepts(kind, "a") or accepts(kind, "")


def _accepts_each(kinds: tuple[ValueKind, ...], values: tuple[Any, ...]) -> bool:
    return len(kinds) == len(values) and all(map(accepts, kinds, values))


def _accepts_fields(
    names: tuple[str, ...], kinds: tuple[ValueKind, ...], given: Mapping[str, Any]
) -> bool:
    by_name = {name.removesuffix("?"): kind for name, kind in zip(names, kinds, strict=True)}
    needed = {name for name in names if not name.endswith("?")}
    return needed <= given.keys() <= by_name.keys() and all(
        accepts(by_name[name], item) for name, item in given.items()
    )


def _accepts_object(kind: ValueKind, value: Any) -> bool:
    if not isinstance(value, Constructed) or value.name != kind.names[0] or value.args is None:
        return False
    fields = kind.names[1:]
    if not fields:  # a class of the standard library
        return True
    names = [name.removesuffix("?") for name in fields]
    given = dict(zip(names, value.args, strict=False)) | dict(value.kwargs)
    return len(value.args) <= len(names) and _accepts_fields(fields, kind.parts, given)


def is_definite(kind: ValueKind) -> bool:
    """Returns whether a kind says all about its values: it has no "any" in it."""
    return kind.name not in ("any", "never") and all(map(is_definite, kind.parts))


def can_be_made(kind: ValueKind) -> bool:
    """Returns whether some literal is of a kind."""
    if kind.name in ("never", "again", "instance"):
        return False
    if kind.name == "union":
        return any(map(can_be_made, kind.parts))
    if kind.name in ("tuple", "record", "object"):
        needed = [
            part
            for number, part in enumerate(kind.parts)
            if kind.name == "tuple"
            or not kind.names[number + (kind.name == "object")].endswith("?")
        ]
        return all(map(can_be_made, needed))
    return True


def field_names(kind: ValueKind) -> Iterator[str]:
    """Yields the fields of the records and objects in a kind."""
    if kind.name in ("record", "object"):
        yield from (name.removesuffix("?") for name in kind.names)
    for part in kind.parts:
        yield from field_names(part)


def kind_of(value: Any) -> ValueKind:
    """Returns the kind of a literal value; "any" for mixed items."""
    if value is None:
        return NONE
    name = type(value).__name__
    if isinstance(value, (list, set)):
        return ValueKind(name, (_common_kind([kind_of(item) for item in value]),))
    if isinstance(value, dict):
        keys, values = map(kind_of, value.keys()), map(kind_of, value.values())
        return ValueKind("dict", (_common_kind([*keys]), _common_kind([*values])))
    if isinstance(value, tuple):
        return ValueKind("tuple", tuple(map(kind_of, value)))
    return ValueKind(name) if name in ("int", "float", "bool", "str", "bytes") else ANY


def _common_kind(kinds: list[ValueKind]) -> ValueKind:
    return kinds[0] if kinds and all(kind == kinds[0] for kind in kinds) else ANY
