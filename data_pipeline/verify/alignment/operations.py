"""Lists the operations that descriptions speak of, beyond the actions of the statements."""

import ast
from collections.abc import Iterator

from data_pipeline.verify.actions import Action
from data_pipeline.verify.phrases import Code
from data_pipeline.verify.wordlists import word_set

_COUNTING = "occurrences occurrence number times appears appear count many frequency"
_REMOVES = word_set("remove drop trim strip exclude cut discard delete")
_ROLES = ("object", "from", "in", "at", "with", "to", "as")
_USES = word_set("use utilize apply call invoke rely employ execute perform run")
_COMPARES = word_set("compare check")
_COUNTS = word_set("count track tally calculate")
_GOES_ON = word_set("skip continue move proceed go advance jump")


def list_operations(code: Code) -> list[Action]:
    """Returns the actions of a program and its further operations."""
    found = [action for action in code.actions if "method" not in action.roles]
    for action in code.actions:
        if "method" in action.roles:
            found += _used(action)
    for node in ast.walk(code.tree):
        statement = next((n for n in code.around(node) if isinstance(n, ast.stmt)), None)
        if statement is not None:
            found += _further(node, statement)
    return found


def _used(action: Action) -> Iterator[Action]:
    """Yields "uses the `join` method", "`join` is called on `xs`"."""
    call = action.roles["method"]
    roles: dict[str, ast.expr | str] = dict.fromkeys(("object", "in", "with"), call)
    roles["exactly"] = "yes"  # said of the names that stand there, not of what they are set from
    yield Action(_USES, roles, action.node, action.statement)


def _further(node: ast.AST, statement: ast.stmt) -> Iterator[Action]:
    match node:
        case ast.Continue():
            yield Action(_GOES_ON, {}, node, statement)
        case ast.Call(func=ast.Attribute(value=owner, attr="count"), args=[what]):
            counted: dict[str, ast.expr | str] = {"object": what, "in": owner, "words": _COUNTING}
            yield Action(_COUNTS, counted, node, statement)
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=None)):
            words = _cut_words(lower, upper)
            if words:
                roles: dict[str, ast.expr | str] = dict.fromkeys(_ROLES, value)
                roles["only words"] = words  # what is left is described by other words
                yield Action(_REMOVES, roles, node, statement)
            if words and (cut := _cut_part(lower, upper)) is not None:
                named = {**roles, "object": cut}  # "removes `head` from the start of `text`"
                yield Action(_REMOVES, named, node, statement)
        case ast.Compare(left=left, comparators=[right]):
            roles = {"object": left, "to": right, "with": right}
            yield Action(_COMPARES, roles, node, statement)
        case ast.Assign(targets=[ast.Subscript() as target], value=ast.BinOp(op=ast.Add()) as sum_):
            if ast.unparse(target.value) in ast.unparse(sum_.left):
                counted = {"object": target.slice, "in": target, "words": _COUNTING}
                yield Action(_COUNTS, counted, node, statement)
        case ast.Call(func=ast.Name(id="sum"), args=[ast.GeneratorExp(elt=ast.Constant(value=1))]):
            counted = {"object": node.args[0], "in": node.args[0], "words": _COUNTING}
            yield Action(_COUNTS, counted, node, statement)


def _cut_part(lower: ast.expr | None, upper: ast.expr | None) -> ast.expr | None:
    """Returns what `text[len(head):]` or `text[:-len(tail)]` cuts off, if it is told by length."""
    match lower, upper:
        case (ast.Call(func=ast.Name(id="len"), args=[part]), None):
            return part
        case (None, ast.UnaryOp(op=ast.USub(), operand=ast.Call(func=ast.Name(id="len"),
                                                                args=[part]))):  # fmt: skip
            return part
    return None


def _cut_words(lower: ast.expr | None, upper: ast.expr | None) -> str:
    """Returns the words for the end that a slice cuts off; "" for a slice out of the middle."""
    if lower is not None and upper is None:
        first = "first" if ast.unparse(lower) == "1" else ""
        return f"beginning start front leading prefix {first}"
    if lower is None and upper is not None and ast.unparse(upper).startswith("-"):
        return "end trailing suffix " + ("last" if ast.unparse(upper) == "-1" else "")
    return ""
