"""Infers the kinds of a parameter from annotations, defaults, examples, use and name."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.seeds.screening import bindings, function_parameters
from data_pipeline.source.calls import CallError, parse_call
from data_pipeline.testcases.annotations import TypeReader
from data_pipeline.testcases.callables import program_callables
from data_pipeline.testcases.parameter_names import kinds_of_name
from data_pipeline.testcases.value_kind import (
    ANY,
    BOOL,
    BYTES,
    DICT,
    FLOAT,
    INT,
    INTS,
    LIST,
    NONE,
    STR,
    ValueKind,
    accepts,
    can_be_made,
    field_names,
    is_definite,
    kind_of,
)

Weights = dict[ValueKind, float]


@dataclass
class EntryParameter:
    """Holds one parameter of the entry.

    style:    "positional", "keyword", "star" (`*args`) or "stars" (`**kwargs`)
    optional: whether it may be left out
    takes_function: whether the program calls it: it is left out then
    kinds:    candidates with weights; likelier ones weigh more
    default:  its literal default, None if it has none
    law:      the kind that its annotation names, "any" if it names none
    usual:    names of the kinds of its default and examples, where a default speaks; else empty
    """

    name: str
    style: str
    optional: bool
    takes_function: bool = False
    kinds: Weights = field(default_factory=dict)
    default: Any = None
    law: ValueKind = ANY
    usual: frozenset[str] = frozenset()

    @property
    def is_left_out(self) -> bool:
        """Returns whether no value is ever given for it."""
        return self.takes_function or not can_be_made(self.law)

    @property
    def is_free(self) -> bool:
        """Returns whether neither an annotation nor a default limits its values."""
        return self.law == ANY and not self.usual

    def allows(self, value: Any) -> bool:
        """Returns whether a value keeps to the annotation, or else to the default's type."""
        if not self.usual:
            return accepts(self.law, value)
        return kind_of(value).name in self.usual and accepts(self.law, value)


@dataclass(frozen=True)
class Signature:
    """Holds an entry's parameters and the constants that its program mentions.

    item_names: names that the entry gives to the parts of a parameter's items, by parameter
    """

    parameters: tuple[EntryParameter, ...]
    integers: tuple[int, ...]
    texts: tuple[str, ...]
    item_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_ANNOTATED, _OBSERVED, _DEFAULT, _USED, _NAMED = 6.0, 6.0, 3.0, 2.0, 1.0


def infer_signature(code: str, entry: str, calls: Sequence[str]) -> Signature:
    """Infers the signature of a program's entry. calls: examples to observe arguments in."""
    tree = ast.parse(code)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    function = functions[entry]
    reader = TypeReader(tree)
    use = _Use(program_callables(tree) | functions, reader)
    taken = function_parameters(function, functions)
    parameters = []
    for argument, style, default in _arguments(function.args):
        parameter = EntryParameter(
            argument.arg, style, default is not None or style in ("star", "stars")
        )
        parameter.takes_function = argument.arg in taken
        parameter.law = reader.read(argument.annotation)
        parameters.append(parameter)
        if default is not None:
            _read_default(parameter, default)
    seen = _observe(parameters, calls)
    for parameter in parameters:
        observed = seen.get(parameter.name, [])
        if parameter.usual:
            parameter.usual |= {kind.name for kind in observed}
        guesses = _guess(use, function, parameter)
        parameter.kinds |= _weigh(parameter, observed, guesses)
    integers, texts = _constants(tree)
    fields = {name for one in parameters for name in field_names(one.law)}
    texts = tuple(text for text in texts if text not in fields)
    return Signature(tuple(parameters), integers, texts, _item_names(function))


def _item_names(function: ast.FunctionDef) -> dict[str, tuple[str, ...]]:
    """Returns `{"rows": ("name", "price")}` for `for name, price in rows`."""
    return {
        node.iter.id: tuple(ast.unparse(part) for part in node.target.elts)
        for node in ast.walk(function)
        if isinstance(node, ast.For | ast.comprehension)
        if isinstance(node.iter, ast.Name) and isinstance(node.target, ast.Tuple)
    }


# Of a default of these types, calls may also pass the others.
_ALIKE = {"float": {"float", "int"}, "none": set(), "any": set()}


