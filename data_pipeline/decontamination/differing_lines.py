"""Finds the statements in which two programs that look alike differ."""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from data_pipeline.decontamination.methods import methods
from data_pipeline.source.fingerprints import normalize_loosely
from data_pipeline.source.tree_text import tree_text
from data_pipeline.tracing import Trace

_BODIES = ("body", "orelse", "finalbody", "handlers")
_NOT_RUN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.Pass)


@dataclass(frozen=True)
class Statement:
    """Holds a statement inside a function.

    Args:
      text: its normal form, without the bodies of a compound statement.
      lines: its lines; of a compound statement those of the header.
      raises: whether it is a `raise` or `assert`.
    """

    text: str
    lines: range
    raises: bool

    def is_seen_in(self, trace: Trace) -> bool:
        """Tells whether it had its effect in a run; one that ended in an exception had none."""
        here = [event.kind for event in trace.events if event.line in self.lines]
        return bool(here) and (self.raises or "exception" not in here)


def differing_statements(code: str, other: str) -> list[Statement]:
    """Returns the statements inside functions and methods of `code` that `other` lacks.

    Raises SyntaxError, or ValueError for text that Python cannot read.
    """
    statements = list(_statements(code))
    lacking = Counter(one.text for one in statements)
    lacking.subtract(one.text for one in _statements(other))
    return [one for one in statements if lacking[one.text] > 0]


def _statements(code: str) -> Iterator[Statement]:
    tree = normalize_loosely(code)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for function in [*functions, *(method for _, method in methods(tree))]:
        for node in ast.walk(function):
            if isinstance(node, ast.stmt) and not isinstance(node, _NOT_RUN):
                raises = isinstance(node, (ast.Raise, ast.Assert))
                yield Statement(tree_text(_without_bodies(node)), _header(node), raises)


def _without_bodies(node: ast.stmt) -> ast.stmt:
    header = copy.copy(node)
    for name in _BODIES:
        if getattr(node, name, None):
            setattr(header, name, [])
    return header


def _header(node: ast.stmt) -> range:
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if body else (node.end_lineno or node.lineno)
    return range(node.lineno, max(last, node.lineno) + 1)
