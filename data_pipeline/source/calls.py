"""Parses a call such as `f(3, key=[1])` into a name and literal arguments; evaluates no code.

Standard library only: this file also runs inside the sandbox.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.source.constructed import (
    ConstructionError,
    construct,
    has_constructed,
    read_constructed,
)
from data_pipeline.source.literals import LiteralError, parse_literal


class CallError(UserError):
    """The program or the call is invalid input, as opposed to a program that fails when it runs.

    reason: "syntax", "entry", "literal" or "arity".
    line:   line of the program at fault, 1-based, or None.
    """

    def __init__(self, reason: str, message: str, line: int | None = None):
        super().__init__(message)
        self.reason = reason
        self.line = line


@dataclass(frozen=True)
class Call:
    """The path of a callable and the values of its arguments.

    path: ("f",) for `f(...)`; ("Solution", "run") with `construct=True` for `Solution().run(...)`,
        which constructs the class without arguments; ("Math", "add") for `Math.add(...)`.
    init_args, init_kwargs: with which `construct` makes the object, as in `Stack([1]).push(2)`.

    Values that a class of the program constructs are `Constructed`; see `with_objects`.
    """

    path: tuple[str, ...]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    construct: bool = False
    init_args: tuple[Any, ...] = ()
    init_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return (self.path[0] + "()." if self.construct else "") + ".".join(
            self.path[1:] if self.construct else self.path
        )


# Constructors of plain values: name -> (constructor, accepted types of its optional argument).
_CONSTRUCTORS: dict[str, tuple[Callable[..., Any], tuple[type, ...]]] = {
    "set": (set, (list, tuple, set, str)),
    "frozenset": (frozenset, (list, tuple, set, frozenset, str)),
    "bytearray": (bytearray, (bytes,)),
    "float": (float, (str,)),
    "dict": (dict, (dict,)),
    "list": (list, (list, tuple, str)),
    "tuple": (tuple, (list, tuple, str)),
}


def parse_call(text: str) -> Call:
    """Parses `f(1, *[2], key=3, **{'k': 4})`, `C(1).method(2)` or `C.method(1)`.

    Arguments are literals, or set(), frozenset(...), bytearray(b"..."), float("nan"), dict(k=1),
    range(...), list(...), tuple(...) of literals, or constructed by a class: `Point(1, y=2)`,
    `Color.RED`, `datetime.date(2024, 1, 31)`.
    Raises CallError with reason "syntax" or "literal" for any other text.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise CallError("syntax", f"the call is not a Python expression: {text[:80]!r}") from error
    if not isinstance(tree, ast.Call):
        raise CallError("syntax", f"expected a call such as f(3), got {text[:80]!r}")
    path, maker = _path(tree.func, text)
    args, kwargs = _arguments(tree)
    if maker is None:
        return Call(path, args, kwargs)
    return Call(path, args, kwargs, True, *_arguments(maker))


def parse_value(text: str) -> Any:
    """Returns the value of a literal, or a `Constructed`, also inside containers.

    Reads what `repr` writes of plain values and of objects that it writes as `Point(x=1, y=2)`.
    Raises LiteralError for any other text.
    """
    try:
        return parse_literal(text)
    except LiteralError as error:
        try:
            return _literal(ast.parse(text.strip(), mode="eval").body)
        except (CallError, SyntaxError, ValueError, MemoryError, RecursionError):
            raise error from None


def _arguments(tree: ast.Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    for node in tree.args:
        if isinstance(node, ast.Starred):
            args.extend(_iterable(node.value))
        else:
            args.append(_literal(node))
    kwargs: dict[str, Any] = {}
    for keyword in tree.keywords:
        items = (
            {keyword.arg: _literal(keyword.value)}
            if keyword.arg is not None
            else _mapping(keyword.value)
        )
        for name, value in items.items():
            if name in kwargs:
                raise CallError("syntax", f"keyword argument repeated: {name}")
            kwargs[name] = value
    return tuple(args), kwargs


def _path(node: ast.expr, text: str) -> tuple[tuple[str, ...], ast.Call | None]:
    """Returns the path that a call names and the call that constructs its object."""
    if isinstance(node, ast.Name):
        return (node.id,), None
    if isinstance(node, ast.Attribute):
        owner = node.value
        if isinstance(owner, ast.Name):
            return (owner.id, node.attr), None
        if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Name):
            return (owner.func.id, node.attr), owner
    raise CallError("syntax", f"expected f(...), C(...).f(...) or C.f(...), got {text[:80]!r}")


