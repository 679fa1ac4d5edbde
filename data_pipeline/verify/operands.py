"""Holds arithmetic told in values alone against the run: `3 + 1 = 4` for `len(xs) + 1`.

Such arithmetic may be right in itself and yet have operands that the run does not have there. It is
the run's if an expression that the place computes gives it when names and parts become values.
"""

import ast
import re
from collections.abc import Iterator

from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.places import Place
from data_pipeline.verify.pools import Pools
from data_pipeline.verify.stated import WordedClaim

_MOST_PLACES = 400
_SETS = re.compile(r"\b(?:is|are|gets?) (?:then |now |re)?(?:set|assigned|initiali[sz]ed)\b")
_OPERATIONS = (ast.BinOp, ast.Compare, ast.Call, ast.Subscript, ast.UnaryOp, ast.BoolOp)


class OperandVerdicts:
    """Tells whether arithmetic on plain values has the operands of one run."""

    def __init__(self, run: Replay, pools: Pools):
        self.run, self.pools = run, pools

    def fit(self, told: str, place: Place) -> bool:
        """Returns whether the place computes what is told, as far as that is known."""
        code = _parse(told)
        if code is None or not is_sum(told):
            return True
        steps = _flat(code)
        for here in self._places(place):
            state = self.run.state(here.event.frame, here.at - 1)
            for node in _parts(self.run.statement_of(here.event)):
                if self._unify(code, node, state) or self._is_total(steps, node, state):
                    return True
        return False

    def others(self, told: str, place: Place) -> str | None:
        """Returns the operands that the place has in a sum of the form told, if all are others.

        Example: "6 + 1 // 1" where "3 + 1 // 1" is told of `len(line) + 1 // len(char)`. None if
        the place makes no such sum, or several.
        """
        code = _parse(told)
        placed = place.sure or place.window is not None
        if code is None or not is_sum(told) or not placed:
            return None
        found: dict[str, str] = {}
        for here in self._places(place):
            state = self.run.state(here.event.frame, here.at - 1)
            for node in _parts(self.run.statement_of(here.event)):
                pairs = _pairs(code, node)
                if not pairs or not any(_has_names(part) for _, part in pairs):
                    continue
                try:
                    real = [_text(part, state) for _, part in pairs]
                except Unknown:
                    return None
                if real == [_text(value, None) for value, _ in pairs]:
                    return None
                found[ast.dump(node)] = f"{ast.unparse(node)} has {', '.join(real)}"
        return next(iter(found.values())) if len(found) == 1 else None

    def is_elsewhere(self, worded: WordedClaim, place: Place) -> bool:
        """Returns whether code, or a variable that is set, is on other lines than the one cited."""
        here = place.occurrence
        statement = self.run.statement_of(here.event) if here is not None and place.sure else None
        code = _parse(worded.subject or "")
        if statement is None or isinstance(statement, ast.FunctionDef | ast.ClassDef):
            return False
        if isinstance(code, ast.Name):
            known = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
            calls = self.run.functions.keys() & known
            return bool(_SETS.search(worded.text)) and not calls and code.id not in known
        if not isinstance(code, ast.BinOp) or not _has_names(code):
            return False
        wanted, own = ast.dump(code), _operations(statement)
        return wanted not in own and wanted in _operations(self.run.tree)

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


def _pairs(told: ast.expr, code: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Returns (value told, part of the code) for a sum of the same form; none for another form."""
    if isinstance(told, ast.BinOp):
        if not isinstance(code, ast.BinOp) or type(told.op) is not type(code.op):
            return []
        left, right = _pairs(told.left, code.left), _pairs(told.right, code.right)
        return [*left, *right] if left and right else []
    if isinstance(code, ast.BinOp):
        return []
    if isinstance(code, ast.Constant) and ast.dump(code) != ast.dump(told):
        return []
    return [(told, code)]


def is_sum(told: str) -> bool:
    """Returns whether a text is arithmetic on plain values, such as `3 + 1 // 1`."""
    code = _parse(told)
    return isinstance(code, ast.BinOp) and not _has_names(code)


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


def _operations(tree: ast.AST) -> set[str]:
    """Returns the sums of some code, as dumps; `x += y` computes `x + y`."""
    found = {ast.dump(node) for node in ast.walk(tree) if isinstance(node, ast.BinOp)}
    steps = (node for node in ast.walk(tree) if isinstance(node, ast.AugAssign))
    return found | {ast.dump(next(_parts(node))) for node in steps}


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
