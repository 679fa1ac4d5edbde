"""Leaves out of a class the methods that a program does not use.

Keeps the special methods that Python calls on its own accord (`__init__`, `__len__`, `__eq__`),
and those of operators and conversions only if the program has such an operator or conversion.
"""

import ast
import builtins
import importlib
from collections.abc import Iterable
from functools import lru_cache

from data_pipeline.source.pure_modules import MODULES

_ARITHMETIC: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv",
    ast.Mod: "mod", ast.Pow: "pow", ast.MatMult: "matmul", ast.LShift: "lshift",
    ast.RShift: "rshift", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
}  # fmt: skip
_UNARY: dict[type[ast.AST], str] = {
    ast.USub: "__neg__",
    ast.UAdd: "__pos__",
    ast.Invert: "__invert__",
}
_ORDER = frozenset({"__lt__", "__le__", "__gt__", "__ge__"})
_EQUAL = frozenset({"__eq__", "__ne__", "__hash__"})
_TEXTS = frozenset({"__repr__", "__str__", "__format__"})
_BY_NAME = {
    **dict.fromkeys(("sorted", "sort", "min", "max", "total_ordering", "nlargest"), _ORDER),
    **dict.fromkeys(("nsmallest", "bisect", "bisect_left", "bisect_right", "insort"), _ORDER),
    **dict.fromkeys(("heappush", "heappop", "heapify", "merge", "PriorityQueue"), _ORDER),
    **dict.fromkeys(("repr", "str", "format", "print", "join"), _TEXTS),
    **dict.fromkeys("set dict frozenset index remove count get setdefault".split(), _EQUAL),  # noqa: SIM905
    **dict.fromkeys("Counter defaultdict pop discard add update fromkeys".split(), _EQUAL),  # noqa: SIM905
    **dict.fromkeys("lru_cache cache groupby unique OrderedDict".split(), _EQUAL),  # noqa: SIM905
    "sum": frozenset({"__add__", "__radd__"}),
    "divmod": frozenset({"__divmod__", "__rdivmod__", "__floordiv__", "__mod__"}),
    "pow": frozenset({"__pow__", "__rpow__"}),
    **{name: frozenset({f"__{name}__"}) for name in ("abs", "int", "float", "complex", "round")},
    **{name: frozenset({f"__{name}__"}) for name in ("trunc", "floor", "ceil", "bytes")},
}
# Functions that reach an attribute by its text -> the first argument that may be one.
_BY_TEXT = {"getattr": 1, "setattr": 1, "hasattr": 1, "attrgetter": 0, "methodcaller": 0}
# Special methods that only an operator or a name in the program calls.
_ASKED_FOR = frozenset(
    """
    __unicode__ __del__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __copy__ __deepcopy__
    __sizeof__ __dir__ __getnewargs__ __html__ __getinitargs__ __rich_repr__
    """.split()  # noqa: SIM905
).union(*_BY_NAME.values(), _UNARY.values()) | {
    f"__{prefix}{name}__" for name in _ARITHMETIC.values() for prefix in ("", "r", "i")
}


def mentioned_names(trees: Iterable[ast.AST]) -> frozenset[str]:
    """Returns the attributes and names in a program by which it may reach a method.

    "*" is among them if it may reach any, by a text.
    """
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            found |= _mentioned_by(node)
    return frozenset(found.union(*(_BY_NAME.get(name, ()) for name in found)))


def _mentioned_by(node: ast.AST) -> set[str]:
    match node:
        case ast.Name(ctx=ast.Store()):
            return set()
        case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
            return {name}
        case ast.JoinedStr():
            return {*_TEXTS}
        case ast.BinOp(op=operation, left=left):
            is_format = isinstance(operation, ast.Mod) and isinstance(left, ast.Constant)
            return {*(_TEXTS if is_format else ()), *_operators(operation)}
        case ast.AugAssign(op=operation):
            return _operators(operation)
        case ast.UnaryOp(op=operation) if type(operation) in _UNARY:
            return {_UNARY[type(operation)]}
        case ast.Compare(ops=operations):
            is_order = any(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in operations)
            is_same = all(isinstance(op, ast.Is | ast.IsNot) for op in operations)
            return {*(_ORDER if is_order else ()), *(() if is_same else _EQUAL)}
        case ast.Subscript() | ast.Dict() | ast.Set() | ast.DictComp() | ast.SetComp():
            return {*_EQUAL}
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if len(
            node.args
        ) > _BY_TEXT.get(name, 99):
            return _texts_of(node.args[_BY_TEXT[name]])
    return set()