def _literal(node: ast.expr) -> Any:
    """Returns the value of a literal expression. Raises CallError("literal") for any other."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "dict" and not node.args:
            if all(keyword.arg is not None for keyword in node.keywords):
                return {str(key.arg): _literal(key.value) for key in node.keywords}
            raise _no_literal(node)
        if node.keywords and node.func.id in ("range", *_CONSTRUCTORS):
            raise _no_literal(node)
        if node.func.id == "range" and 1 <= len(node.args) <= 3:
            return _range(node)
        constructor, types = _CONSTRUCTORS.get(node.func.id, (None, ()))
        if constructor is not None and not node.args:
            return constructor()
        if constructor is not None and len(node.args) == 1:
            argument = _literal(node.args[0])
            if type(argument) in types:
                try:
                    return constructor(argument)
                except (TypeError, ValueError) as error:
                    raise _no_literal(node) from error
    # literal_eval would reject constructors inside containers, so this function walks containers.
    try:
        match node:
            case ast.List():
                return [_literal(item) for item in node.elts]
            case ast.Tuple():
                return tuple(_literal(item) for item in node.elts)
            case ast.Set():
                return {_literal(item) for item in node.elts}
            case ast.Dict() if None not in node.keys:
                keys = [_literal(key) for key in node.keys if key is not None]
                return dict(zip(keys, map(_literal, node.values), strict=True))
        made = read_constructed(node, _literal)
        return ast.literal_eval(node) if made is None else made
    except CallError:
        raise
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise _no_literal(node) from error


def _range(node: ast.Call) -> range:
    bounds = [_literal(argument) for argument in node.args]
    if not all(type(bound) is int for bound in bounds):
        raise _no_literal(node)
    try:
        return range(*bounds)
    except ValueError as error:
        raise _no_literal(node) from error


def _no_literal(node: ast.expr) -> CallError:
    try:
        text = ast.unparse(node)
    except (RecursionError, ValueError):
        text = type(node).__name__
    return CallError("literal", f"an argument of the call is not a literal: {text[:80]}")


def _iterable(node: ast.expr) -> Any:
    value = _literal(node)
    if not isinstance(value, (list, tuple, set, frozenset, dict, str, bytes, bytearray)):
        raise CallError("literal", f"argument after * must be iterable, got {value!r}"[:160])
    return value


def _mapping(node: ast.expr) -> dict[str, Any]:
    value = _literal(node)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise CallError(
            "literal", f"argument after ** must be a dict of names, got {value!r}"[:160]
        )
    return value


def compile_program(source: str, filename: str = "<program>") -> ast.Module:
    """Parses a program into a syntax tree. Raises CallError("syntax") with the line at fault."""
    try:
        return ast.parse(source, filename)
    except SyntaxError as error:
        line = error.lineno
        where = "" if line is None else f" at line {line}"  # null bytes have no line
        raise CallError(
            "syntax", f"the program has a syntax error{where}: {error.msg}", line
        ) from error
    except (ValueError, MemoryError, RecursionError) as error:  # null bytes, absurd nesting
        raise CallError("syntax", f"the program cannot be parsed: {cause_of(error)}") from error


def cause_of(error: Exception) -> str:
    """Returns why Python cannot read a text; the parser's own error for deep nesting is empty."""
    deep = isinstance(error, MemoryError | RecursionError)
    return "its code is nested too deeply" if deep else str(error)


def resolve(call: Call, namespace: Mapping[str, Any]) -> Callable[..., Any]:
    """Returns the callable that `call` names.

    Constructs the class if `call.construct` is set, which runs code of the program.
    Raises CallError with reason "entry" if the namespace has no such callable.
    """
    first, *rest = call.path
    if first not in namespace:
        raise CallError("entry", f"the program defines no {first!r}")
    target = namespace[first]
    if call.construct:
        if not isinstance(target, type):
            raise CallError("entry", f"{first!r} is not a class")
        ready = with_objects(call, namespace)
        target = target(*ready.init_args, **ready.init_kwargs)
    for attribute in rest:
        if not hasattr(target, attribute):
            raise CallError("entry", f"{first!r} has no attribute {attribute!r}")
        target = getattr(target, attribute)
    if not callable(target):
        raise CallError("entry", f"{call.name!r} is not callable")
    return target


def needs_objects(call: Call) -> bool:
    """Returns whether an argument of the call is an object of the program's classes."""
    return has_constructed((call.args, dict(call.kwargs), call.init_args, dict(call.init_kwargs)))


def with_objects(call: Call, namespace: Mapping[str, Any]) -> Call:
    """Returns the call with the objects in its arguments made by the program's classes.

    Runs code of the program. Raises CallError with reason "entry" for a class that is not there.
    """
    if not needs_objects(call):
        return call
    values = (call.args, dict(call.kwargs), call.init_args, dict(call.init_kwargs))
    try:
        args, kwargs, init_args, init_kwargs = construct(values, namespace)
    except ConstructionError as error:
        raise CallError("entry", str(error)) from None
    return Call(call.path, args, kwargs, call.construct, init_args, init_kwargs)


def make_call(call: Call, target: Callable[..., Any]) -> Any:
    """Calls `target`, as found by `resolve`.

    Raises the program's own exceptions, and CallError("arity") if the arguments do not fit.
    """
    try:
        return target(*call.args, **call.kwargs)
    except TypeError as error:
        # Looking up a signature is slow, so do it only if the call never entered a function.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            _check_arity(call, target)
        raise


def _check_arity(call: Call, target: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(target)
    except (ValueError, TypeError):  # builtins without a signature
        return
    try:
        signature.bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise CallError(
            "arity", f"the call does not fit {call.name}{signature}: {error}"
        ) from error
