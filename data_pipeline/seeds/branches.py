"""Chooses the branches of module-level `if` and `try` that this Python would run.

Evaluates tests of the Python version, the platform and constants without running the file.
"""

import ast
import builtins
import contextlib
import importlib
import operator
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data_pipeline.seeds.reading import PYTHON, statements_within
from data_pipeline.seeds.screening import has_attribute
from data_pipeline.source.pure_modules import MODULES


@dataclass(frozen=True)
class Dropped:
    """Holds a definition that this Python does not reach. reason, detail: as in a Refusal."""

    name: str
    line: int
    reason: str
    detail: str


class _Unknown(Exception):
    """The value depends on more than version, platform and constants."""


_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}
_VERSION = tuple(sys.version_info)
_ATTRIBUTES = {
    ("sys", "version_info"): _VERSION,
    ("sys", "hexversion"): sys.hexversion,
    ("sys", "platform"): sys.platform,
    ("sys", "maxsize"): sys.maxsize,
    ("sys", "maxunicode"): sys.maxunicode,
    ("sys", "byteorder"): sys.byteorder,
    ("os", "name"): os.name,
    ("six", "PY2"): False,
    ("six", "PY3"): True,
}
_PARTS = {"major": 0, "minor": 1, "micro": 2}


class Branches:
    """Flattens the statements of a module; `dropped` holds the definitions left out on the way."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {"__name__": "module"}  # names with a value known here
        self.bound: set[str] = set()
        self.dropped: list[Dropped] = []

    def flatten(self, statements: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
        """Yields the statements at module level that this Python would run."""
        for statement in statements:
            if isinstance(statement, ast.If):
                yield from self._branch(statement)
            elif isinstance(statement, ast.Try) and _guards(statement):
                yield from self._guarded(statement)
            else:
                self._learn(statement)
                yield statement

    def _branch(self, statement: ast.If) -> Iterator[ast.stmt]:
        try:
            truth = bool(self._value(statement.test))
        except _Unknown:
            self._learn(statement)
            yield statement
            return
        taken, left = statement.body, statement.orelse
        if not truth:
            taken, left = left, taken
        test = ast.unparse(statement.test)
        reason = "test or script" if "__name__" in test else "not for this Python"
        self._drop(left, reason, f"`{test}` is {truth} in {PYTHON}")
        yield from self.flatten(taken)

    def _guarded(self, statement: ast.Try) -> Iterator[ast.stmt]:
        if self._runs(statement):
            handlers = [inner for handler in statement.handlers for inner in handler.body]
            self._drop(handlers, "replaced by an import", "`try` succeeds in " + PYTHON)
            yield from self.flatten([*statement.body, *statement.orelse])
        else:
            self._drop(
                [*statement.body, *statement.orelse], "foreign import", ast.unparse(statement)[:60]
            )
            yield from self.flatten(statement.handlers[0].body)
        yield from self.flatten(statement.finalbody)

    def _runs(self, statement: ast.Try) -> bool:
        """Returns whether the body runs without ImportError, NameError or AttributeError."""
        if not _imports_only_available(statement.body):
            return False
        for node in (node for inner in statement.body for node in _now(inner)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                known = node.id in self.bound or hasattr(builtins, node.id)
                if not known and not _binds(statement.body, node.id):
                    return False
        return True

    def _drop(self, statements: Sequence[ast.stmt], reason: str, detail: str) -> None:
        for statement in statements:
            for inner in statements_within(statement):
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    self.dropped.append(Dropped(inner.name, inner.lineno, reason, detail))

    def _learn(self, statement: ast.stmt) -> None:
        """Notes the names that a statement binds, and the value if it is known."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.bound.add(node.id)
                self.known.pop(node.id, None)
            elif isinstance(node, ast.alias):
                self.bound.add(node.asname or node.name.split(".")[0])
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.bound.add(node.name)
        match statement:
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    if (module, alias.name) in _ATTRIBUTES:
                        self.known[alias.asname or alias.name] = _ATTRIBUTES[module, alias.name]
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                with contextlib.suppress(_Unknown):
                    self.known[name] = self._value(value)

    # ---- values

    def _value(self, node: ast.expr) -> Any:
        try:
            return self._evaluate(node)
        except _Unknown:
            raise
        except Exception as error:  # such as a comparison of a tuple with a number
            raise _Unknown from error

    def _evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Tuple(elts=items) | ast.List(elts=items):
                return tuple(self._evaluate(item) for item in items)
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return False
            case ast.Name(id=name) if name in self.known:
                return self.known[name]
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if (owner, name) in _ATTRIBUTES:
                return _ATTRIBUTES[owner, name]
            case ast.Attribute(value=value, attr=name) if name in _PARTS:
                return self._version(value)[_PARTS[name]]
            case ast.Subscript(value=value, slice=ast.Slice(lower=low, upper=high, step=None)):
                bounds = [None if part is None else self._evaluate(part) for part in (low, high)]
                return self._evaluate(value)[slice(*bounds)]
            case ast.Subscript(value=value, slice=index):
                return self._evaluate(value)[self._evaluate(index)]
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return not self._evaluate(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._evaluate(operand)
            case ast.BoolOp(op=operation, values=values):
                return self._connected(values, isinstance(operation, ast.Or))
            case ast.Compare(left=left, ops=operations, comparators=others):
                return self._compared([left, *others], operations)
            case ast.Call():
                return self._called(node)
        raise _Unknown

    def _version(self, node: ast.expr) -> Any:
        value = self._evaluate(node)
        if value is not _VERSION:
            raise _Unknown
        return value

    def _connected(self, values: Sequence[ast.expr], is_or: bool) -> Any:
        """Evaluates `and` or `or`: one part may decide although another is unknown."""
        unknown = False
        value = not is_or
        for node in values:
            try:
                value = self._evaluate(node)
            except _Unknown:
                unknown = True
                continue
            if bool(value) is is_or:
                return value
        if unknown:
            raise _Unknown
        return value

    def _compared(self, sides: Sequence[ast.expr], operations: Sequence[ast.cmpop]) -> bool:
        values = [self._evaluate(side) for side in sides]
        return all(
            _COMPARISONS[type(operation)](values[n], values[n + 1])
            for n, operation in enumerate(operations)
        )

    def _called(self, node: ast.Call) -> Any:
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="startswith"), args=[prefix]):
                return self._evaluate(owner).startswith(self._evaluate(prefix))
            case ast.Call(func=ast.Attribute(attr="python_implementation"), args=[]):
                return sys.implementation.name.replace("cp", "CP")
            case ast.Call(func=ast.Name(id="hasattr"), args=[ast.Name(id=owner), name]):
                return self._has_attribute(owner, self._evaluate(name))
        raise _Unknown

    def _has_attribute(self, owner: str, name: str) -> bool:
        if isinstance(getattr(builtins, owner, None), type):
            return hasattr(getattr(builtins, owner), name)
        if owner in MODULES and owner in self.bound:
            return hasattr(importlib.import_module(owner), name)
        raise _Unknown


