"""Numbers the parts of a line: the statements, clauses and lambda bodies that share it.

An event names its part (`Event.part`), so that `a = 1; b = a` and `for x in xs: n += x` are
several steps although they stand on one line.

Standard library only: this file also runs inside the sandbox.
"""

import ast
import re
from collections.abc import Iterator

# What may be one step of a run.
Part = ast.stmt | ast.excepthandler | ast.match_case | ast.Lambda

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases", "decorator_list")
_CASE = re.compile(r"\s*case\b")


def parse_parts(tree: ast.Module, source: str) -> dict[int, list[Part]]:
    """Maps lines to their parts in source order.

    A part belongs to each line of its own text, which for a compound statement is its header: a
    statement that continues from the line above is the line's first part. A lambda belongs to the
    first line of its body.
    """
    _place_cases(tree, source.split("\n"))
    found: dict[int, list[tuple[tuple[int, int], Part]]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            place = node.body.lineno, node.body.col_offset
            found.setdefault(place[0], []).append((place, node))
        elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            place = first_line(node), getattr(node, "col_offset", 0)
            for line in range(place[0], last_header_line(node) + 1):
                found.setdefault(line, []).append((place, node))
    return {
        line: [node for _, node in sorted(nodes, key=lambda pair: pair[0])]
        for line, nodes in found.items()
    }


def first_line(node: Part) -> int:
    """Returns the line on which the node starts, after `parse_parts` placed the cases."""
    decorators = [decorator.lineno for decorator in getattr(node, "decorator_list", [])]
    return min([node.lineno, *decorators])  # type: ignore[union-attr]


def last_header_line(node: ast.AST) -> int:
    """Returns the last line of a simple statement, or of a compound statement's header."""
    if isinstance(node, ast.stmt) and not getattr(node, "body", None) and not _is_match(node):
        return node.end_lineno or node.lineno
    return max(
        [node.lineno]  # type: ignore[attr-defined]
        + [part.end_lineno or 0 for child in _header(node) for part in _with_place(child)]
    )


def continued_lines(node: Part) -> Iterator[tuple[int, int]]:
    """Yields (line, line that starts the step) of each line that continues a step of `node`."""
    for decorator in getattr(node, "decorator_list", []):
        for line in range(decorator.lineno + 1, (decorator.end_lineno or 0) + 1):
            yield line, decorator.lineno
    start: int = node.lineno  # type: ignore[union-attr]
    for line in range(start + 1, last_header_line(node) + 1):
        yield line, start


def _header(node: ast.AST) -> Iterator[ast.AST]:
    for name, child in ast.iter_fields(node):
        if name not in _BLOCKS:
            parts = child if isinstance(child, list) else [child]
            yield from (part for part in parts if isinstance(part, ast.AST))


def _with_place(node: ast.AST) -> Iterator[ast.expr]:
    """Yields the outermost nodes with a place: `ast.arguments` and `ast.withitem` have none."""
    if hasattr(node, "end_lineno"):
        yield node  # type: ignore[misc]
        return
    for child in ast.iter_child_nodes(node):
        yield from _with_place(child)


def _is_match(node: ast.AST) -> bool:
    return isinstance(node, ast.Match)


def _place_cases(tree: ast.Module, lines: list[str]) -> None:
    """Gives each `case` the line of its keyword, which the parser does not record."""
    for match in ast.walk(tree):
        if not isinstance(match, ast.Match):
            continue
        after = last_header_line(match)
        for case in match.cases:
            line = case.pattern.lineno
            while line > after + 1 and not _CASE.match(lines[line - 1]):
                line -= 1
            case.lineno = line  # type: ignore[attr-defined]
            after = case.body[-1].end_lineno or line