def _read_default(parameter: EntryParameter, node: ast.expr) -> None:
    try:
        parameter.default = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return
    kind = kind_of(parameter.default)
    if parameter.law == ANY and parameter.default not in ([], (), {}):
        parameter.usual = frozenset(_ALIKE.get(kind.name, {kind.name}))


def _weigh(parameter: EntryParameter, observed: Sequence[ValueKind], guesses: Weights) -> Weights:
    """Returns the kinds to draw from: of the annotation alone, else by the strongest evidence."""
    weights: Weights = {}
    law = parameter.law
    if law != ANY and is_definite(law):
        return {law: _ANNOTATED}
    if law != ANY and can_be_made(law):
        _add(weights, [law], _ANNOTATED)
    if parameter.default is not None or parameter.optional:
        kind = kind_of(parameter.default)
        _add(weights, [kind], _DEFAULT if kind != NONE else 0.5)
    _add(weights, observed, _OBSERVED)
    spoken = parameter.usual | {kind.name for kind in observed if kind not in (NONE, ANY)}
    for kind, weight in guesses.items():
        if not spoken or kind.name in spoken:
            _add(weights, [kind], weight)
    if not weights or set(weights) <= {NONE, ANY}:
        _add(weights, [INT, STR, INTS], 0.5)
    return weights


def _guess(use: "_Use", function: ast.FunctionDef, parameter: EntryParameter) -> Weights:
    """Returns the kinds that the use and the name of a parameter suggest."""
    weights: Weights = {}
    for kind, weight in use.of(function, parameter.name).items():
        _add(weights, [kind], _USED * weight)
    _add(weights, kinds_of_name(parameter.name), _NAMED)
    return weights