def _texts_of(argument: ast.expr) -> set[str]:
    text = getattr(argument, "value", None)
    return set(text.split(".")) if isinstance(text, str) else {"*"}


def _operators(operation: ast.operator) -> set[str]:
    name = _ARITHMETIC[type(operation)]
    return {f"__{prefix}{name}__" for prefix in ("", "r", "i")}


def prune_class(text: str, mentions: frozenset[str]) -> str:
    """Returns the text of a class without the methods that are not mentioned."""
    if "*" in mentions:
        return text
    statement = _class_of(text)
    kept = _kept(statement, mentions)
    if len(kept) == len(statement.body):
        return text
    return _without_others(text, tuple(statement.body.index(one) for one in kept))


@lru_cache(maxsize=256)
def _class_of(text: str) -> ast.ClassDef:
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.ClassDef)
    return statement


@lru_cache(maxsize=1024)
def _without_others(text: str, places: tuple[int, ...]) -> str:
    """Returns the text of a class with only the statements at some places of its body."""
    statement = _class_of(text)
    kept = [statement.body[place] for place in places]
    lines: list[str | None] = list(text.split("\n"))
    for inner in statement.body:
        if inner not in kept:
            _remove(lines, inner, statement)
    if not kept:
        first = statement.body[0]
        lines[first.lineno - 1] = " " * first.col_offset + "pass"
    pruned = "\n".join(line for line in lines if line is not None)
    neat = _without_double_gaps(pruned)
    has_long_texts = '"""' in pruned or "'''" in pruned  # with empty lines of their own
    return pruned if has_long_texts else neat


def _kept(owner: ast.ClassDef, mentions: frozenset[str]) -> list[ast.stmt]:
    """Returns the statements of a class that stay: also methods that others need at once."""
    while True:
        kept = [inner for inner in owner.body if _stays(inner, owner, mentions)]
        at_once: list[ast.AST] = []
        for inner in kept:
            is_function = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            at_once += inner.decorator_list if is_function else [inner]  # type: ignore[union-attr]
        more = mentions | {
            n.id for one in at_once for n in ast.walk(one) if isinstance(n, ast.Name)
        }
        if more == mentions:
            return kept
        mentions = more


def _stays(inner: ast.stmt, owner: ast.ClassDef, mentions: frozenset[str]) -> bool:
    match inner:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            if any(_may_call(base, name) for base in owner.bases):
                return True
            if name.startswith("__") and name.endswith("__"):
                return name not in _ASKED_FOR or name in mentions
            return name in mentions
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name in mentions or not _is_of_methods(value, owner)
    return True


def _may_call(base: ast.expr, name: str) -> bool:
    """Returns whether a base class of the standard library has the method, so may call it."""
    match base:
        case ast.Name(id=base_name) | ast.Attribute(attr=base_name):
            return name in _methods_of_base(base_name)
        case ast.Subscript(value=value):
            return _may_call(value, name)
    return False


@lru_cache(maxsize=256)
def _methods_of_base(name: str) -> frozenset[str]:
    """Returns the methods of a class of the standard library that its code may call.

    Classes written in C call their own; abstract ones call what a subclass has to define.
    """
    if hasattr(builtins, name):
        return frozenset()
    for module in sorted(MODULES):
        found = getattr(importlib.import_module(module), name, None)
        if isinstance(found, type):
            abstract = getattr(found, "__abstractmethods__", None)
            return frozenset(abstract or dir(found)) - frozenset(dir(object))
    return frozenset()


def _is_of_methods(value: ast.expr, owner: ast.ClassDef) -> bool:
    """Returns whether a value of the class is another name or form of its methods."""
    methods = {one.name for one in owner.body if isinstance(one, ast.FunctionDef)}
    return any(isinstance(node, ast.Name) and node.id in methods for node in ast.walk(value))


def _remove(lines: list[str | None], inner: ast.stmt, owner: ast.ClassDef) -> None:
    decorators = getattr(inner, "decorator_list", [])
    first = min([inner.lineno, *(decorator.lineno for decorator in decorators)])
    while first - 1 > owner.lineno and (lines[first - 2] or "").lstrip().startswith("#"):
        first -= 1  # the comment above a method belongs to it
    assert inner.end_lineno is not None
    for number in range(first - 1, inner.end_lineno):
        lines[number] = None


def _without_double_gaps(text: str) -> str:
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip() or (lines and lines[-1].strip()):
            lines.append(line)
    return "\n".join(lines).strip("\n")
