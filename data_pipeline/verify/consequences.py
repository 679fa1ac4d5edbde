"""Reads what a sentence concludes from a comparison of plain values.

"4 > 2 is `True`, so the condition is false" contradicts itself, whatever the run does.
"""

import ast
import re
from collections.abc import Sequence

from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.flow_wording import flow_claims
from data_pipeline.verify.masking import Atom
from data_pipeline.verify.stated import WordedClaim

_CONCLUDES = re.compile(
    r"⟦(?P<x>\d+)⟧,? (?:which )?(?:is|evaluates to|returns|=) "
    r"(?:⟦(?P<v>\d+)⟧|(?P<w>true|false))[,;.]? "
    r"(?:and )?(?:so|thus|hence|therefore|which means(?: that)?|meaning(?: that)?),? (?P<rest>.*)$",
    re.I,
)
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def consequences(sentence: str, atoms: Sequence[Atom]) -> list[WordedClaim]:
    """Returns a claim about the comparison for each conclusion that is not its own truth.

    Only an order is judged so: "3 in xs is False, so the branch is taken" may tell of `not in`.
    """
    match = _CONCLUDES.search(sentence)
    if match is None:
        return []
    code = atoms[int(match["x"])].text
    stated = match["w"].title() if match["w"] else atoms[int(match["v"])].text
    if stated not in ("True", "False") or not _compares_values(code):
        return []
    return [
        WordedClaim("branch", claim.text, code, claim.value)
        for claim, _ in flow_claims(match["rest"], atoms)
        if claim.value != stated and _concludes(claim)
    ]


def _concludes(claim: WordedClaim) -> bool:
    """Returns whether a claim is about the test: its outcome, or that its body is entered."""
    if claim.subject is not None:
        return False
    return claim.kind == "branch" or (claim.kind == "entered" and claim.value == "True")


def _compares_values(code: str) -> bool:
    node = parse_code(code)
    if not isinstance(node, ast.Compare) or not all(isinstance(op, _ORDERED) for op in node.ops):
        return False
    return not any(isinstance(part, ast.Name) for part in ast.walk(node))
