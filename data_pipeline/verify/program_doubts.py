"""Notes denials of a line on the program that none of its claims holds.

"It checks if `x` is not in `xs`" of a program that tests `x in xs`, "`d`, which is not a list".
"""

import ast
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED, Claim
from data_pipeline.verify.masking import Atom, mask_code, spell
from data_pipeline.verify.told_names import denials_left_out

_CHECKS = re.compile(r"\bchecks? (?:if|whether|that) (?P<rest>[^.;:,()→]+)", re.I)
_NOT = re.compile(r"\bnot\b|n't\b", re.I)
_OTHER_DENIALS = re.compile(
    r"\b(?:empty|absent|missing|lacks?|no|none|without|other|differ\w*|un\w+|non\w*|only|less|more|"
    r"greater|smaller|larger|at least|at most|both|either|neither|already|or|and|false|true)\b|"
    r"⟦\d+⟧\(",
    re.I,
)
_POSITIVE = ast.Eq | ast.In | ast.Is
_NEGATIVE = ast.NotEq | ast.NotIn | ast.IsNot


class ProgramDoubts:
    """Knows the tests of one program."""

    def __init__(self, run: Replay):
        self.run = run

    def of_line(self, line: str, claims: Sequence[Claim]) -> Iterator[str]:
        """Yields the pieces of a line on the program that its code does not bear out."""
        if any(claim.verdict != CONFIRMED for claim in claims):
            return
        text, atoms = mask_code(line, frozenset())
        if denials_left_out(text, claims):
            yield line
        for found in _CHECKS.finditer(text):
            if self._turns_round(found["rest"], atoms):
                yield spell(found[0], atoms)

    # ---- tests

    def _turns_round(self, told: str, atoms: Sequence[Atom]) -> bool:
        """Tells whether words deny what all the tests of their names ask."""
        if _OTHER_DENIALS.search(told):
            return False
        names = {atoms[int(n)].text for n in re.findall(r"⟦(\d+)⟧", told)} & self.run.names
        tests = [
            (part, positive)
            for part, positive in self._parts
            if names <= {node.id for node in ast.walk(part) if isinstance(node, ast.Name)}
        ]
        if not names and len(self._parts) != 1:
            return False
        denied = _NOT.search(told) is not None  # to ask what `not in` denies is fair
        return denied and bool(tests) and all(positive is True for _, positive in tests)

    @functools.cached_property
    def _parts(self) -> list[tuple[ast.expr, bool | None]]:
        """Returns the parts of all tests, and whether they affirm (None for an order)."""
        found: list[tuple[ast.expr, bool | None]] = []
        for node in self.run.nodes:
            if isinstance(node, ast.If | ast.While | ast.IfExp):
                found += _split(node.test, True)
            elif isinstance(node, ast.comprehension):
                found += [part for test in node.ifs for part in _split(test, True)]
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Compare | ast.BoolOp):
                found += _split(node.value, True)
        return found


def _split(test: ast.expr, positive: bool) -> list[tuple[ast.expr, bool | None]]:
    """Returns the parts of a test that "and", "or" and "not" join, each with its sign."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return _split(inner, not positive)
        case ast.BoolOp(values=values):
            return [part for one in values for part in _split(one, positive)]
        case ast.Compare(ops=[op]) if isinstance(op, _POSITIVE):
            return [(test, positive)]
        case ast.Compare(ops=[op]) if isinstance(op, _NEGATIVE):
            return [(test, not positive)]
        case ast.Call():
            return [(test, positive)]
    return [(test, None)]
