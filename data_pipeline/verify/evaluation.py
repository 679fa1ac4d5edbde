"""Evaluates an expression in a state of the run without running any code of the program.

Supports exact builtin values, operators, and builtins and methods without side effects; sizes are
limited. Looks up calls of the program's own functions in the trace by their arguments.
"""

import ast
import functools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from data_pipeline.source.literals import LiteralError, parse_literal, same_value
from data_pipeline.tracing.replay import State

MAX_NODES = 200
MAX_SIZE = 100_000
MAX_TURNS = 500


class Unknown(Exception):
    """Signals that an expression cannot be evaluated from the known values."""


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: (a is b) if _is_single(a) or _is_single(b) else _raise_unknown(),
    ast.IsNot: lambda a, b: (a is not b) if _is_single(a) or _is_single(b) else _raise_unknown(),
}
_PLAIN_FORMAT = re.compile(r"(?:[^{}]|\{\d{0,2}\})*")
_ORDERED = (list, tuple, str, dict, range)
_BUILTINS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        len, sum, min, max, abs, sorted, list, tuple, set, str, int, float, bool, ord, chr, any,
        all, round, divmod, repr, dict, frozenset,
    )
}  # fmt: skip
_TYPES = {t.__name__: t for t in (int, str, float, bool, list, tuple, dict, set, bytes, frozenset)}
_STRING_METHODS = """
upper lower strip lstrip rstrip split rsplit startswith endswith find rfind index rindex count
isdigit isalpha isalnum isupper islower isspace isnumeric istitle isdecimal title capitalize
swapcase replace join zfill center ljust rjust expandtabs encode format partition rpartition
splitlines removeprefix removesuffix isidentifier isascii casefold isprintable translate maketrans
"""
_SET_METHODS = """
union intersection difference issubset issuperset isdisjoint symmetric_difference
"""
_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(_STRING_METHODS.split()),
    # Methods that change their object change a copy: values are parsed anew from the trace.
    list: frozenset(("index", "count", "copy", "pop")),
    tuple: frozenset(("index", "count")),
    dict: frozenset(
        ("get", "copy", "keys", "values", "items", "pop", "popitem", "fromkeys", "setdefault")
    ),
    set: frozenset(_SET_METHODS.split()),
    bytes: frozenset(("decode", "hex", "startswith", "endswith", "upper", "lower")),
    int: frozenset(("bit_length",)),
    float: frozenset(("is_integer",)),
}


def evaluate(expression: str, state: State | None) -> Any:
    """Returns the value of an expression; raises Unknown if it cannot be evaluated."""
    tree = _parse_expression(expression)
    if tree is None:
        raise Unknown
    return evaluate_node(tree, state)


@functools.lru_cache(maxsize=4096)
def _parse_expression(expression: str) -> ast.expr | None:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def evaluate_node(node: ast.expr, state: State | None) -> Any:
    """Returns the value of a syntax node; raises Unknown if it cannot be evaluated."""
    try:
        if _size(node) > MAX_NODES:
            raise Unknown
        return _check_size(_value(node, state))
    except Unknown:
        raise
    except Exception:  # any exception that a builtin raises on these values
        raise Unknown from None


def _size(node: ast.expr) -> int:
    """Returns the number of nodes of an expression; counted once a node."""
    size = getattr(node, "_size", None)
    if size is None:
        size = node._size = sum(1 for _ in ast.walk(node))  # type: ignore[attr-defined]
    return size


_PLAIN_STARTS = frozenset("'\"-0123456789TFN")  # of values that nothing can change
_parse_plain = functools.lru_cache(maxsize=4096)(parse_literal)


def _is_single(value: Any) -> bool:
    """Returns whether no other object has this value."""
    return value is None or value is True or value is False


def _raise_unknown() -> Any:
    raise Unknown


