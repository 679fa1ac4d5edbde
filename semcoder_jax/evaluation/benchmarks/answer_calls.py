"""Decides whether an answer is a call of the problem's function that may be run and scored.

The outermost call must be of that function. An argument may be any expression over literals, the
names that the program itself binds, and constructors and methods of built-in types, including
comprehensions. Refused are dunder names, other builtins (`eval`, `getattr`, …), imported names,
attributes that no built-in type and no class of the program has, `lambda`, `:=`, and methods that
change an object of the program. The sandbox evaluates what is left.
"""

import ast
import string
import warnings
from collections.abc import Iterator

_TYPES = (
    *(str, bytes, bytearray, int, float, complex, bool),
    *(list, tuple, dict, set, frozenset, range),
)
_FUNCTIONS = (
    *(abs, all, any, ascii, bin, chr, divmod, enumerate, filter, hex, iter, len, map, max, min),
    *(next, oct, ord, pow, repr, reversed, round, slice, sorted, sum, zip),
)
BUILTINS = frozenset(known.__name__ for known in (*_TYPES, *_FUNCTIONS))
_CHANGING = frozenset(
    [
        *("add", "append", "clear", "difference_update", "discard", "extend", "insert"),
        *("intersection_update", "pop", "popitem", "remove", "reverse", "setdefault", "sort"),
        *("symmetric_difference_update", "update"),
    ]
)
_METHODS = frozenset(
    name for kind in _TYPES for name in dir(kind) if not name.startswith("_")
) - frozenset({"format", "format_map"})
_HARMLESS = (
    *(ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred, ast.keyword),
    *(ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript, ast.Slice),
    *(ast.JoinedStr, ast.FormattedValue, ast.Call, ast.expr_context),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)


def parse_expression(text: str) -> ast.expr | None:
    """Returns the tree of an expression, or None if `text` is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in a model's answer
            return ast.parse(text.strip(), mode="eval").body
    except _NO_PYTHON:
        return None


def is_scorable_call(answer: str, function: str, program: str, *, like: str = "") -> bool:
    """Whether `answer` is a call of `function` with allowed arguments (see the module).

    function: as the call spells it: "f", "C.f" or "C().f". like: the call that the problem's author
    wrote; an answer may use `lambda` if this one does.
    """
    call = parse_expression(answer)
    if not isinstance(call, ast.Call):
        return False
    try:
        if ast.unparse(call.func) != function:
            return False
        owned = _Owned(program, allows_lambda=_has_lambda(like))
        return all(owned.allows(part) for part in (*call.args, *call.keywords))
    except RecursionError:
        return False


def _has_lambda(text: str) -> bool:
    tree = parse_expression(text)
    return tree is not None and any(isinstance(node, ast.Lambda) for node in ast.walk(tree))


class _Owned:
    """The names and attributes that a program binds, and the expressions that they allow."""

    def __init__(self, program: str, *, allows_lambda: bool):
        body = ast.parse(program).body
        self.names = frozenset(_bound_names(body))
        self.attributes = frozenset(
            name
            for statement in body
            if isinstance(statement, ast.ClassDef)
            for name in _bound_names(statement.body)
        )
        self.allows_lambda = allows_lambda

    def allows(self, node: ast.AST, local: frozenset[str] = frozenset()) -> bool:
        """Whether `node` may be evaluated; `local` are the names that surround it."""
        if isinstance(node, ast.Name):
            known = node.id in local or node.id in self.names or node.id in BUILTINS
            return known and not node.id.startswith("__")
        if isinstance(node, ast.Attribute):
            return self._allows_attribute(node) and self.allows(node.value, local)
        if isinstance(node, _COMPREHENSIONS):
            return self._allows_comprehension(node, local)
        if isinstance(node, ast.Lambda):
            return self.allows_lambda and self._allows_lambda(node, local)
        if not isinstance(node, _HARMLESS):
            return False
        return all(self.allows(part, local) for part in ast.iter_child_nodes(node))

    def _allows_attribute(self, node: ast.Attribute) -> bool:
        name = node.attr
        if name.startswith("__"):
            return False
        if name == "format":
            return _is_plain_template(node.value)
        if name in self.attributes:
            return True
        # A lambda may change its own argument, which the function gives it.
        may_change = self.allows_lambda or not _names_anything(node.value)
        may_change = may_change and not _gives_type(node.value)  # list.append(xs, 'x')
        return name in _METHODS and (may_change or name not in _CHANGING)

    def _allows_comprehension(self, node, local: frozenset[str]) -> bool:
        for generator in node.generators:
            bound = _target_names(generator.target)
            if generator.is_async or bound is None or not self.allows(generator.iter, local):
                return False
            local |= bound
            if not all(self.allows(condition, local) for condition in generator.ifs):
                return False
        parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return all(self.allows(part, local) for part in parts)

    def _allows_lambda(self, node: ast.Lambda, local: frozenset[str]) -> bool:
        arguments = node.args
        defaults = [*arguments.defaults, *(default for default in arguments.kw_defaults if default)]
        bound = {part.arg for part in ast.walk(arguments) if isinstance(part, ast.arg)}
        return all(self.allows(default, local) for default in defaults) and self.allows(
            node.body, local | bound
        )


def _bound_names(body: list[ast.stmt]) -> Iterator[str]:
    """Yields the names that statements bind by definition or assignment, not by import."""
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield node.name


def _target_names(target: ast.expr) -> frozenset[str] | None:
    """Returns the names of a comprehension's target, or None if it stores anywhere else."""
    if isinstance(target, ast.Name):
        return frozenset({target.id})
    if isinstance(target, ast.Starred):
        return _target_names(target.value)
    if isinstance(target, (ast.Tuple, ast.List)):
        found = [_target_names(part) for part in target.elts]
        return None if None in found else frozenset().union(*found)
    return None


def _names_anything(node: ast.expr) -> bool:
    """Whether the expression may give an object of the program: it names something."""
    return any(isinstance(part, ast.Name) and part.id not in BUILTINS for part in ast.walk(node))


def _gives_type(node: ast.expr) -> bool:
    """Whether the expression may give a built-in type itself: it names one and does not call it."""
    called = {id(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)}
    return any(
        isinstance(part, ast.Name) and part.id in BUILTINS and id(part) not in called
        for part in ast.walk(node)
    )


def _is_plain_template(node: ast.expr) -> bool:
    """Whether the expression is a text whose replacement fields look into no object."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return False
    try:
        fields = [field or "" for _, field, _, _ in string.Formatter().parse(node.value)]
    except ValueError:
        return True  # formatting it raises
    return not any("." in field or "[" in field for field in fields)
