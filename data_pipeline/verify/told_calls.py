"""Finds calls and changes that a line tells and the run does not make.

"`f(3)` is called" where `f` only gets 2, "`sorted` is called" of a line that never runs, "`k`
changes during the loop" of a variable with one value.
"""

import ast
import re
from collections.abc import Iterator

from data_pipeline.source.literals import is_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.masking import Atom
from data_pipeline.verify.values import compare

_CALLED = re.compile(r"⟦(?P<c>\d+)⟧ (?:is|gets|was) (?:then |now |also |first |again )?called\b")
_SUPPOSED = re.compile(
    r"\b(?:if|would|could|might|not|never|without|instead|example|like|as in|suppose)\b|n't\b", re.I
)
_CHANGES = re.compile(r"⟦(?P<x>\d+)⟧ changes (?:during|in|inside|within|throughout)\b")


def calls_not_made(run: Replay, text: str, atoms: list[Atom]) -> Iterator[str]:
    """Yields the code of each call, or variable, that the run does not bear out."""
    for found in _CALLED.finditer(text):
        code = atoms[int(found["c"])].text
        if (node := parse_code(code)) is None:
            continue
        function = node.func if isinstance(node, ast.Call) else node
        if isinstance(function, ast.Name) and not _is_called(run, function.id, node):
            yield code
    for atom in () if _SUPPOSED.search(text) else atoms:
        if "(" in atom.text and not atom.literal and _never_made(run, atom.text):
            yield atom.text
    for found in _CHANGES.finditer(text):
        name = atoms[int(found["x"])].text
        if len({event.changed[name] for event in run.events if name in event.changed}) == 1:
            yield name


def _never_made(run: Replay, code: str) -> bool:
    """Returns whether code is a call of a function of the run's, with arguments it never gets."""
    node = parse_code(code)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        return False
    given = [ast.unparse(part) for part in node.args]
    known = node.func.id in run.functions and given and all(map(is_literal, given))
    return bool(known) and not run.trace.truncated and not _is_called(run, node.func.id, node)


def _is_called(run: Replay, name: str, code: ast.expr) -> bool:
    """Returns whether the run calls a function, with those arguments that are literals."""
    if name not in run.functions:  # such as a builtin: its line must run
        lines = [
            run.starts.get(node.lineno, node.lineno)
            for node in run.nodes
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name
        ]
        return not lines or any(run.by_line.get(line) for line in lines)
    told = [ast.unparse(node) for node in code.args] if isinstance(code, ast.Call) else []
    return any(
        all(
            not is_literal(text) or compare(text, given) == CONFIRMED
            for text, given in zip(told, event.changed.values(), strict=False)
        )
        for event in run.events
        if event.kind == "call" and event.function.rpartition(".")[2] == name
    )