def _check_size(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > 4096:
        raise Unknown
    if isinstance(value, str | bytes | list | tuple) and len(value) > MAX_SIZE:
        raise Unknown
    return value


def _value(node: ast.expr, state: State | None) -> Any:
    match node:
        case ast.Constant(value=value) if value is not Ellipsis:
            return value
        case ast.Name(id=name):
            text = None if state is None else state.get(name)
            if text is None:
                raise Unknown
            try:
                return _parse_plain(text) if text[:1] in _PLAIN_STARTS else parse_literal(text)
            except LiteralError:
                raise Unknown from None
        case ast.List(elts=items):
            return [_value(item, state) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item, state) for item in items)
        case ast.Set(elts=items):
            return {_value(item, state) for item in items}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_value(k, state): _value(v, state) for k, v in zip(keys, values, strict=True)}
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, state))
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left, state), _value(right, state))
        case ast.BoolOp(op=op, values=values):
            stop = isinstance(op, ast.Or)
            for item in values:
                result = _value(item, state)
                if bool(result) == stop:
                    return result
            return result
        case ast.Compare(left=left, ops=ops, comparators=others):
            one = _value(left, state)
            for op, other in zip(ops, others, strict=True):
                two = _value(other, state)
                if not _COMPARE[type(op)](one, two):
                    return False
                one = two
            return True
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, state) else orelse, state)
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=step)):
            bounds = [
                None if part is None else _value(part, state) for part in (lower, upper, step)
            ]
            return _value(value, state)[slice(*bounds)]
        case ast.Subscript(value=value, slice=index):
            return _value(value, state)[_value(index, state)]
        case ast.Call():
            return _call(node, state)
        case (
            ast.ListComp(elt=item, generators=loops) | ast.GeneratorExp(elt=item, generators=loops)
        ):
            return [_value(item, inner) for inner in _turns(loops, state)]
        case ast.SetComp(elt=item, generators=loops):
            return {_value(item, inner) for inner in _turns(loops, state)}
        case ast.DictComp(key=key, value=value, generators=loops):
            return {_value(key, i): _value(value, i) for i in _turns(loops, state)}
        case ast.JoinedStr(values=parts):
            return "".join(_formatted(part, state) for part in parts)
    raise Unknown


class Bound:
    """Holds a state with the variables of a comprehension's turn."""

    def __init__(self, state: State | None, names: Mapping[str, str]):
        self.state, self.names = state, names
        self.run = state.run if state is not None else _NO_RUN

    def get(self, name: str) -> str | None:
        if name in self.names:
            return self.names[name]
        return None if self.state is None else self.state.get(name)


class _NoRun:
    functions: Mapping[str, Any] = {}


_NO_RUN = _NoRun()


def _turns(loops: list[ast.comprehension], state: Any) -> Iterator[Any]:
    """Yields the state of each turn of a comprehension that passes its conditions."""
    if not loops:
        yield state
        return
    first, *rest = loops
    values = _value(first.iter, state)
    if not isinstance(values, _ORDERED) or len(values) > MAX_TURNS:
        raise Unknown
    for value in values:
        inner = Bound(state, bind(first.target, value))
        if all(_value(test, inner) for test in first.ifs):
            yield from _turns(rest, inner)


def bind(target: ast.expr, value: Any) -> dict[str, str]:
    """Returns name -> text for what a loop's target binds; raises Unknown for other targets."""
    match target:
        case ast.Name(id=name):
            return {name: repr(value)}
        case ast.Tuple(elts=items):
            bound: dict[str, str] = {}
            for item, one in zip(items, value, strict=True):
                bound |= bind(item, one)
            return bound
    raise Unknown


def _formatted(part: ast.expr, state: Any) -> str:
    match part:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            made = _value(value, state)
            if isinstance(made, str | int | float | bool | list | tuple | dict | None):
                return str(made)
    raise Unknown


def _binary(op: ast.operator, one: Any, two: Any) -> Any:
    if isinstance(op, ast.Pow) and not (
        isinstance(one, int | float) and isinstance(two, int | float) and abs(two) < 200
        and abs(one) < 10**9
    ):  # fmt: skip
        raise Unknown
    if isinstance(op, ast.LShift) and not 0 <= two < 4096:
        raise Unknown
    if isinstance(op, ast.Mult):
        for text, times in ((one, two), (two, one)):
            if not isinstance(text, int | float | complex) and len(text) * times > MAX_SIZE:
                raise Unknown
    if isinstance(op, ast.Mod) and isinstance(one, str | bytes):  # "%999999999d"
        raise Unknown
    return _check_size(_BINARY[type(op)](one, two))


