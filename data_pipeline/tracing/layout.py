"""Finds a program's statements, loops and parts by line, once for all its runs."""

import ast
from functools import lru_cache

from data_pipeline.tracing.parts import first_line, parse_parts


@lru_cache(maxsize=64)
def layout_of(program: str) -> "Layout":
    """Returns the layout of a program, which nobody changes."""
    return Layout(program)


class Layout:
    """A program's tree and its lines.

    statements: line -> the first statement that starts on it
    starts:     any line of a statement -> its first line
    loops:      header -> first and last line of the body
    functions:  by name, the first of each
    parts:      see `parse_parts`
    """

    def __init__(self, program: str):
        self.tree = _parse(program)
        self.nodes = tuple(ast.walk(self.tree))
        self.statements: dict[int, ast.stmt] = {}
        self.starts: dict[int, int] = {}
        self.loops: dict[int, tuple[int, int]] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        for node in self.nodes:
            if isinstance(node, ast.stmt):
                self.statements.setdefault(node.lineno, node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self.functions.setdefault(node.name, node)  # type: ignore[arg-type]
            if isinstance(node, ast.For | ast.While | ast.AsyncFor):
                self.loops[node.lineno] = (node.body[0].lineno, node.body[-1].end_lineno or 0)
        for node in sorted(self.statements.values(), key=lambda node: node.lineno):
            last = node.end_lineno or node.lineno
            if isinstance(body := getattr(node, "body", None), list) and body:
                last = max(node.lineno, body[0].lineno - 1)
            for line in range(node.lineno, last + 1):
                self.starts[line] = node.lineno
        self.parts = parse_parts(self.tree, program)
        for node in self.nodes:
            if isinstance(node, ast.ExceptHandler | ast.match_case):
                first = first_line(node)
                for line in range(first, max(first + 1, node.body[0].lineno)):
                    self.starts[line] = first


def _parse(program: str) -> ast.Module:
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
