"""Finds variables that one statement builds up from a constant: counters, sums, texts and lists.

If `count` is set to 0 once, `count += 1` alone changes it and it must be 3 in the end, that line
runs exactly 3 times for every input with the output; what `total += x` adds must come to the total.
Nothing about the loops around the statement is needed for that.
"""

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from data_pipeline.claims.claim import Claim
from data_pipeline.source.literals import parse_literal, same_value

_IMMUTABLE = (int, float, str, bytes, bool, type(None))
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)
_MISSING = object()
BUILT_UP = ("runs_needed", "adds_needed", "true_needed", "turns_needed")


@dataclasses.dataclass(frozen=True)
class Accumulator:
    """Holds a variable, the value it starts with, the statement that adds, and what it adds."""

    name: str
    start: Any
    change: ast.stmt
    added: ast.expr

    def total(self, wanted: Any) -> Any:
        """Returns what must be added in all; _MISSING if that is not certain."""
        if type(wanted) is not type(self.start):
            return _MISSING
        if type(wanted) is int:
            return wanted - self.start
        if isinstance(wanted, str):
            return wanted[len(self.start) :] if wanted.startswith(self.start) else _MISSING
        if isinstance(wanted, list) and all(isinstance(item, _IMMUTABLE) for item in wanted):
            return wanted
        return _MISSING

    def runs(self, wanted: Any) -> int | None:
        """Returns how often the statement must run; None if that is not certain."""
        total = self.total(wanted)
        if type(wanted) is list and isinstance(self.change, ast.Expr):
            return len(wanted)
        if total is _MISSING or not isinstance(self.added, ast.Constant):
            return None
        step = self.added.value
        if type(step) is not type(wanted):
            return None
        if isinstance(step, str):
            return len(total) // len(step) if step and len(total) % len(step) == 0 else None
        return total // step if step and total % step == 0 and total // step >= 0 else None


def prove_built_up(
    function: ast.FunctionDef, built: Iterable[tuple[Accumulator, Any]], claim: Claim
) -> bool | None:
    """Proves a claim of a kind of BUILT_UP; `built`: what is built up, and its value in the end."""
    for one, wanted in built:
        place, needed = _needed(function, one, wanted, claim.kind)
        if place is not None and place.lineno == claim.place.line and needed is not _MISSING:
            code = ast.dump(ast.parse(claim.subject).body[0])
            same = code == ast.dump(
                ast.parse(ast.unparse(_code_of(place, one, claim.kind))).body[0]
            )
            return same and same_value(needed, parse_literal(claim.value))
    return None


def _needed(
    function: ast.FunctionDef, built: Accumulator, wanted: Any, kind: str
) -> tuple[ast.stmt | None, Any]:
    """Returns the statement that a kind speaks of, and the number or value that it needs."""
    if kind == "adds_needed":
        return built.change, built.total(wanted)
    runs = built.runs(wanted)
    needed = _MISSING if runs is None else runs
    match kind:
        case "runs_needed":
            return built.change, needed
        case "true_needed":
            return test_of(function, built.change), needed
    loop = loop_of(function, built.change)
    certain = loop is not None and (runs or loop in function.body)
    return (loop if certain else None), needed


def _code_of(place: ast.stmt, built: Accumulator, kind: str) -> ast.AST:
    """Returns the code that is the subject of a claim."""
    if kind == "adds_needed":
        return built.added
    return place.test if isinstance(place, ast.If) else getattr(place, "iter", place)


def find_accumulator(function: ast.FunctionDef, name: str, line: int) -> Accumulator | None:
    """Returns how a variable is built up before a line that runs once; None if otherwise.

    line: of a statement that no loop of the function is around.
    """
    uses = [node for node in _names_before(function, name, line) if _is_change(function, node)]
    if len(uses) != 2 or _is_bound_otherwise(function, name):
        return None
    start, change = (_statement_of(function, node) for node in uses)
    if start is None or change is None or start not in function.body or _in_scope(function, change):
        return None
    constant = _constant(start, name)
    if constant is _MISSING:
        return None
    match change:
        case ast.AugAssign(target=ast.Name(id=target), op=ast.Add(), value=added) if target == name:
            is_text = type(constant) in (int, str)
            return Accumulator(name, constant, change, added) if is_text else None
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Name(id=owner), attr="append"), args=[added],
                keywords=[],
            )
        ) if owner == name and constant == []:  # fmt: skip
            others = [n for n in _names_before(function, name, line) if n not in uses]
            return None if others else Accumulator(name, constant, change, added)
    return None


