"""Judges what a text says about the code of a line: which line calls `pop`, which tests `x > 2`."""

import ast
import functools
import re

from data_pipeline.pyx.prompts import FIRST_LABEL
from data_pipeline.source.syntax import dump_node
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.nouns import code_of
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import UNKNOWN, ValueVerdicts, Verdict

_MOST_CALLS = 200


class CodeVerdicts:
    """Judges claims about the code that runs at a place."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values
        self._lines: dict[str, frozenset[int]] = {}

    def contains(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "`pop` is called here": of the placed line, or of the lines of a turn."""
        code, here = worded.subject or "", place.occurrence
        name = re.match(r"\w+", code)
        if here is not None and name is not None and self._starts(here, name[0]):
            return CONFIRMED, f"`{name[0]}` is called"
        lines = self.lines_with(code)
        if name is not None and here is None and self.run.calls_of(code.strip("()")):
            return CONFIRMED, f"`{name[0]}` is called"
        if not lines:
            return self._called_with(code, here, place)
        truth = "it is on " + ", ".join(
            f"[L{line + FIRST_LABEL - 1}]" for line in sorted(lines)[:4]
        )
        if place.window is not None and not place.sure:
            ran = [
                o
                for line in lines
                for o in self.run.by_line.get(line, ())
                if place.window[0] <= o.at <= place.window[1]
            ]
            return (CONFIRMED, truth) if ran else (NOT_CHECKABLE, truth)
        if here is not None and place.sure:
            if here.event.line in lines:
                return CONFIRMED, truth
            if self._covers(here.event.line, lines):
                return NOT_CHECKABLE, truth
            return CONTRADICTED, truth
        ran_anywhere = any(self.run.by_line.get(line) for line in lines)
        return (CONFIRMED, truth) if ran_anywhere else (NOT_CHECKABLE, truth)

    def _starts(self, here: Occurrence, name: str) -> bool:
        """Returns whether a function of that name begins in a line, or is called from it.

        The line that calls a function may know it by another name, or take a generator's first item
        that another line made.
        """
        first = self.run.statements.get(here.event.line)  # of `def f(x): return x`, the `def`
        return (isinstance(first, ast.FunctionDef) and first.name == name) or any(
            event.kind == "call" and event.function.rpartition(".")[2] == name
            for _, event in self.values.inside(here)
        )

    def _called_with(self, code: str, here: Occurrence | None, place: Place) -> Verdict:
        """Judges "`text.find('a', 3)` is called" of `text.find(c, at)`: its arguments' values."""
        told = _parse(code)
        if not isinstance(told, ast.Call):
            return UNKNOWN
        if here is None or place.window is not None:
            first, last = place.window or (0, len(self.run.events))
            near = [o for o in self.run.occurrences[:_MOST_CALLS] if first <= o.at <= last]
            called = any(self._calls_so(told, o) for o in near)
            return (CONFIRMED, "it is called so") if called else UNKNOWN
        if self._calls_so(told, here):
            return CONFIRMED, "it is called so"
        return UNKNOWN

    def _calls_so(self, told: ast.Call, here: Occurrence) -> bool:
        """Tells whether a line makes a call with these values."""
        statement = self.run.statement_of(here.event)
        calls = [
            node for node in (own_nodes(statement) if statement is not None else ())
            if isinstance(node, ast.Call) and _name_of(node) == _name_of(told)
            and len(node.args) == len(told.args) and not node.keywords and not told.keywords
        ]  # fmt: skip
        return any(self._same_parts(told, call, here) for call in calls)

    def _same_parts(self, told: ast.Call, call: ast.Call, here: Occurrence) -> bool:
        """Tells whether receiver and arguments have the same values in the state of a line."""
        pairs = list(zip(told.args, call.args, strict=True))
        if isinstance(told.func, ast.Attribute) and isinstance(call.func, ast.Attribute):
            pairs.append((told.func.value, call.func.value))
        frame, at = here.event.frame, here.at - 1
        for one, two in pairs:
            first = self.values.text_at(ast.unparse(one), frame, at)
            if first is None or first != self.values.text_at(ast.unparse(two), frame, at):
                return False
        return True

    def _covers(self, line: int, lines: frozenset[int]) -> bool:
        """Returns whether a line, or the body below its header, has the code."""
        if line in lines:
            return True
        statement = self.run.statements.get(line)
        if statement is None or isinstance(statement, ast.FunctionDef | ast.ClassDef):
            return statement is None
        return any(line <= other <= (statement.end_lineno or line) for other in lines)

    def lines_with(self, code: str) -> frozenset[int]:
        """Returns the lines whose own code has a piece of code or a name of a method in it."""
        if code not in self._lines:
            self._lines[code] = self._find(code)
        return self._lines[code]

    def _find(self, code: str) -> frozenset[int]:
        wanted = _parse(code) or _parse(code_of(code))
        name = code.strip("().") if code.strip("().").isidentifier() else _method(wanted)
        functions = (ast.FunctionDef, ast.ClassDef)
        defined = {s.name for s in self.run.statements.values() if isinstance(s, functions)}
        if name in defined:
            wanted = None  # to name a function is not to call it
        text = None if wanted is None else ast.dump(wanted)
        found = set()
        for line, statement in self.run.statements.items():
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                continue
            for node in own_nodes(statement):
                if (type(node) is type(wanted) and dump_node(node) == text) or (
                    name is not None and _calls_name(node, name)
                ):
                    found.add(line)
        return frozenset(found)

    def tested(self, place: Place) -> Verdict:
        """Judges "the condition is checked" of one turn or line."""
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            ran = [
                o for o in self.run.occurrences if first <= o.at <= last and _is_test(self.run, o)
            ]
            return (CONFIRMED, "a condition is tested") if ran else UNKNOWN
        if here is not None and _is_test(self.run, here):
            return CONFIRMED, "a condition is tested"
        return UNKNOWN

    def never_runs(self, code: str, claimed: bool) -> Verdict:
        """Judges "the line `x = 1` is skipped": never run, or run."""
        lines = self.lines_with(code)
        if not lines:
            return UNKNOWN
        ran = any(self.run.by_line.get(line) for line in lines)
        if ran:
            return (CONFIRMED if claimed else NOT_CHECKABLE), "it runs"
        return (CONTRADICTED if claimed else CONFIRMED), "it does not run"

    def missing(self, worded: WordedClaim, frame: int, points: list[int]) -> Verdict:
        """Judges "`xs[3]` does not exist": contradicted where it has a value."""
        for at in points:
            try:
                value = evaluate(worded.subject or "", self.run.state(frame, at))
            except Unknown:
                continue
            return CONTRADICTED, f"{worded.subject} = {value!r}"
        return UNKNOWN


def _is_test(run: Replay, here: Occurrence) -> bool:
    return isinstance(run.statement_of(here.event), ast.If | ast.While)


@functools.lru_cache(maxsize=4096)
def own_nodes(statement: ast.stmt) -> tuple[ast.AST, ...]:
    """Returns the nodes of a statement without those of its body."""
    found: list[ast.AST] = [statement]
    for field, value in ast.iter_fields(statement):
        if field in ("body", "orelse", "handlers", "finalbody", "cases"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                found += ast.walk(item)
    return tuple(found)


def _parse(code: str) -> ast.AST | None:
    try:
        tree = ast.parse(code.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(tree) != 1:
        return None
    return tree[0].value if isinstance(tree[0], ast.Expr) else tree[0]


def _method(node: ast.AST | None) -> str | None:
    """Returns the method of code that is only a call, with other arguments: "insert(5, 8)"."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return None


def _name_of(call: ast.Call) -> str | None:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


def _calls_name(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=called)) | ast.Call(func=ast.Attribute(attr=called)):
            return called == name
    return False