def _arguments(
    arguments: ast.arguments,
) -> Iterator[tuple[ast.arg, str, ast.expr | None]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    for argument, default in zip(positional, [*[None] * missing, *arguments.defaults], strict=True):
        yield argument, "positional", default
    if arguments.vararg:
        yield arguments.vararg, "star", None
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument, "keyword", default
    if arguments.kwarg:
        yield arguments.kwarg, "stars", None


def _add(weights: Weights, kinds: Sequence[ValueKind], weight: float) -> None:
    for kind in kinds:
        weights[kind] = weights.get(kind, 0.0) + weight / len(kinds)


# ---- from values ------------------------------------------------------------------------------


def _observe(
    parameters: Sequence[EntryParameter], calls: Sequence[str]
) -> Mapping[str, Sequence[ValueKind]]:
    """Returns the kinds of the arguments in examples, by parameter."""
    positional = [parameter for parameter in parameters if parameter.style == "positional"]
    star = next((parameter for parameter in parameters if parameter.style == "star"), None)
    named = {parameter.name: parameter for parameter in parameters}
    seen: dict[str, list[ValueKind]] = {}
    for text in calls:
        try:
            call = parse_call(text)
        except CallError:
            continue
        for number, value in enumerate(call.args):
            owner = positional[number] if number < len(positional) else star
            if owner is not None:
                seen.setdefault(owner.name, []).append(kind_of(value))
        for name, value in call.kwargs.items():
            if name in named:
                seen.setdefault(name, []).append(kind_of(value))
    return seen


# ---- from use ---------------------------------------------------------------------------------

METHODS: Mapping[str, ValueKind] = {
    **dict.fromkeys(
        """
        capitalize casefold center encode endswith expandtabs format isalnum isalpha isdecimal
        isdigit isidentifier islower isnumeric isspace istitle isupper join ljust lower lstrip
        partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip
        split splitlines startswith strip swapcase title translate upper zfill find
        """.split(),  # noqa: SIM905
        STR,
    ),
    **dict.fromkeys("append extend insert sort reverse".split(), LIST),  # noqa: SIM905
    **dict.fromkeys("items keys values get setdefault update popitem".split(), DICT),  # noqa: SIM905
    **dict.fromkeys(
        "union intersection difference issubset issuperset add discard".split(),  # noqa: SIM905
        ValueKind("set", (INT,)),
    ),
    **dict.fromkeys(("bit_length", "bit_count", "numerator", "denominator"), INT),
    "is_integer": FLOAT,
    "decode": BYTES,
    "hex": BYTES,
}
_ITERATING = frozenset(
    """
    list tuple sorted enumerate zip iter reversed set frozenset chain islice cycle accumulate
    Counter deque combinations permutations product pairwise groupby any all from_iterable tee
    zip_longest
    """.split()  # noqa: SIM905
)
_SUMMING = frozenset({"sum", "min", "max", "fsum", "prod", "gcd", "mean"})
_TAKING_INT = frozenset(
    {"range", "chr", "bin", "hex", "oct", "factorial", "isqrt", "comb", "repeat"}
)


class _Use:
    """Infers kinds from the uses of a name in a function."""

    def __init__(self, functions: Mapping[str, ast.FunctionDef], reader: TypeReader):
        self.functions = functions
        self.reader = reader
        self.parents: dict[ast.AST, dict[ast.AST, ast.AST]] = {}

    def of(self, function: ast.FunctionDef, name: str, depth: int = 0) -> Weights:
        if depth > 3:
            return {}
        parents = self._parents_in(function)
        weights: Weights = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id == name and node in parents:
                for kind in self._kinds_at(function, node, parents, depth):
                    weights[kind] = min(weights.get(kind, 0.0) + 1.0, 3.0)
        return weights

    def _parents_in(self, function: ast.FunctionDef) -> Mapping[ast.AST, ast.AST]:
        if function not in self.parents:
            self.parents[function] = {
                child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)
            }
        return self.parents[function]

    def _of_attribute(self, name: str, depth: int) -> Iterator[ValueKind]:
        """Yields kinds by the uses of an attribute in all functions of the program."""
        for function in self.functions.values():
            parents = self._parents_in(function)
            for node, parent in parents.items():
                is_read = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
                if is_read and node.attr == name and not isinstance(parent, ast.Return):
                    yield from self._kinds_at(function, node, parents, depth)

    def _kinds_at(
        self,
        function: ast.FunctionDef,
        node: ast.expr,
        parents: Mapping[ast.AST, ast.AST],
        depth: int,
    ) -> Iterator[ValueKind]:
        parent = parents[node]
        match parent:
            case ast.Assign(targets=[ast.Attribute(attr=attribute)]) if depth < 2:
                yield from self._of_attribute(attribute, depth + 1)
            case ast.Attribute(attr=attribute):
                if attribute in METHODS:
                    yield from [METHODS[attribute]] * 3  # stronger evidence than an operator
            case ast.Subscript(value=value, slice=inner) if value is node:
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield ValueKind("dict", (STR, ANY))
                elif isinstance(inner, ast.Slice):
                    yield from (INTS, STR)
                else:
                    yield INTS
            case ast.Subscript(value=ast.Name(id=owner)) if depth < 3:
                held = self.of(function, owner, depth + 1)
                likely = max(held, key=lambda kind: held[kind]) if held else INTS
                yield STR if likely.name == "dict" else INT
            case ast.Subscript() | ast.Slice():
                yield INT
            case (
                ast.For(iter=iterated, target=target)
                | ast.comprehension(iter=iterated, target=target)
            ) if iterated is node:
                yield self._items(function, target, depth)
            case ast.Starred():
                yield INTS
            case ast.Call():
                yield from self._argument(function, parent, node, depth)
            case ast.keyword():
                call = parents.get(parent)
                if isinstance(call, ast.Call):
                    yield from self._argument(function, call, node, depth)
            case ast.BinOp(op=operator, left=left, right=right):
                other = right if left is node else left
                if isinstance(other, (ast.Constant, ast.JoinedStr)):
                    kind = kind_of(getattr(other, "value", ""))
                    formats = isinstance(operator, ast.Mod) and kind == STR
                    yield ANY if formats else kind
                elif isinstance(operator, (ast.Add, ast.Mult, ast.Div, ast.Sub)):
                    yield from (INT, FLOAT)
                else:
                    yield INT
            case ast.UnaryOp(op=ast.USub() | ast.Invert()):
                yield INT
            case ast.UnaryOp(op=ast.Not()) | ast.If() | ast.IfExp() | ast.BoolOp():
                yield BOOL
            case ast.Compare():
                yield from _comparison_kinds(parent, node)

    def _items(self, function: ast.FunctionDef, target: ast.expr, depth: int) -> ValueKind:
        if isinstance(target, ast.Name):
            found = self.of(function, target.id, depth + 1)
            best = max(found, key=lambda kind: found[kind]) if found else INT
            return ValueKind("list", (best if best != BOOL else INT,))
        if isinstance(target, (ast.Tuple, ast.List)):
            parts = []
            for part in target.elts:
                name = part.id if isinstance(part, ast.Name) else None
                found = self.of(function, name, depth + 1) if name else {}
                parts.append(max(found, key=lambda kind: found[kind]) if found else INT)
            return ValueKind("list", (ValueKind("tuple", tuple(parts)),))
        return LIST

    def _annotated(self, annotation: ast.expr | None) -> Sequence[ValueKind]:
        """Returns the kinds of an annotation, or of a class that is tested for."""
        kind = self.reader.read(annotation)
        parts = kind.parts if kind.name == "union" else (kind,)
        return [part for part in parts if part != ANY and can_be_made(part)]

    def _argument(
        self, function: ast.FunctionDef, call: ast.Call, node: ast.expr, depth: int
    ) -> Iterator[ValueKind]:
        match call.func:
            case ast.Name(id=called) | ast.Attribute(attr=called):
                pass
            case _:
                return
        if called == "isinstance" and call.args[0] is node and len(call.args) == 2:
            classes = call.args[1]
            for one in classes.elts if isinstance(classes, ast.Tuple) else [classes]:
                yield from self._annotated(one)
        elif called in self.functions and self.functions[called] is not function:
            target = self.functions[called]
            for name, value in bindings(call, target):
                if value is node or (isinstance(value, ast.Starred) and value.value is node):
                    yield from self.of(target, name, depth + 1)
                    argument = next(
                        (one for one, _, _ in _arguments(target.args) if one.arg == name), None
                    )
                    if argument is not None:
                        yield from self._annotated(argument.annotation)
        elif called in _SUMMING:
            yield INTS if len(call.args) == 1 else INT
        elif called in _ITERATING:
            is_count = called == "islice" and call.args and call.args[0] is not node
            yield INT if is_count else INTS
        elif called in _TAKING_INT:
            yield INT
        elif called == "len":
            yield from (INTS, STR)
        elif called in ("map", "filter", "starmap") and call.args and call.args[0] is not node:
            yield INTS
        elif called in ("ord", "fullmatch", "match", "findall", "sub", "finditer"):
            yield STR
        elif called == "join":
            yield ValueKind("list", (STR,))
        elif called == "int":
            yield from (INT, STR)
        elif called in ("sqrt", "floor", "ceil", "float", "log", "exp", "fabs", "round", "abs"):
            yield from (FLOAT, INT)
        elif called in ("split", "startswith", "endswith", "replace", "find", "strip", "count"):
            yield STR
        elif called == "dict":
            yield DICT


