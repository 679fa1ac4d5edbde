"""Finds what a narrator needs of a program: the statement at an event, calls, loops, globals."""

import ast
from collections.abc import Mapping
from functools import lru_cache

from data_pipeline.claims import Place
from data_pipeline.monologue.wording import Source, shorten_value
from data_pipeline.source.literals import is_literal
from data_pipeline.source.syntax import nodes_of
from data_pipeline.tracing.events import Event
from data_pipeline.tracing.replay import Occurrence, Replay

_MOST_CALL = 60


@lru_cache(maxsize=64)
def _read_tree(tree: ast.Module) -> "_Parts":
    return _Parts(tree)


class _Parts:
    """The clauses and statements of a program by line, its definitions by name, and its globals."""

    def __init__(self, tree: ast.Module):
        self.handlers: dict[int, ast.ExceptHandler] = {}
        self.cases: dict[int, ast.match_case] = {}
        self.at_line: dict[int, list[ast.stmt]] = {}
        self.globals = _globals(tree)
        self.definitions: dict[str, list[ast.FunctionDef]] = {}
        self._read(tree, "")

    def _read(self, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = prefix
            if isinstance(child, ast.stmt):
                self.at_line.setdefault(child.lineno, []).append(child)
            if isinstance(child, ast.ExceptHandler):
                self.handlers[child.lineno] = child
            if isinstance(child, ast.match_case):
                self.cases[child.pattern.lineno] = child
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                self.definitions.setdefault(prefix + child.name, []).append(child)  # type: ignore
                inner = f"{prefix}{child.name}.<locals>."
            elif isinstance(child, ast.ClassDef):
                inner = f"{prefix}{child.name}."
            self._read(child, inner)


class Program:
    def __init__(self, run: Replay):
        self.run = run
        self.source = Source(run.trace.program)
        parts = _read_tree(run.tree)
        self.handlers, self.cases, self.at_line = parts.handlers, parts.cases, parts.at_line
        self.globals, self._definitions = parts.globals, parts.definitions

    # ---- statements

    def statement(self, event: Event) -> ast.stmt | None:
        """Returns the statement that an event is a run of; None for a clause or a lambda body."""
        if event.line in self.handlers or event.line in self.cases:
            return None
        return self.run.statement_of(event)

    def first_line(self, event: Event) -> int:
        statement = self.statement(event)
        return event.line if statement is None else statement.lineno

    def merge_lines(self, occurrences: list[Occurrence]) -> list[Occurrence]:
        """Joins the lines of a statement that is written over several of them."""
        merged: list[Occurrence] = []
        for here in occurrences:
            before = merged[-1] if merged else None
            statement = self.statement(here.event)
            goes_on = (
                before is not None
                and before.end == here.at
                and here.event.branch is None
                and statement is not None
                and statement is self.statement(before.event)
                and _is_long(statement)
            )
            if goes_on and before is not None:
                event = before.event
                merged[-1] = Occurrence(before.at, here.end, event, before.turns, before.totals)
            else:
                merged.append(here)
        return merged

    # ---- calls

    def definition(self, call: Event) -> ast.FunctionDef | None:
        """Returns the function that a "call" event enters."""
        found = self._definitions.get(call.function, [])
        if len(found) == 1:
            return found[0]
        for node in found:
            if call.line in (node.lineno, *(d.lineno for d in node.decorator_list)):
                return node
        return None

    def is_generator(self, frame: int) -> bool:
        function = self.definition(self.run.events[self.run.frames[frame][0]])
        return function is not None and any(
            isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes_of(function)
        )

    def call_text(self, call: Event) -> str | None:
        """Returns "f(n=3)" for a call of the program's own function, if its arguments fit."""
        function = self.definition(call)
        if function is None or function.args.vararg or function.args.kwarg:
            return None
        spec = function.args
        names = [a.arg for a in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
        values = [shorten_value(call.changed.get(name, "<"), _MOST_CALL) for name in names]
        if any(v is None or "..." in v or "…" in v for v in values):
            return None
        given = ", ".join(f"{n}={v}" for n, v in zip(names, values, strict=True))
        text = f"{function.name}({given})"
        return text if len(text) <= _MOST_CALL else None

    def calls_in(self, here: Occurrence) -> list[tuple[str, Mapping[str, str], str]]:
        """Returns (function, arguments, result) of the calls that a line makes itself."""
        found = []
        for event in self.run.events[here.at + 1 : here.end]:
            if event.kind == "call" and event.depth == here.event.depth + 1:
                result = self.run.frame_result(event.frame)
                if result is not None and not self.is_generator(event.frame):
                    found.append((event.function.rpartition(".")[2], event.changed, result))
        return found

    # ---- loops and blocks

    def header_of(self, here: Occurrence) -> tuple[int, Place] | None:
        """Returns (turn, place of its header) of the innermost loop around a line."""
        inside = [
            (first, header)
            for header, (first, last) in self.run.loops.items()
            if first <= here.event.line <= last and header in here.turns
        ]
        if not inside:
            return None
        header = max(inside)[1]
        for other in reversed(self.run.by_line.get(header, [])):
            if other.at < here.at and other.event.frame == here.event.frame:
                return here.turns[header], Place(header, other.at, here.event.frame)
        return None

    def leaves_with(self, here: Occurrence, statement: ast.With | ast.AsyncWith) -> bool:
        """Returns whether a `with` line runs again because its block is over."""
        lines = [
            event
            for event in self.run.events[: here.at]
            if event.frame == here.event.frame and event.kind == "line"
        ]
        first, last = statement.body[0].lineno, statement.body[-1].end_lineno or 0
        return bool(lines) and statement.lineno != lines[-1].line and (
            first <= lines[-1].line <= last
        )  # fmt: skip


def _is_long(statement: ast.stmt) -> bool:
    return (statement.end_lineno or statement.lineno) > statement.lineno


def _globals(tree: ast.Module) -> dict[str, str]:
    """Returns name -> text of the literals that are assigned at module level."""
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                text = ast.unparse(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                text = ast.unparse(value)
            case _:
                continue
        if is_literal(text):
            found[name] = text
    return found
