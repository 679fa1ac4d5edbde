"""Tells whether a call left the modules that its program imports as it found them.

Each call has the program's own module anew; what the calls of one process share are modules of the
standard library. This module looks at those that the program names: at their variables, and at the
items or attributes of each variable, by identity. Standard library only: runs inside the sandbox.
"""

import ast
import contextlib
import decimal
import operator
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

_CACHES = "_cache"  # names of caches begin so; no program sees what they hold
_INTERPRETER = "sys"  # of which seeds may use constants alone


class Surroundings:
    """What a program's calls share, as it was when this object was made."""

    def __init__(self, program: str):
        self._before = [(one, _contents(one)) for one in _shared(program)]

    def are_unchanged(self) -> bool:
        return all(_is_same(_contents(one), before) for one, before in self._before)


def _shared(program: str) -> Iterator[Any]:
    """Yields the modules that a program imports, and their variables."""
    for module in _imported_modules(program):
        yield module
        for name, value in list(vars(module).items()):
            if not name.startswith(_CACHES) and not isinstance(value, types.ModuleType):
                yield value


def _imported_modules(program: str) -> list[types.ModuleType]:
    """Imports and returns the modules that a program names, with their packages and parts."""
    roots = set()
    for name in _imported_names(program):
        with contextlib.suppress(ImportError):
            __import__(name)
        roots.add(name.partition(".")[0])
    roots.discard(_INTERPRETER)
    return [module for name, module in sys.modules.items() if name.partition(".")[0] in roots]


def _imported_names(program: str) -> list[str]:
    if "import" not in program:
        return []
    try:
        nodes = list(ast.walk(ast.parse(program)))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return names + [one.module for one in nodes if isinstance(one, ast.ImportFrom) and one.module]


def _contents(value: Any) -> tuple[Any, ...]:
    """Returns the items or the attributes of an object; nothing for one that has neither."""
    kind = type(value)
    if kind in (list, set, deque):
        return tuple(value)
    if kind is bytearray:
        return tuple(bytes(value))
    if kind is decimal.Context:
        return tuple(repr(value))
    attributes = value if kind is dict else getattr(value, "__dict__", None) or {}
    return (*attributes.keys(), *attributes.values())


def _is_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))