def _call(node: ast.Call, state: State | None) -> Any:
    if any(isinstance(item, ast.Starred) for item in node.args) or any(
        keyword.arg is None for keyword in node.keywords
    ):
        raise Unknown
    named = {str(keyword.arg): keyword.value for keyword in node.keywords}
    match node.func:
        case ast.Name(id=name) if state is not None and name in state.run.functions:
            args = [_value(item, state) for item in node.args]
            values = {key: _value(item, state) for key, item in named.items()}
            return _look_up_call(name, args, values, state)
        case ast.Name(id=name) if state is not None and state.get(name) is not None:
            raise Unknown  # a variable that holds a function
        case ast.Name(id="isinstance") if len(node.args) == 2:
            kinds = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
            if not all(isinstance(kind, ast.Name) and kind.id in _TYPES for kind in kinds):
                raise Unknown
            return isinstance(_value(node.args[0], state), tuple(_TYPES[k.id] for k in kinds))
        case ast.Name(id="range"):
            made = range(*[_value(item, state) for item in node.args])
            if len(made) > MAX_SIZE:
                raise Unknown
            return made
        case ast.Name(id="type") if len(node.args) == 1:
            return type(_value(node.args[0], state)).__name__
        case ast.Name(id=("reversed" | "enumerate" | "zip") as name) if not named:
            made = [_value(item, state) for item in node.args]
            if not all(isinstance(item, _ORDERED) for item in made[:1]):
                raise Unknown
            return list({"reversed": reversed, "enumerate": enumerate, "zip": zip}[name](*made))
        case ast.Name(id=name) if name in _BUILTINS:
            args = [_value(item, state) for item in node.args]
            if name in ("list", "tuple", "str", "repr", "dict") and any(
                isinstance(item, set | frozenset) and len(item) > 1 for item in args
            ):
                raise Unknown  # the order of a set is not that of the run
            if name != "dict" and not set(named) <= {"reverse", "default"}:
                raise Unknown
            return _BUILTINS[name](*args, **{k: _value(v, state) for k, v in named.items()})
        case ast.Attribute(value=owner, attr=method):
            args = [_value(item, state) for item in node.args]
            values = {k: _value(v, state) for k, v in named.items()}
            return _call_method(owner, method, args, values, state)
    raise Unknown


def _call_method(
    owner: ast.expr, method: str, args: list[Any], named: dict[str, Any], state: State | None
) -> Any:
    """Calls a method of a value, or of a type as in `str.upper(x)` and `dict.fromkeys(x)`."""
    if isinstance(owner, ast.Name) and owner.id in _TYPES and not (state and state.get(owner.id)):
        kind = _TYPES[owner.id]
        if (kind, method) == (dict, "fromkeys"):
            return dict.fromkeys(*args)
        if (kind, method) == (str, "maketrans"):
            return str.maketrans(*args)
        receiver, *args = args
        if type(receiver) is not kind:
            raise Unknown
    else:
        receiver = _value(owner, state)
    if method not in _METHODS.get(type(receiver), ()):
        raise Unknown
    _check_growth(receiver, method, args)
    result = getattr(receiver, method)(*args, **named)
    return list(result) if method in ("keys", "values", "items") else result


def _check_growth(receiver: Any, method: str, args: list[Any]) -> None:
    """Raises Unknown for calls that could make a huge value or read attributes."""
    if method == "replace" and len(receiver) * (len(args[1]) + 1) > MAX_SIZE:
        raise Unknown
    if method == "translate" and isinstance(args[0], dict):
        longest = max((len(text) for text in args[0].values() if isinstance(text, str)), default=1)
        if len(receiver) * longest > MAX_SIZE:
            raise Unknown
    if method == "format" and not _PLAIN_FORMAT.fullmatch(receiver):
        raise Unknown
    if method in ("zfill", "center", "ljust", "rjust", "expandtabs"):
        if any(isinstance(item, int) and item > 2000 for item in args):
            raise Unknown
        if method == "expandtabs" and len(receiver) > 2000:
            raise Unknown


def _look_up_call(name: str, args: list[Any], named: dict[str, Any], state: State) -> Any:
    """Returns the result of the program's function `name` in the run for these arguments."""
    run = state.run
    parameters = run.functions[name].args
    if parameters.vararg or parameters.kwarg:
        raise Unknown
    order = [arg.arg for arg in (*parameters.posonlyargs, *parameters.args)]
    given = dict(zip(order, args, strict=False)) | named
    results = set()
    for frame in run.calls_of(name)[:2000]:
        first = run.frames[frame][0]
        if all(_text_equals(run.value(frame, key, first), value) for key, value in given.items()):
            result = run.frame_result(frame)
            if result is None:
                raise Unknown
            results.add(result)
    if len(results) != 1:
        raise Unknown
    try:
        return parse_literal(results.pop())
    except LiteralError:
        raise Unknown from None


def _text_equals(text: str | None, value: Any) -> bool:
    try:
        return text is not None and same_value(parse_literal(text), value)
    except LiteralError:
        return False
