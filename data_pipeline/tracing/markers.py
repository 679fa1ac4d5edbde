"""Adds markers to a program: lines past its end that make branches and loops visible to a tracer.

Line events alone do not show whether a one-line `if` was taken, whether a loop continues or starts
anew, how many turns a comprehension made, or which statement of a line runs, and CPython's versions
emit different events. This module therefore compiles the program with a `pass` on a line of its own
(a NOP; no name, no call, no value) at the start of every such body and before every loop. It moves
the targets of comprehensions, and every part of a line (see `parts`) but the first, to lines of
their own. A comprehension over several lines counts as its first line.
Lines of the program itself keep their numbers; `MarkedProgram.real` maps the others back.

Standard library only: this file also runs inside the sandbox.
"""

import ast
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from data_pipeline.source.calls import compile_program
from data_pipeline.tracing.parts import Part, continued_lines, first_line, parse_parts

FILENAME = "<program>"


@dataclass(frozen=True, slots=True)
class Marker:
    """The meaning of a marker's line.

    kind:    "enter" (a loop statement is about to start), "body" (a header enters its body), "end"
             (a `finally` is over; what follows would seem to be its last line)
    loop:    "for", "while" or None
    header:  line of the header
    """

    kind: str
    loop: str | None
    header: int


@dataclass(frozen=True, slots=True)
class Clause:
    """One `for` of a comprehension.

    header: line of the comprehension, possibly a moved one
    bound:  variables that this clause binds
    hidden: the variables of all clauses of the outermost comprehension around it, which Python 3.12
            takes out of the frame and puts back as it goes
    inner:  lines of the clauses that start anew at each turn of this one
    """

    header: int
    bound: frozenset[str]
    hidden: frozenset[str]
    inner: tuple[int, ...]


@dataclass(frozen=True)
class MarkedProgram:
    """A program compiled with markers, ready to trace.

    code:     code of the module
    last:     last line of the source; greater lines are moved lines or markers
    markers:  line -> Marker; such a line is not a step of the program
    clauses:  line -> Clause; reaching it is one turn of a comprehension
    real:     moved line -> line of the program
    part:     moved line -> number of the part of that line; 0 for other lines
    starts:   line on which a statement or header continues -> line on which it starts
    headers:  lines of headers that branch
    exits:    lines of `with` headers, which run again when the block is left
    classes:  names of classes
    """

    source: str
    code: types.CodeType
    last: int
    markers: Mapping[int, Marker]
    clauses: Mapping[int, Clause]
    real: Mapping[int, int]
    part: Mapping[int, int]
    starts: Mapping[int, int]
    headers: frozenset[int]
    exits: frozenset[int]
    classes: frozenset[str]


@lru_cache(maxsize=512)
def compile_with_markers(source: str) -> MarkedProgram:
    """Compiles `source` with markers. Raises CallError("syntax") with the line at fault."""
    tree = compile_program(source, FILENAME)
    last = source.count("\n") + 1
    placer = _Placer(last)
    placer.separate(parse_parts(tree, source))
    placer.visit(tree)
    with_markers = compile(tree, FILENAME, "exec", dont_inherit=True)
    return MarkedProgram(
        source,
        with_markers,
        last,
        placer.markers,
        placer.clauses,
        placer.real,
        placer.part,
        placer.starts,
        frozenset(placer.headers),
        frozenset(placer.exits),
        frozenset(placer.classes),
    )


