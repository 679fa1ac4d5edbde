"""Holds arithmetic told in values alone against the run: `3 + 1 = 4` for `len(xs) + 1`.

Such arithmetic may be right in itself and yet have operands that the run does not have there. It is
the run's if an expression that the place computes gives it when names and parts become values.
"""

import ast
from collections.abc import Iterator

from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.places import Place
from data_pipeline.verify.pools import Pools

_MOST_PLACES = 400
_OPERATIONS = (ast.BinOp, ast.Compare, ast.Call, ast.Subscript, ast.UnaryOp, ast.BoolOp)


class OperandVerdicts:
    """Tells whether arithmetic on plain values has the operands of one run."""

    def __init__(self, run: Replay, pools: Pools):
        self.run, self.pools = run, pools

    def fit(self, told: str, place: Place) -> bool:
        """Returns whether the place computes what is told, as far as that is known."""
        code = _parse(told)
        if not isinstance(code, ast.BinOp) or _has_names(code):
            return True
        steps = _flat(code)
        for here in self._places(place):
            for state in self._states(here):
                for node in _parts(self.run.statement_of(here.event)):
                    if self._unify(code, node, state) or self._is_total(steps, node, state):
                        return True
        return False

    def _places(self, place: Place) -> list[Occurrence]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            return [o for o in self.run.occurrences if first <= o.at <= last][:_MOST_PLACES]
        if here is None or not place.sure:
            return list(self.run.occurrences[:_MOST_PLACES])
        statement = self.run.statement_of(here.event)
        last = getattr(statement, "end_lineno", here.event.line) or here.event.line
        body = [o for o in self.run.occurrences if here.event.line < o.event.line <= last]
        return [here, *body[:_MOST_PLACES]]

    def _states(self, here: Occurrence):
        frame = here.event.frame
        return [self.run.state(frame, at) for at in dict.fromkeys((here.at - 1, here.at))]

    def _unify(self, told: ast.expr, code: ast.expr, state) -> bool:
        """Returns whether code becomes what is told when some of its parts become values."""
        if ast.dump(told) == ast.dump(code):
            return True
        if isinstance(told, ast.BinOp):
            same = isinstance(code, ast.BinOp) and type(told.op) is type(code.op)
            return same and all(
                self._unify(one, other, state)
                for one, other in ((told.left, code.left), (told.right, code.right))  # type: ignore[attr-defined]
            )
        try:
            told_text = _text(told, None)
        except Unknown:
            return False
        try:
            return told_text == _text(code, state)
        except Unknown:
            return True  # the states do not tell what this part is: it may be that

    def _is_total(self, steps: list[ast.expr], node: ast.expr, state) -> bool:
        """Returns whether a sum of so many values is that of a list: `1 + 2` for `sum(xs)`."""
        if not isinstance(node, ast.Call) or not node.args or len(steps) < 2:
            return False
        try:
            parts = evaluate_node(node.args[0], state)
            return [render(part) for part in parts] == [_text(step, None) for step in steps]
        except (Unknown, TypeError):
            return False


def _parts(statement: ast.stmt | None) -> Iterator[ast.expr]:
    """Yields the operations of a statement's own code; `x += y` computes `x + y`."""
    if statement is None:
        return
    if isinstance(statement, ast.AugAssign):
        target = ast.parse(ast.unparse(statement.target), mode="eval").body
        yield ast.BinOp(target, statement.op, statement.value)
    for node in own_nodes(statement):
        if isinstance(node, _OPERATIONS):
            yield node


def _flat(code: ast.expr) -> list[ast.expr]:
    """Returns the operands of `a + b + c`."""
    if isinstance(code, ast.BinOp) and isinstance(code.op, ast.Add):
        return [*_flat(code.left), *_flat(code.right)]
    return [code]


def _text(code: ast.expr, state) -> str:
    return render(evaluate_node(code, state))


def _parse(code: str) -> ast.expr | None:
    try:
        return ast.parse(code.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _has_names(code: ast.expr) -> bool:
    return any(isinstance(node, ast.Name | ast.Attribute) for node in ast.walk(code))
