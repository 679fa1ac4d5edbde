"""Recognizes statements that define a type: aliases, NewType, TypedDict, dataclasses, Enums."""

import ast

_BUILTINS = frozenset(
    """
    int float str bool bytes list dict tuple set frozenset List Dict Tuple Set FrozenSet Union
    Optional Literal Sequence Iterable Collection Mapping MutableMapping Annotated
    """.split()  # noqa: SIM905
)
_BASES = frozenset({"TypedDict", "NamedTuple", "Protocol", "Enum", "IntEnum", "StrEnum"})


def defines_type(statement: ast.stmt) -> bool:
    """Returns whether a statement does nothing but define a type, and costs nothing to run."""
    match statement:
        case ast.Assign(targets=[ast.Name()], value=value):
            return _is_type(value)
        case ast.AnnAssign(annotation=annotation, value=ast.expr() as value):
            return ast.unparse(annotation).endswith("TypeAlias") and _is_type(value)
        case ast.ClassDef(bases=bases, decorator_list=decorators):
            named = {_last_name(base) for base in bases} & _BASES
            return bool(named) or any(_last_name(one) == "dataclass" for one in decorators)
    return False


def _is_type(value: ast.expr) -> bool:
    match value:
        case ast.Subscript(value=ast.Name() | ast.Attribute() as base) | (
            ast.Name() | ast.Attribute() as base
        ):
            return _last_name(base) in _BUILTINS
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return all(_is_type(side) or _is_none(side) for side in (left, right))
        case ast.Call(func=called):
            return _last_name(called) in ("NewType", "TypedDict")
    return False


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _last_name(node: ast.expr) -> str:
    """Returns the last name of `a.b`, `a.b(...)` or `a.b[...]`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return ast.unparse(node).split(".")[-1]
