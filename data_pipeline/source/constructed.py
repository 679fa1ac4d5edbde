"""Represents values that a class of the program constructs, such as `Point(x=1, y=2)`.

Stands for them outside the sandbox, where the classes do not exist: as their `repr` writes them.
Standard library only: this file also runs inside the sandbox.
"""

import ast
import builtins
import functools
import operator
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Classes of the standard library that are written in lower case.
_LOWER_CASE = frozenset(
    {"date", "datetime", "time", "timedelta", "timezone", "deque", "defaultdict"}
)
# What a defaultdict may be told to make of nothing; no other argument is the name of a class.
_FACTORIES = frozenset({"int", "str", "list", "dict", "set", "float", "tuple", "bool"})


class ConstructionError(ValueError):
    """The names of a constructed value mean no class in the program, or it rejects the values."""


@dataclass(frozen=True)
class Constructed:
    """Holds a call of a class, or an attribute of one, by its text.

    name:   such as "Point", "datetime.date" or, of an Enum, "Color.RED"; of a Flag also
            "Perm.READ|Perm.WRITE"
    args, kwargs: arguments in order; None for an attribute
    """

    name: str
    args: tuple[Any, ...] | None = None
    kwargs: tuple[tuple[str, Any], ...] = ()


def read_constructed(node: ast.expr, value_of: Callable[[ast.expr], Any]) -> Constructed | None:
    """Reads `Point(1, y=2)` or `Color.RED`; returns None for any other expression.

    value_of: reads the arguments
    """
    if isinstance(node, ast.Call):
        path = _path(node.func)
        if not path or not _names_class(path[-1]):
            return None
        if any(isinstance(value, ast.Starred) for value in node.args):
            return None
        kwargs = [(keyword.arg, keyword.value) for keyword in node.keywords]
        if any(name is None for name, _ in kwargs):
            return None
        given = list(node.args)
        args: tuple[Any, ...] = ()
        if path[-1] == "defaultdict" and given and _is_factory(given[0]):
            args = (Constructed(given.pop(0).id),)  # type: ignore[attr-defined]
        args += tuple(value_of(value) for value in given)
        return Constructed(".".join(path), args, tuple((str(k), value_of(v)) for k, v in kwargs))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        members = [read_constructed(part, value_of) for part in (node.left, node.right)]
        names = [one.name for one in members if one is not None and one.args is None]
        return Constructed("|".join(names)) if len(names) == 2 else None
    path = _path(node)
    if len(path) < 2 or not any(map(_names_class, path[:-1])):
        return None
    return Constructed(".".join(path))


def _is_factory(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in _FACTORIES


def _path(node: ast.expr) -> list[str]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _names_class(name: str) -> bool:
    return name.lstrip("_")[:1].isupper() or name in _LOWER_CASE


def construct(value: Any, namespace: Mapping[str, Any]) -> Any:
    """Returns a value with everything constructed in it made by the classes of `namespace`.

    Runs code of the program. Raises ConstructionError for a name that means no class there.
    """
    kind = type(value)
    if kind is Constructed:
        return _make(value, namespace)
    if kind in (list, tuple, set, frozenset):
        return kind(construct(item, namespace) for item in value)
    if kind is dict:
        return {construct(k, namespace): construct(v, namespace) for k, v in value.items()}
    return value


def _make(value: Constructed, namespace: Mapping[str, Any]) -> Any:
    if "|" in value.name:
        members = [_make(Constructed(name), namespace) for name in value.name.split("|")]
        return functools.reduce(operator.or_, members)
    first, *rest = value.name.split(".")
    if value.args is None and first in _FACTORIES and not rest:
        return getattr(builtins, first)
    if first not in namespace:
        raise ConstructionError(f"the program defines no {first!r}")
    found = namespace[first]
    for attribute in rest:
        if not isinstance(found, (type, types.ModuleType)) or not hasattr(found, attribute):
            raise ConstructionError(f"the program has no {value.name!r}")
        found = getattr(found, attribute)
    if value.args is None:
        return found
    if not isinstance(found, type):
        raise ConstructionError(f"{value.name!r} is not a class")
    args = [construct(item, namespace) for item in value.args]
    return found(*args, **{name: construct(item, namespace) for name, item in value.kwargs})


def has_constructed(value: Any) -> bool:
    """Returns whether a value is or contains a `Constructed`."""
    return next(constructed_names(value), None) is not None


def constructed_names(value: Any) -> Iterator[str]:
    """Yields the name of each `Constructed` in a value."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is Constructed:
            yield item.name
            waiting += [*(item.args or ()), *(part for _, part in item.kwargs)]
        elif kind in (list, tuple, set, frozenset):
            waiting += item
        elif kind is dict:
            waiting += [*item.keys(), *item.values()]


def collection_of(value: Constructed) -> Any:
    """Returns the object of a class of `collections` that a call writes, else None.

    A defaultdict loses its factory, which does not count for equality.
    """
    content = value.args[-1] if value.args else None
    match value.name.rpartition(".")[2]:
        case "Counter" if value.args == () or isinstance(content, dict):
            return Counter(content or {})
        case "OrderedDict" if value.args == () or isinstance(content, dict | list):
            return OrderedDict(content or {})
        case "defaultdict" if value.args is not None:
            return defaultdict(None, content if isinstance(content, dict) else {})
        case "deque" if value.args == () or isinstance(content, list | tuple):
            return deque(content or ())
    return None


def with_collections(value: Any) -> Any:
    """Returns a value with the objects of `collections` made that are written in it."""
    kind = type(value)
    if kind is Constructed:
        made = collection_of(value)
        return value if made is None else made
    if kind in (list, tuple):
        return kind(with_collections(item) for item in value)
    if kind is dict:
        return {key: with_collections(item) for key, item in value.items()}
    return value
