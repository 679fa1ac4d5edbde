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

from data_pipeline.source.pure_modules import uses_pure_modules

_CACHES = "_cache"  # names of caches begin so; no program sees what they hold
_FURTHER = ("register", "mro", "__mro__", "__base__", "__bases__", "__subclasses__")
_INTERPRETER = "sys"  # of which programs use constants alone


class Surroundings:
    """What a program's calls share, as it was when this object was made.

    A program that imports other modules than those that only compute, or that reaches for what no
    variable of a module shows, is not watched: it counts as one that changes everything.
    """

    def __init__(self, program: str):
        tree = _parse(program)
        self._is_watched = uses_pure_modules(tree) and not _reaches_further(tree)
        shared = _shared(tree) if self._is_watched else ()
        self._before = [(one, _contents(one)) for one in shared]

    def are_unchanged(self) -> bool:
        same = (_is_same(_contents(one), before) for one, before in self._before)
        return self._is_watched and all(same)


def _parse(program: str) -> ast.Module:
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ast.Module([], [])  # its calls give errors and change nothing


def _reaches_further(tree: ast.Module) -> bool:
    """Returns whether a program names classes' registries and relations, or a module's own parts.

    `Number.register` changes what isinstance says, `object.__subclasses__()` gives classes of
    modules that are not imported, `re._cache` is what programs are not meant to see.
    """
    modules = {name.partition(".")[0] for name in _imported_names(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in _FURTHER:
            return True
        if isinstance(node, ast.Attribute):
            of_module = isinstance(node.value, ast.Name) and node.value.id in modules
            if node.attr in _FURTHER or (of_module and node.attr.startswith("_")):
                return True
    return False


def _shared(tree: ast.Module) -> Iterator[Any]:
    """Yields the modules that a program imports, and their variables."""
    for module in _imported_modules(tree):
        yield module
        for name, value in list(vars(module).items()):
            if not name.startswith(_CACHES) and not isinstance(value, types.ModuleType):
                yield value


def _imported_modules(tree: ast.Module) -> list[types.ModuleType]:
    """Imports and returns the modules that a program names, with their packages and parts."""
    roots = set()
    for name in _imported_names(tree):
        with contextlib.suppress(ImportError):
            __import__(name)
        roots.add(name.partition(".")[0])
    roots.discard(_INTERPRETER)
    return [module for name, module in sys.modules.items() if name.partition(".")[0] in roots]


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


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
