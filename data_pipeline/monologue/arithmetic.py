"""Computes the parts of an expression as Python does, from the values of a run.

Evaluates one operation at a time, with its operands already known, so that no code of the program
runs: operators, subscripts, and builtins and methods of builtin values without side effects.
"""

import ast
import builtins
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.source.syntax import dump_node
from data_pipeline.tracing.rendering import render

_MOST_ITEMS = 2000
_BUILTIN_NAMES = """
len sum min max abs sorted list tuple set str int float bool ord chr any all round divmod repr dict
frozenset range
"""
_STRING_METHODS = """
upper lower strip lstrip rstrip split rsplit startswith endswith find rfind index count isdigit
isalpha isalnum isupper islower isspace title capitalize swapcase replace join partition rpartition
splitlines removeprefix removesuffix ljust rjust center zfill isdecimal isnumeric istitle expandtabs
"""
BUILTINS = frozenset(_BUILTIN_NAMES.split())
_PADDING = frozenset(("ljust", "rjust", "center", "zfill", "expandtabs"))
_METHODS = {
    str: frozenset(_STRING_METHODS.split()),
    list: frozenset(("index", "count", "copy")),
    tuple: frozenset(("index", "count")),
    dict: frozenset(("get",)),
    set: frozenset(("union", "intersection", "difference", "issubset", "issuperset")),
}
ALL_METHODS = frozenset().union(*_METHODS.values()) | {"items", "keys", "values"}
_TYPES = {one.__name__: one for one in (int, float, str, bytes, bool, list, tuple, dict, set,
                                         frozenset, complex)}  # fmt: skip
_OPERATIONS = (ast.BinOp, ast.Call, ast.Subscript, ast.Compare, ast.BoolOp, ast.IfExp)


class Unknown(Exception):
    """Signals that an expression cannot be computed."""


class Arithmetic:
    """Computes expressions of one line.

    look_up: text of a variable before the line, or None
    call:    result text of a call of the program's own function in this line, or None
    """

    def __init__(
        self,
        look_up: Callable[[str], str | None],
        call: Callable[[str, list[str]], str | None],
    ):
        self.look_up, self.call = look_up, call
        self._known: dict[ast.expr, Any] = {}

    def text(self, node: ast.expr) -> str | None:
        """Returns the text of an expression's value; None if it cannot be computed."""
        try:
            value = self.value(node)
        except Unknown:
            return None
        text = render(value)
        return None if text.startswith("<") else text

    def value(self, node: ast.expr) -> Any:
        if node not in self._known:
            try:
                self._known[node] = _bounded(self._compute(node))
            except Unknown:
                raise
            except Exception:  # any that Python raises on these values
                raise Unknown from None
        return self._known[node]

    def _compute(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return _read(self.look_up(name))
            case ast.BoolOp(op=op, values=values):
                for part in values:
                    result = self.value(part)
                    if bool(result) == isinstance(op, ast.Or):
                        return result
                return result
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call_function(name, args)
            case ast.Call(func=ast.Attribute(value=owner, attr=name), args=args, keywords=[]):
                receiver = self.value(owner)
                if name not in _METHODS.get(type(receiver), ()):
                    raise Unknown
                given = [self.value(part) for part in args]
                if name in _PADDING and given and given[0] > _MOST_ITEMS:
                    raise Unknown
                return getattr(receiver, name)(*given)
            case ast.UnaryOp() | ast.BinOp() | ast.Subscript() | ast.List() | ast.Tuple():
                return self._operate(node)
            case ast.Compare(ops=[_]) | ast.Slice() | ast.Set():
                return self._operate(node)
        raise Unknown

    def _call_function(self, name: str, args: list[ast.expr]) -> Any:
        if name == "isinstance" and len(args) == 2 and self.look_up(name) is None:
            return isinstance(self.value(args[0]), self._types(args[1]))
        values = [self.value(part) for part in args]
        made = self.call(name, [render(value) for value in values])
        if made is not None:
            return _read(made)
        if self.look_up(name) is not None:
            raise Unknown
        if name not in BUILTINS:
            raise Unknown
        return getattr(builtins, name)(*values)

    def _types(self, node: ast.expr) -> tuple[type, ...]:
        """Returns the builtin types that an expression names: `int`, or `(str, bytes)`."""
        match node:
            case ast.Name(id=name) if name in _TYPES and self.look_up(name) is None:
                return (_TYPES[name],)
            case ast.Tuple(elts=elts):
                return tuple(one for part in elts for one in self._types(part))
        raise Unknown

    def _operate(self, node: ast.expr) -> Any:
        """Lets Python itself compute an operation on values that are known."""
        names: dict[str, Any] = {}

        class Put(ast.NodeTransformer):
            def generic_visit(inner, part: ast.AST) -> ast.AST:
                if isinstance(part, ast.Slice):
                    return ast.NodeTransformer.generic_visit(inner, part)
                if isinstance(part, ast.expr):
                    name = f"_{len(names)}"
                    names[name] = self.value(part)
                    return ast.Name(name, ast.Load())
                return part

        _refuse_large(node, self)
        copy = type(node)(**{name: child for name, child in ast.iter_fields(node)})
        put = Put()
        for name, child in ast.iter_fields(node):
            if isinstance(child, list):
                setattr(copy, name, [put.visit(part) for part in child])
            elif isinstance(child, ast.Slice):
                slices = {field: put.visit(part) for field, part in ast.iter_fields(child) if part}
                setattr(copy, name, ast.Slice(**slices))
            elif isinstance(child, ast.expr):
                setattr(copy, name, put.visit(child))
        expression = ast.fix_missing_locations(ast.Expression(copy))
        return eval(compile(expression, "<part>", "eval"), {"__builtins__": {}}, names)


def _read(text: str | None) -> Any:
    if text is None:
        raise Unknown
    try:
        return parse_literal(text)
    except LiteralError:
        raise Unknown from None


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > 512:
        raise Unknown
    if isinstance(value, str | list | tuple | dict | set) and len(value) > _MOST_ITEMS:
        raise Unknown
    return value


def _refuse_large(node: ast.expr, known: Arithmetic) -> None:
    """Refuses operations whose result may be far larger than their operands."""
    if not isinstance(node, ast.BinOp):
        return
    left, right = known.value(node.left), known.value(node.right)
    if isinstance(node.op, ast.Pow | ast.LShift):
        if not (isinstance(right, int) and -20 < right < 64 and isinstance(left, int | float)):
            raise Unknown
    elif isinstance(node.op, ast.Mult):
        for one, other in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple | bytes) and len(one) * other > _MOST_ITEMS:
                raise Unknown
    elif isinstance(node.op, ast.Mod) and isinstance(left, str | bytes):
        raise Unknown