def _guards(statement: ast.Try) -> bool:
    """Returns whether a handler is there for a module or name that some Pythons do not have."""
    caught = {
        node.id
        for handler in statement.handlers
        for node in ast.walk(handler.type or ast.Name("Exception", ast.Load()))
        if isinstance(node, ast.Name)
    }
    if "NameError" in caught:
        return True
    return bool(
        caught & {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception"}
    ) and (any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in statement.body))


def _imports_only_available(statements: Sequence[ast.stmt]) -> bool:
    """Returns whether all imports are relative or from this Python's standard library."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            found = [(alias.name, None) for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            found = [(statement.module or "", alias.name) for alias in statement.names]
        else:
            continue
        for name, attribute in found:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names or top.startswith("_"):
                return False
            if name in MODULES and not has_attribute(name, attribute):
                return False
    return True


def _now(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yields the nodes that run with the statement, not those in function bodies."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += [*node.decorator_list, *node.args.defaults]
        elif not isinstance(node, (ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _binds(statements: Sequence[ast.stmt], name: str) -> bool:
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                return True
            if isinstance(node, ast.arg) and node.arg == name:
                return True
            if isinstance(node, ast.alias) and (node.asname or node.name.split(".")[0]) == name:
                return True
            if getattr(node, "name", None) == name:
                return True
    return False
