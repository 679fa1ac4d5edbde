"""Numbers the parts of a line: the statements, clauses and lambda bodies that share it.

An event names its part (`Event.part`), so that `a = 1; b = a` and `for x in xs: n += x` are
several steps although they stand on one line.

Standard library only: this file also runs inside the sandbox.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

# What may be one step of a run.
Part = ast.stmt | ast.excepthandler | ast.match_case | ast.Lambda

_CASE = re.compile(r"\s*case\b")
_BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
# The field that ends the header of a compound statement.
_LAST_OF_HEADER: dict[type[ast.AST], str] = {
    ast.If: "test",
    ast.While: "test",
    ast.For: "iter",
    ast.AsyncFor: "iter",
    ast.With: "items",
    ast.AsyncWith: "items",
    ast.Match: "subject",
    ast.ExceptHandler: "type",
    ast.match_case: "guard",
    ast.Try: "",
    ast.TryStar: "",
}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def parse_parts(tree: ast.Module, source: str) -> dict[int, list[Part]]:
    """Maps lines to their parts in source order.

    A part belongs to each line of its own text, which for a compound statement is its header: a
    statement that continues from the line above is the line's first part. A lambda belongs to the
    first line of its body.
    """
    found: dict[int, list[Part]] = {}
    shared: set[int] = set()
    for node in _steps(tree.body, source):
        first, last = first_line(node), last_header_line(node)
        if first == last and first not in found:
            found[first] = [node]
            continue
        for line in range(first, last + 1):
            if line in found:
                shared.add(line)
            found.setdefault(line, []).append(node)
    if "lambda" in source:
        for node in ast.walk(tree):
            if isinstance(node, ast.Lambda):
                shared.add(node.body.lineno)
                found.setdefault(node.body.lineno, []).append(node)
    for line in shared:
        found[line].sort(key=_place)
    return found


def _place(node: Part) -> tuple[int, int]:
    if isinstance(node, ast.Lambda):
        return node.body.lineno, node.body.col_offset
    return first_line(node), getattr(node, "col_offset", 0)


def _steps(body: Sequence[Any], source: str) -> Iterator[Part]:
    """Yields statements and clauses, those outside first."""
    for node in body:
        yield node
        if type(node) is ast.Match:
            _place_cases(node, source.split("\n"))
        if not hasattr(node, "body") and not hasattr(node, "cases"):
            continue
        for name in _BLOCKS:
            if inner := getattr(node, name, None):
                yield from _steps(inner, source)


def first_line(node: Part) -> int:
    """Returns the line on which the node starts, after `parse_parts` placed the cases."""
    first: int = node.lineno  # type: ignore[union-attr]
    if type(node) in _DEFINITIONS and node.decorator_list:
        return min(first, node.decorator_list[0].lineno)
    return first


def last_header_line(node: Part) -> int:
    """Returns the last line of a simple statement, or of a compound statement's header."""
    kind = type(node)
    name = _LAST_OF_HEADER.get(kind)
    if name is not None:
        last: Any = getattr(node, name, None)
        if isinstance(node, ast.match_case):
            last = last or node.pattern
        elif name == "items":
            last = last[-1].optional_vars or last[-1].context_expr
        return max(node.lineno, last.end_lineno) if last else node.lineno  # type: ignore
    if kind in _DEFINITIONS:
        return max([node.lineno, *(part.end_lineno or 0 for part in _signature(node))])
    return node.end_lineno or node.lineno  # type: ignore[union-attr]


def continued_lines(node: Part) -> Iterator[tuple[int, int]]:
    """Yields (line, line that starts the step) of each line that continues a step of `node`."""
    for decorator in getattr(node, "decorator_list", []):
        for line in range(decorator.lineno + 1, (decorator.end_lineno or 0) + 1):
            yield line, decorator.lineno
    start: int = node.lineno  # type: ignore[union-attr]
    for line in range(start + 1, last_header_line(node) + 1):
        yield line, start


def _signature(node: ast.AST) -> Iterator[ast.expr]:
    """Yields what has a place in the header of a function or class, decorators left out."""
    for name, child in ast.iter_fields(node):
        if name not in ("body", "decorator_list"):
            for part in child if isinstance(child, list) else [child]:
                if hasattr(part, "end_lineno"):
                    yield part
                elif isinstance(part, ast.AST):  # `ast.arguments` has no place itself
                    yield from _signature(part)


def _place_cases(match: ast.Match, lines: list[str]) -> None:
    """Gives each `case` the line of its keyword, which the parser does not record."""
    after = last_header_line(match)
    for case in match.cases:
        line = case.pattern.lineno
        while line > after + 1 and not _CASE.match(lines[line - 1]):
            line -= 1
        case.lineno = line  # type: ignore[attr-defined]
        after = case.body[-1].end_lineno or line
