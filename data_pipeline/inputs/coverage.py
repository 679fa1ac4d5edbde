"""Lines and branches of a program's functions, and which of them runs reach."""

import ast
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data_pipeline.execution.calls import compile_program
from data_pipeline.tracing import Trace
from data_pipeline.tracing.markers import prepare

Branch = tuple[int, bool]  # header line, whether its body was entered


@dataclass(frozen=True)
class Reach:
    """Lines, branches (of lines that branch) and the path of one or more runs.

    path: hash of the sequence of lines and branches; 0 for several runs together
    """

    lines: frozenset[int] = frozenset()
    branches: frozenset[Branch] = frozenset()
    path: int = 0

    def __or__(self, other: "Reach") -> "Reach":
        return Reach(self.lines | other.lines, self.branches | other.branches)

    def adds_to(self, other: "Reach") -> int:
        """How many lines and branches are new."""
        return len(self.lines - other.lines) + len(self.branches - other.branches)


def reach_of(trace: Trace, universe: "Universe") -> Reach:
    """What a run reached of the universe."""
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
    """All lines that statements in functions begin on, and both branches of all headers."""

    lines: frozenset[int]
    branches: frozenset[Branch]


def universe_of(program: str, entry: str) -> Universe:
    """Of the entry and the functions of the program that it leads to, by name.

    What runs at module level, and what nothing leads to, does not count. Of a header that is
    always entered (`while True`) only that branch counts, and so of `except`; `else`, `finally` and
    `try` are no lines, since nothing happens on them.
    """
    tree = compile_program(program)
    functions = _reachable(tree, entry)
    headers = prepare(program).headers
    lines: set[int] = set()
    branches: set[Branch] = set()
    for function in functions:
        for statement in _statements(function.body):
            if not isinstance(statement, ast.Try):
                lines.add(statement.lineno)
            if statement.lineno in headers and isinstance(statement, (ast.If, ast.For, ast.While)):
                branches |= _branches(statement)
            for header, outcomes in _other_headers(statement):
                lines.add(header)
                if header in headers:
                    branches |= {(header, outcome) for outcome in outcomes}
    return Universe(frozenset(lines), frozenset(branches))


def _branches(statement: ast.If | ast.For | ast.While) -> set[Branch]:
    found = {(statement.lineno, True), (statement.lineno, False)}
    test = getattr(statement, "test", None)
    if isinstance(test, ast.Constant):
        found.discard((statement.lineno, not test.value))
    return found


def _statements(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    """All statements that are run, those of functions defined inside as well."""
    for statement in body:
        if isinstance(statement, (ast.Global, ast.Nonlocal)):
            continue
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # the compiler drops it
        yield statement
        if isinstance(statement, ast.ClassDef):
            continue
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, None) or ())
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _statements(part.body)


def _other_headers(statement: ast.stmt) -> Iterable[tuple[int, Sequence[bool]]]:
    """Lines of `except` and `case`, with the branches that there can be of them."""
    for handler in getattr(statement, "handlers", ()):
        if handler.type is not None:
            yield handler.lineno, (True,)
    for case in getattr(statement, "cases", ()):
        catches_all = (
            isinstance(case.pattern, ast.MatchAs)
            and case.pattern.pattern is None
            and case.guard is None
        )
        yield case.pattern.lineno, (True,) if catches_all else (True, False)


def _reachable(tree: ast.Module, entry: str) -> list[ast.FunctionDef]:
    """Functions at module level, and methods of its classes, from the entry on."""
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
