"""Indexes a program's syntax for proofs: statements, definitions, constants; once for all its runs.

Written apart from `tracing.replay`, which narrators read, so that a fault there shows here.
"""

import ast
import functools
from collections.abc import Iterator, Sequence

from data_pipeline.source.literals import is_literal, parse_literal

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_READERS = frozenset({"get", "items", "keys", "values", "index", "count", "copy"})


@functools.lru_cache(maxsize=64)
def index_program(program: str) -> "ProgramIndex":
    """Returns the index of a program, which nobody changes. Raises SyntaxError or ValueError."""
    return ProgramIndex(program)


class ProgramIndex:
    """A program's tree, its statements by line, and its definitions by qualified name."""

    def __init__(self, program: str):
        self.tree = ast.parse(program)
        self.nodes: Sequence[ast.AST] = tuple(ast.walk(self.tree))
        self.at_line: dict[int, list[ast.stmt]] = {}
        self.definitions: dict[str, list[ast.AST]] = {}
        self.functions: dict[str, ast.FunctionDef] = {}  # by last name, for the evaluator
        self.parents: dict[ast.AST, ast.AST] = {}
        self._index(self.tree, "")

    def _index(self, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            self.parents[child] = node
            inner = prefix
            if isinstance(child, ast.stmt):
                self.at_line.setdefault(child.lineno, []).append(child)
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                self.definitions.setdefault(prefix + child.name, []).append(child)
                inner = f"{prefix}{child.name}."
                if isinstance(child, FUNCTIONS):
                    self.functions.setdefault(child.name, child)  # type: ignore[arg-type]
                    inner += "<locals>."
            self._index(child, inner)

    @functools.cached_property
    def nodes_at(self) -> dict[int, list[ast.AST]]:
        """Returns the nodes that start on each line; those without a place are at line 0."""
        found: dict[int, list[ast.AST]] = {}
        for node in self.nodes:
            found.setdefault(getattr(node, "lineno", 0), []).append(node)
        return found

    @functools.cached_property
    def case_lines(self) -> frozenset[int]:
        """Returns the lines of `case` headers."""
        cases = (node for node in self.nodes if isinstance(node, ast.match_case))
        return frozenset(case.pattern.lineno for case in cases)

    @functools.cached_property
    def constants(self) -> dict[str, str]:
        """Returns the globals that keep one literal value through the run, name -> text."""
        bound: dict[str, list[ast.expr | None]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Global):
                for name in node.names:
                    bound.setdefault(name, []).append(None)
        for statement in self.tree.body:
            for name, value in _bindings(statement):
                bound.setdefault(name, []).append(value)
        found = {}
        for name, values in bound.items():
            if len(values) == 1 and values[0] is not None:
                text = ast.unparse(values[0])
                if is_literal(text) and self._is_only_read(name, text):
                    found[name] = text
        return found

    def _is_only_read(self, name: str, text: str) -> bool:
        if isinstance(parse_literal(text), int | float | str | bytes | type(None)):
            return True
        for node in self.nodes:
            if not (isinstance(node, ast.Name) and node.id == name):
                continue
            parent = self.parents[node]
            match parent:
                case (
                    ast.Subscript(ctx=ast.Load()) | ast.Compare() | ast.For() | ast.comprehension()
                ):
                    continue
                case ast.Call(func=ast.Name(id="len" | "sorted" | "max" | "min" | "sum")):
                    continue
                case ast.Attribute(attr=attribute) if attribute in _READERS:
                    continue
                case ast.Assign() if parent in self.tree.body and node in parent.targets:
                    continue
                case ast.AnnAssign() if parent in self.tree.body:
                    continue
            return False
        return True


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Yields (name, literal candidate) for each name that a module-level statement may bind."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=value):
            if value is not None:
                yield name, value
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name, None
        case _:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                    yield node.id, None
                elif isinstance(node, ast.alias):
                    yield (node.asname or node.name).split(".")[0], None