def test_of(function: ast.FunctionDef, change: ast.stmt) -> ast.If | None:
    """Returns the `if` whose test is true exactly as often as a statement in its body runs."""
    parent, block = _block_of(function, change)
    is_body = isinstance(parent, ast.If) and block is parent.body
    return parent if is_body and _runs_through(function, block, change) else None  # type: ignore


def loop_of(function: ast.FunctionDef, change: ast.stmt) -> ast.For | None:
    """Returns the loop, entered once, that makes a turn for each run of a statement."""
    parent, block = _block_of(function, change)
    is_body = isinstance(parent, ast.For) and block is parent.body
    loops = [node for node in ast.walk(function) if isinstance(node, ast.For | ast.While)]
    if any(part is parent for loop in loops for part in ast.walk(loop) if loop is not parent):
        return None
    return parent if is_body and _runs_through(function, block, change) else None  # type: ignore


def _runs_through(function: ast.FunctionDef, block: list[ast.stmt], change: ast.stmt) -> bool:
    """Returns whether a block that begins always comes to one of its statements."""
    before = block[: block.index(change)]
    caught = any(isinstance(node, ast.Try | ast.With) for node in ast.walk(function))
    return not caught and all(isinstance(statement, _SIMPLE) for statement in before)


def _block_of(
    function: ast.FunctionDef, statement: ast.stmt
) -> tuple[ast.AST | None, list[ast.stmt]]:
    for parent in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, None)
            if isinstance(block, list) and statement in block:
                return parent, block
    return None, []


def _names_before(function: ast.FunctionDef, name: str, line: int) -> list[ast.Name]:
    found = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name]
    return sorted((n for n in found if n.lineno < line), key=lambda n: (n.lineno, n.col_offset))


def _is_change(function: ast.FunctionDef, node: ast.Name) -> bool:
    """Returns whether a name is stored, deleted, or the owner of `append` as a statement."""
    if not isinstance(node.ctx, ast.Load):
        return True
    return any(
        isinstance(one, ast.Expr)
        and isinstance(one.value, ast.Call)
        and isinstance(one.value.func, ast.Attribute)
        and one.value.func.value is node
        for one in ast.walk(function)
    )


def _statement_of(function: ast.FunctionDef, node: ast.Name) -> ast.stmt | None:
    """Returns the simple statement that a name is a direct part of."""
    for one in ast.walk(function):
        if isinstance(one, _SIMPLE) and any(part is node for part in ast.walk(one)):
            return one
    return None


def _constant(statement: ast.stmt, name: str) -> Any:
    match statement:
        case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=value)):
            return value if target == name and type(value) in (int, str) else _MISSING
        case ast.Assign(targets=[ast.Name(id=target)], value=ast.List(elts=[])):
            return [] if target == name else _MISSING
    return _MISSING


def _is_bound_otherwise(function: ast.FunctionDef, name: str) -> bool:
    """Returns whether an import, a handler, a pattern or another scope binds the name too."""
    fields = ("name", "asname", "rest")
    inner: Iterator[ast.AST] = (node for node in ast.walk(function) if node is not function)
    return any(getattr(node, field, None) == name for node in inner for field in fields)


def _in_scope(function: ast.FunctionDef, statement: ast.stmt) -> bool:
    """Returns whether a statement stands in a function or class inside the function."""
    inner = [n for n in ast.walk(function) if isinstance(n, _SCOPES) and n is not function]
    return any(part is statement for scope in inner for part in ast.walk(scope))
