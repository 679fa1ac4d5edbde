"""Computes the lines and branches of a program's functions and which of them runs reach."""

import ast
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from data_pipeline.source.calls import compile_program
from data_pipeline.tracing import Trace
from data_pipeline.tracing.markers import compile_with_markers
from data_pipeline.tracing.parts import first_line, parse_parts

Branch = tuple[int, bool]  # header line, whether its body was entered


@dataclass(frozen=True)
class Reach:
    """Holds the lines, branches (of lines that branch) and path that one or more runs reached.

    path: hash of the sequence of lines and branches; 0 for several runs together
    """

    lines: frozenset[int] = frozenset()
    branches: frozenset[Branch] = frozenset()
    path: int = 0

    def __or__(self, other: "Reach") -> "Reach":
        return Reach(self.lines | other.lines, self.branches | other.branches)

    def adds_to(self, other: "Reach") -> int:
        """Returns the number of lines and branches that `other` lacks."""
        return len(self.lines - other.lines) + len(self.branches - other.branches)


def reach_of(trace: Trace, universe: "Universe") -> Reach:
    """Returns the part of the universe that a run reached."""
    lines: set[int] = set()
    branches: set[Branch] = set()
    path = hashlib.blake2b(digest_size=8)
    for event in trace.events:
        if event.kind != "line":
            continue
        lines.add(event.line)
        if event.branch is not None:
            branches.add((event.line, event.branch))
        path.update(b"%d%d," % (event.line, event.branch is True))
    return Reach(
        frozenset(lines & universe.lines),
        frozenset(branches & universe.branches),
        int.from_bytes(path.digest(), "big"),
    )


@dataclass(frozen=True)
class Universe:
    """Holds the lines and branches that a run which returns can reach, by a static reading."""

    lines: frozenset[int]
    branches: frozenset[Branch]


def universe_of(program: str, entry: str, never_given: frozenset[str] = frozenset()) -> Universe:
    """Returns the universe of the entry and of the functions it leads to, by name.

    never_given: parameters that keep their default None, since they take functions. Excludes code
    at module level, unreachable code, code that only leads to an exception which the function does
    not catch, the impossible branch of a constant or of a parameter in `never_given`, and `else`,
    `finally` and `try`, since nothing happens on them.
    """
    counter = _Counter(frozenset(compile_with_markers(program).headers), never_given)
    tree = compile_program(program)
    parse_parts(tree, program)  # places the cases
    for function in _reachable(tree, entry):
        counter.block(function.body, guarded=False)
    return Universe(frozenset(counter.lines), frozenset(counter.branches))


class _Counter:
    """Walks blocks. guarded: whether an exception raised there may be caught there."""

    def __init__(self, headers: frozenset[int], never_given: frozenset[str]):
        self.headers = headers
        self.never_given = never_given
        self.lines: set[int] = set()
        self.branches: set[Branch] = set()

    def block(self, statements: Sequence[ast.stmt], guarded: bool) -> None:
        for statement in statements:
            self.statement(statement, guarded)

    def statement(self, statement: ast.stmt, guarded: bool) -> None:
        match statement:
            case ast.Global() | ast.Nonlocal() | ast.Expr(value=ast.Constant()):
                return  # the compiler drops them
            case ast.Raise() if not guarded:
                return
            case ast.Try() | ast.TryStar():
                self.block(statement.body, guarded or bool(statement.handlers))
                for handler in statement.handlers:
                    self.handler(handler, guarded)
                self.block(statement.orelse, guarded)
                self.block(statement.finalbody, guarded)
                return
        self.lines.add(statement.lineno)
        match statement:
            case ast.If():
                truth = self.truth(statement.test)
                self.branch(statement, statement.body, truth is not False, True, guarded)
                self.branch(statement, statement.orelse, truth is not True, False, guarded)
            case ast.For() | ast.While():
                test = statement.test if isinstance(statement, ast.While) else None
                truth = None if test is None else self.truth(test)
                self.branch(statement, statement.body, truth is not False, True, guarded)
                self.branch(statement, statement.orelse, truth is not True, False, guarded)
            case ast.With():
                self.block(
                    statement.body, guarded=True
                )  # the context manager may suppress exceptions
            case ast.Match():
                for case in statement.cases:
                    self.case(case, guarded)
            case ast.FunctionDef():
                self.block(statement.body, guarded)

    def branch(
        self,
        header: ast.If | ast.For | ast.While,
        body: Sequence[ast.stmt],
        possible: bool,
        outcome: bool,
        guarded: bool,
    ) -> None:
        if possible and (guarded or not _only_raises(body)):
            if header.lineno in self.headers:
                self.branches.add((header.lineno, outcome))
            self.block(body, guarded)

    def handler(self, handler: ast.ExceptHandler, guarded: bool) -> None:
        if guarded or not _only_raises(handler.body):
            if handler.type is not None:
                self.lines.add(handler.lineno)
                if handler.lineno in self.headers:
                    self.branches.add((handler.lineno, True))
            self.block(handler.body, guarded)

    def case(self, case: ast.match_case, guarded: bool) -> None:
        line = first_line(case)
        self.lines.add(line)
        catches_all = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
        if line in self.headers and (case.guard is not None or not catches_all):
            self.branches.add((line, False))
        if guarded or not _only_raises(case.body):
            if line in self.headers:
                self.branches.add((line, True))
            self.block(case.body, guarded)

    def truth(self, test: ast.expr) -> bool | None:
        """Evaluates constants, and tests whether a parameter in `never_given` is None."""
        match test:
            case ast.Constant(value=value):
                return bool(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                known = self.truth(operand)
                return None if known is None else not known
            case ast.Name(id=name) if name in self.never_given:
                return False
            case ast.Call(func=ast.Name(id="callable"), args=[ast.Name(id=name)]):
                return False if name in self.never_given else None
            case ast.Compare(
                left=ast.Name(id=name), ops=[operator], comparators=[ast.Constant(value=None)]
            ) if name in self.never_given:
                if isinstance(operator, (ast.Is, ast.Eq)):
                    return True
                if isinstance(operator, (ast.IsNot, ast.NotEq)):
                    return False
        return None


def _only_raises(body: Sequence[ast.stmt]) -> bool:
    """Returns whether every path through a block ends in an exception."""
    match body[-1:]:
        case [ast.Raise()]:
            return True
        case [ast.If(body=then, orelse=other)]:
            return _only_raises(then) and _only_raises(other)
    return False


def _reachable(tree: ast.Module, entry: str) -> list[ast.FunctionDef]:
    """Returns the functions and methods at module level that the entry leads to."""
    named: dict[str, list[ast.FunctionDef]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef):
            named.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.ClassDef):
            for method in statement.body:
                if isinstance(method, ast.FunctionDef):
                    own = method.name
                    special = own.startswith("__") and own.endswith("__")
                    key = statement.name if special else own
                    named.setdefault(key, []).append(method)
    found: dict[int, ast.FunctionDef] = {}
    waiting = [entry]
    while waiting:
        for function in named.pop(waiting.pop(), ()):
            found[id(function)] = function
            for node in ast.walk(function):
                if isinstance(node, ast.Name):
                    waiting.append(node.id)
                elif isinstance(node, ast.Attribute):
                    waiting.append(node.attr)
    return list(found.values())
