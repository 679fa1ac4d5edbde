"""Finds the exits of a function, and tells which of them cannot give a value."""

import ast
from collections.abc import Collection, Iterator, Sequence
from typing import Any

_NUMBERS = (int, float, complex, bool)
_TYPES = {
    "len": int, "sum": None, "str": str, "repr": str, "int": int, "float": float, "bool": bool,
    "list": list, "sorted": list, "tuple": tuple, "dict": dict, "set": set, "ord": int, "chr": str,
    "any": bool, "all": bool, "isinstance": bool,
}  # fmt: skip
_STRING_METHODS = frozenset(("join", "format", "upper", "lower", "strip", "replace", "title"))


def exits(function: ast.FunctionDef) -> Sequence[ast.Return | None] | None:
    """Returns the `return` statements of a function, and None if it may run off its end.

    Returns None for a generator or a decorated function, whose calls give something else.
    """
    own = list(_own_nodes(function))
    if function.decorator_list or any(isinstance(n, ast.Yield | ast.YieldFrom) for n in own):
        return None
    found: list[ast.Return | None] = [node for node in own if isinstance(node, ast.Return)]
    return found if leaves(function.body) else [*found, None]


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
        ):
            yield child
            yield from _own_nodes(child)


def leaves(block: Sequence[ast.stmt]) -> bool:
    """Returns whether control never runs off the end of a block."""
    match block[-1]:
        case ast.Return() | ast.Raise():
            return True
        case ast.If(body=body, orelse=orelse):
            return bool(orelse) and leaves(body) and leaves(orelse)
        case ast.Try(body=body, handlers=handlers, orelse=[], finalbody=[]):
            return leaves(body) and all(leaves(handler.body) for handler in handlers)
        case ast.While(test=ast.Constant(value=True), body=body):
            return not any(isinstance(node, ast.Break) for node in ast.walk(block[-1]))
    return False


def cannot_give(node: ast.expr | None, wanted: Any, own: Collection[str]) -> bool:
    """Returns whether an expression is surely unequal to a value; `node` None stands for None.

    own: names that the program defines, which need not mean Python's builtins.
    """
    if node is None:
        return wanted is not None
    try:
        constant = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        kind = _type_of(node, own)
        return kind is not None and _group(kind) is not _group(type(wanted))
    return constant != wanted


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _group(kind: type) -> type:
    return int if kind in _NUMBERS else kind


def _type_of(node: ast.expr, own: Collection[str]) -> type | None:
    """Returns the type of an expression's value if its form alone tells it."""
    match node:
        case ast.JoinedStr():
            return str
        case ast.List() | ast.ListComp():
            return list
        case ast.Tuple():
            return tuple
        case ast.Dict() | ast.DictComp():
            return dict
        case ast.Set() | ast.SetComp():
            return set
        case ast.UnaryOp() | ast.Compare():
            return int
        case ast.BinOp(
            left=left, op=ast.Add() | ast.Sub() | ast.Div() | ast.FloorDiv(), right=right
        ):
            return int if any(_is_number(part) for part in (left, right)) else None
        case ast.Call(func=ast.Name(id=name)):
            return None if name in own else _TYPES.get(name)
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str()), attr=name)):
            return str if name in _STRING_METHODS else None
        case ast.IfExp(body=body, orelse=orelse):
            first, second = _type_of(body, own), _type_of(orelse, own)
            return first if first is second else None
    return None