_Loop = ast.For | ast.AsyncFor | ast.While
_BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case, ast.Module)
_LEAVES = (ast.Name, ast.Constant, ast.Load, ast.Store, ast.Del)  # most nodes, not worth a visit
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class _Placer(ast.NodeVisitor):
    """Places the markers, after `separate` has given each part of a line a line of its own."""

    def __init__(self, last: int):
        self.next = last
        self.markers: dict[int, Marker] = {}
        self.clauses: dict[int, Clause] = {}
        self.real: dict[int, int] = {}
        self.part: dict[int, int] = {}
        self.starts: dict[int, int] = {}
        self.headers: set[int] = set()
        self.exits: set[int] = set()
        self.classes: set[str] = set()
        self.hidden: frozenset[str] = frozenset()

    def fresh(self) -> int:
        self.next += 1
        return self.next

    def separate(self, parts: Mapping[int, list[Part]]) -> None:
        """Moves every part of a line but the first to a line of its own."""
        for line, nodes in parts.items():
            if len(nodes) == 1 and getattr(nodes[0], "end_lineno", 0) == line:
                continue
            for number in range(len(nodes) - 1, -1, -1):  # inner parts before those around them
                node = nodes[number]
                if isinstance(node, ast.Lambda):
                    _relocate(node.body, self.moved(line, number), only=line)
                elif first_line(node) == line:
                    self.move(node, line, number)

    def move(
        self, node: ast.stmt | ast.excepthandler | ast.match_case, line: int, number: int
    ) -> None:
        moved = self.moved(line, number) if number else line
        for other, start in continued_lines(node):
            self.starts[other] = moved if start == line else start
        if number:
            _relocate(node, moved, only=line)

    def moved(self, line: int, number: int) -> int:
        """Returns a new line that stands for a part of `line`."""
        moved = self.fresh()
        self.real[moved], self.part[moved] = line, number
        return moved

    def visit_If(self, node: ast.If) -> None:
        self.open(node.body, node.lineno, None)
        self.generic_visit(node)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.open(node.body, node.lineno, "for")
        self.generic_visit(node)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.open(node.body, node.lineno, "while")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.open(node.body, node.lineno, None)
        self.generic_visit(node)

    def visit_match_case(self, node: ast.match_case) -> None:
        self.open(node.body, node.lineno, None)  # type: ignore[attr-defined]
        self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        for name in node._fields:
            child = getattr(node, name, None)
            for part in child if type(child) is list else (child,):
                if isinstance(part, ast.AST) and type(part) not in _LEAVES:
                    self.visit(part)
        if isinstance(node, _BLOCKS):
            for name in ("body", "orelse", "finalbody"):
                if statements := getattr(node, name, None):
                    self.announce_loops(statements)

    def visit_comprehension_node(self, node: _Comprehension) -> None:
        elements = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        generators = node.generators
        bound = [frozenset(_bound_names(generator)) for generator in generators]
        hidden = self.hidden or frozenset(_all_bound_names(node))
        lines = [self.fresh() for _ in generators]
        for part in (*elements, *generators):
            _relocate(part, node.lineno)
        for generator, line in zip(generators, lines, strict=True):
            self.real[line] = self.real.get(node.lineno, node.lineno)
            self.part[line] = self.part.get(node.lineno, 0)
            _relocate(generator.target, line)  # stored to once a turn
        outside, self.hidden = self.hidden, hidden
        self.generic_visit(node)
        self.hidden = outside
        for number, line in enumerate(lines):
            inner = tuple(range(lines[-1] + 1, self.next + 1)) + tuple(lines[number + 1 :])
            self.clauses[line] = Clause(node.lineno, bound[number], hidden, inner)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_comprehension_node
    visit_GeneratorExp = visit_comprehension_node

    def open(self, body: list[ast.stmt], header: int, loop: str | None) -> None:
        """Puts a "body" marker at the start of `body`."""
        self.headers.add(header)
        line = self.fresh()
        self.markers[line] = Marker("body", loop, header)
        body.insert(0, _pass(line))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.classes.add(node.name)
        self.generic_visit(node)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        self.exits.add(node.lineno)
        self.generic_visit(node)

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try) -> None:
        self.generic_visit(node)
        if node.finalbody:
            line = self.fresh()
            self.markers[line] = Marker("end", None, node.lineno)
            node.finalbody.append(_pass(line))

    visit_TryStar = visit_Try

    def announce_loops(self, body: list[ast.stmt]) -> None:
        for index in range(len(body) - 1, -1, -1):
            statement = body[index]
            if isinstance(statement, _Loop):
                line = self.fresh()
                loop = "while" if isinstance(statement, ast.While) else "for"
                self.markers[line] = Marker("enter", loop, statement.lineno)
                body.insert(index, _pass(line))


def _pass(line: int) -> ast.Pass:
    return ast.Pass(lineno=line, col_offset=0, end_lineno=line, end_col_offset=4)


def _relocate(node: ast.AST, line: int, only: int | None = None) -> None:
    """Moves `node` and its children (on line `only`, if given) to `line`, except lambda bodies."""
    if hasattr(node, "lineno") and (only is None or node.lineno == only):
        # Columns of different lines cannot be compared: these are all valid.
        node.lineno = node.end_lineno = line  # type: ignore[attr-defined]
        node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
    for name, child in ast.iter_fields(node):
        if isinstance(node, ast.Lambda) and name == "body":
            continue
        for part in child if isinstance(child, list) else [child]:
            if isinstance(part, ast.AST):
                _relocate(part, line, only)


def _all_bound_names(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.comprehension):
            yield from _bound_names(part)


def _bound_names(generator: ast.comprehension) -> Iterator[str]:
    for node in ast.walk(generator.target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