@lru_cache(maxsize=4096)
def count_operations(node: ast.AST) -> int:
    return sum(isinstance(part, _OPERATIONS) for part in parts_of(node))


def parts_of(node: ast.AST) -> Iterator[ast.AST]:
    """Yields a node and its parts, without those that run in a scope of their own."""
    yield node
    match node:
        case ast.Lambda() | ast.FunctionDef() | ast.ClassDef():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from parts_of(node.generators[0].iter)
            return
    for child in ast.iter_child_nodes(node):
        yield from parts_of(child)


def operands(node: ast.expr, known: Arithmetic) -> list[ast.expr]:
    """Returns the direct operands of an operation that Python evaluates."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.Compare(left=left, comparators=comparators):
            return [left, *comparators]
        case ast.UnaryOp(operand=operand):
            return [operand]
        case ast.BoolOp(op=op, values=values):
            return list(_evaluated(values, isinstance(op, ast.Or), known))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            taken = known.text(test)
            chosen = {"True": [body], "False": [orelse]}.get(taken or "", [])
            return [test, *chosen]
        case ast.Subscript(value=value, slice=index):
            parts = [index]
            if isinstance(index, ast.Slice):
                parts = [p for p in (index.lower, index.upper, index.step) if p is not None]
            return [value, *parts]
        case ast.Call(func=ast.Attribute(value=owner), args=args):
            return [owner, *args]
        case ast.Call(args=args):
            return list(args)
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            return list(elts)
    return []


def _evaluated(values: list[ast.expr], stop: bool, known: Arithmetic) -> Iterator[ast.expr]:
    """Yields the operands of `and` or `or` up to the one that decides."""
    for part in values:
        yield part
        try:
            if bool(known.value(part)) == stop:
                return
        except Unknown:
            return


def told_parts(node: ast.expr, known: Arithmetic, most: int) -> list[ast.expr]:
    """Returns the operations inside an expression that are worth a word, in order of evaluation."""
    found: list[ast.expr] = []

    def collect(part: ast.expr) -> None:
        for operand in operands(part, known):
            collect(operand)
            if isinstance(operand, _OPERATIONS) and not is_plain(operand):
                found.append(operand)

    collect(node)
    found = [part for part in found if known.text(part) is not None]
    texts = {dump_node(part): part for part in found}  # each once, where it comes last
    return [part for part in found if texts[dump_node(part)] is part][-most:]


def is_plain(node: ast.expr) -> bool:
    """Returns whether a call needs no word: a range, or an empty value such as `set()`."""
    match node:
        case ast.Call(func=ast.Name(id="range")):
            return True
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
            return name in _TYPES
    return False
