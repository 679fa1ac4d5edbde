"""Defines mutation operators on statements: lost, misplaced or badly indented ones, wrong exits.

As in `expressions`, each takes source and function, and yields variants in source order.
"""

import ast
from collections.abc import Iterator, Mapping
from itertools import pairwise

from data_pipeline.faults.expressions import Operator
from data_pipeline.faults.mutant import Mutant
from data_pipeline.source.edits import EditableProgram, bodies, parts

_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Delete, ast.Break, ast.Continue)
_LOOPS = (ast.For, ast.While)
_JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def dropped_statement(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Drops an assignment, a call or a jump."""
    for _, body in bodies(function):
        for statement in body:
            if isinstance(statement, _SIMPLE) and source.owns_lines(statement):
                yield Mutant("dropped_statement", _without(source, body, statement))


def missing_return(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Makes a call, but does not return its value; of any other value forgets the whole line."""
    for _, body in bodies(function):
        for node in body:
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            span = source.span(node)[0], source.span(node.value)[0]
            if not isinstance(node.value, ast.Call):
                if len(body) > 1 and source.owns_lines(node):
                    yield Mutant("missing_return", _without(source, body, node))
            elif source.text[slice(*span)].strip() == "return":
                yield Mutant("missing_return", source.replace((span, "")))


def early_return(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Moves the return after a loop into it, so that the first turn ends it."""
    for _, body in bodies(function):
        for before, statement in pairwise(body):
            if (
                isinstance(before, _LOOPS)
                and not before.orelse
                and isinstance(statement, ast.Return)
                and source.owns_lines(statement)
                and source.owns_lines(before.body[-1])
                and statement.lineno == statement.end_lineno
            ):
                inner = source.indent_of(before.body[-1])
                start = source.starts[statement.lineno - 1]
                span = start, source.span(statement)[0]
                yield Mutant(
                    "early_return",
                    source.replace((span, inner)),
                )


def unindented_statement(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Moves the last statement of a block behind it."""
    for owner, body in bodies(function):
        last = body[-1]
        if (
            isinstance(owner, ast.If | ast.For | ast.While)
            and not owner.orelse
            and last is owner.body[-1]
            and len(body) > 1
            and isinstance(last, _SIMPLE)
            and not isinstance(last, ast.Break | ast.Continue)
            and last.lineno == last.end_lineno
            and source.owns_lines(last)
        ):
            outer = source.indent_of(owner)
            span = source.starts[last.lineno - 1], source.span(last)[0]
            yield Mutant(
                "unindented_statement",
                source.replace((span, outer)),
            )


def dropped_else(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Drops the other case."""
    for owner, body in bodies(function):
        if (
            isinstance(owner, ast.If)
            and owner.orelse
            and body[-1] is owner.orelse[-1]
            and all(source.owns_lines(statement) for statement in (owner.body[-1], body[-1]))
        ):
            first = (owner.body[-1].end_lineno or 0) + 1
            start = source.starts[first - 1]
            _, end = source.lines_of(body[-1])
            yield Mutant(
                "dropped_else",
                source.replace(((start, end), "")),
            )


def dropped_guard(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Drops a special case: an `if` that returns, raises or leaves the turn."""
    for _, body in bodies(function):
        for statement in body:
            if (
                isinstance(statement, ast.If)
                and not statement.orelse
                and isinstance(statement.body[-1], _JUMPS)
                and len(body) > 1
                and source.owns_lines(statement)
            ):
                yield Mutant(
                    "dropped_guard",
                    _without(source, body, statement),
                )


def misplaced_initializer(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Sets the variable anew in each turn of the loop."""
    for _, body in bodies(function):
        for statement, loop in pairwise(body):
            match statement, loop:
                case ast.Assign(targets=[ast.Name()]), ast.For() | ast.While():
                    pass
                case _:
                    continue
            first = loop.body[0]
            if not (source.owns_lines(statement) and source.owns_lines(first)):
                continue
            if first.lineno <= loop.lineno or statement.lineno != statement.end_lineno:
                continue
            start, end = source.lines_of(statement)
            at = source.starts[first.lineno - 1]
            line = source.text[source.span(statement)[0] : end]
            yield Mutant(
                "misplaced_initializer",
                source.replace(((start, end), ""), ((at, at), source.indent_of(first) + line)),
            )


def break_continue(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Replaces `continue` by `break`, and back."""
    for node in parts(function):
        if isinstance(node, ast.Break | ast.Continue):
            wrong = "continue" if isinstance(node, ast.Break) else "break"
            yield Mutant(
                "break_continue",
                source.replace((source.span(node), wrong)),
            )


def swapped_statements(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Swaps two statements."""
    for _, body in bodies(function):
        for one, other in pairwise(body):
            if (
                isinstance(one, ast.Assign | ast.AugAssign | ast.Expr)
                and isinstance(other, ast.Assign | ast.AugAssign | ast.Expr)
                and source.owns_lines(one)
                and source.owns_lines(other)
                and one.lineno == one.end_lineno == other.lineno - 1 == (other.end_lineno or 0) - 1
            ):
                texts = source.text_of(one), source.text_of(other)
                yield Mutant(
                    "swapped_statements",
                    source.replace((source.span(one), texts[1]), (source.span(other), texts[0])),
                )


def sequential_assignment(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Replaces `a, b = b, a + b` by `a = b` and then `b = a + b`."""
    for node in parts(function):
        match node:
            case ast.Assign(
                targets=[ast.Tuple(elts=[ast.Name(), ast.Name()] as targets)],
                value=ast.Tuple(elts=[_, _] as values),
            ) if source.owns_lines(node) and node.lineno == node.end_lineno:
                lines = [
                    f"{source.text_of(target)} = {source.text_of(value)}"
                    for target, value in zip(targets, values, strict=True)
                ]
                yield Mutant(
                    "sequential_assignment",
                    source.replace(
                        (source.span(node), f"{lines[0]}\n{source.indent_of(node)}{lines[1]}")
                    ),
                )


def forgotten_copy(source: EditableProgram, function: ast.FunctionDef) -> Iterator[Mutant]:
    """Binds a second name to the list itself: `ys = xs` for `ys = xs[:]` or `ys = xs.copy()`."""
    for node in parts(function):
        match node:
            case ast.Assign(targets=[ast.Name()], value=value):
                original = _copied(value)
            case _:
                continue
        if original is not None:
            text = source.text_of(original)
            yield Mutant(
                "forgotten_copy",
                source.replace((source.span(value), text)),
            )


def _copied(value: ast.expr) -> ast.expr | None:
    """Returns the expression that `value` copies; None if it is no plain copy."""
    match value:
        case ast.Subscript(value=original, slice=ast.Slice(lower=None, upper=None, step=None)):
            pass
        case ast.Call(func=ast.Attribute(value=original, attr="copy"), args=[], keywords=[]):
            pass
        case ast.Call(
            func=ast.Name(id="list" | "dict" | "set") | ast.Attribute(attr="copy" | "deepcopy"),
            args=[original],
            keywords=[],
        ):
            pass
        case _:
            return None
    return original if isinstance(original, ast.Name | ast.Attribute | ast.Subscript) else None


OPERATORS: Mapping[str, Operator] = {
    operator.__name__: operator
    for operator in (
        dropped_statement, missing_return, early_return, unindented_statement, dropped_else,
        dropped_guard, misplaced_initializer, break_continue, swapped_statements,
        sequential_assignment, forgotten_copy,
    )
}  # fmt: skip


def _without(source: EditableProgram, body: list[ast.stmt], statement: ast.stmt) -> str:
    """Removes the statement's lines; leaves `pass` where a block would be empty."""
    if len(body) == 1:
        return source.replace((source.span(statement), "pass"))
    return source.replace((source.lines_of(statement), ""))