def _comparison_kinds(parent: ast.Compare, node: ast.expr) -> Iterator[ValueKind]:
    sides = [parent.left, *parent.comparators]
    for number, operator in enumerate(parent.ops):
        left, right = sides[number], sides[number + 1]
        if node is not left and node is not right:
            continue
        other = right if node is left else left
        if isinstance(operator, (ast.In, ast.NotIn)):
            if node is right:
                yield from (INTS, STR) if not _is_text(other) else (STR, DICT)
            elif _is_text(other):
                yield STR
        elif isinstance(operator, (ast.Is, ast.IsNot)):
            if isinstance(other, ast.Constant) and other.value is None:
                yield NONE
        elif isinstance(other, ast.Constant):
            kind = kind_of(other.value)
            yield kind
            if kind == INT and not isinstance(operator, (ast.Eq, ast.NotEq)):
                yield FLOAT
        elif isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            yield INT


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


# ---- constants --------------------------------------------------------------------------------

_MOST = 24


def _without_values(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields the parts whose constants no argument is compared with: annotations, formats."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield from (part for part in node.values if isinstance(part, ast.Constant))
            yield from (
                part.format_spec
                for part in node.values
                if isinstance(part, ast.FormattedValue) and part.format_spec
            )
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns:
            yield node.returns


def _constants(tree: ast.Module) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Returns the integers and short texts in the program, each once, in source order."""
    integers: dict[int, None] = {}
    texts: dict[str, None] = {}
    passed_over = {id(node) for part in _without_values(tree) for node in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in passed_over:
            if type(node.value) is int and abs(node.value) < 10**6:
                integers[node.value] = None
            elif type(node.value) is str and 0 < len(node.value) <= 12:
                texts[node.value] = None
    return tuple(integers)[:_MOST], tuple(texts)[:_MOST]
