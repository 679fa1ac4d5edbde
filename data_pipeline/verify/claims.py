"""Defines claims and verdicts, and marks them in a monologue."""

import dataclasses
from collections.abc import Sequence

from data_pipeline.errors import UserError

CONFIRMED, CONTRADICTED, NOT_CHECKABLE = "confirmed", "contradicted", "not_checkable"
MARKS = {CONFIRMED: "✓", CONTRADICTED: "✗", NOT_CHECKABLE: "·"}
KINDS = (
    "flow",
    "code",
    "value",
    "expression",
    "branch",
    "iteration",
    "return",
    "exception",
    "answer",
)


class VerifyError(UserError):
    """Reports a program or call that cannot be run, or a file that cannot be read."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """Holds one claim that a monologue makes about the run.

    Attributes:
      line: 1-based line of the monologue.
      kind: one of KINDS: "flow" (this line runs, or runs next), "code" (the line reads so), "value"
        (of a variable), "expression" (its value), "branch" (a condition, or whether a body was
        entered), "iteration" (a turn or a number of turns), "return" (of the function or of a
        helper's call), "exception" or "answer" (the final assertion).
      text: the claim.
      verdict: "confirmed", "contradicted" or "not_checkable".
      truth: the corresponding fact of the run, None if unknown.
    """

    line: int
    kind: str
    text: str
    verdict: str
    truth: str | None


def step_verdicts(claims: Sequence[Claim]) -> dict[int, str]:
    """Returns one verdict per monologue line.

    Contradicted if any claim is, else confirmed if any claim is.
    """
    verdicts: dict[int, str] = {}
    for claim in claims:
        known = verdicts.get(claim.line)
        if claim.verdict == CONTRADICTED or known in (None, NOT_CHECKABLE):
            verdicts[claim.line] = claim.verdict
    return verdicts


def mark_claims(monologue: str, claims: Sequence[Claim]) -> str:
    """Marks each line that makes claims with ✓, ✗ or ·.

    Adds the truth after contradicted ones.
    """
    verdicts = step_verdicts(claims)
    wrong: dict[int, list[str]] = {}
    for claim in claims:
        if claim.verdict == CONTRADICTED:
            wrong.setdefault(claim.line, []).append(f"{claim.text}: {claim.truth}")
    lines = []
    for number, line in enumerate(monologue.split("\n"), 1):
        mark = MARKS[verdicts[number]] if number in verdicts else " "
        truth = "   ← " + "; ".join(wrong[number]) if number in wrong else ""
        lines.append(f"{mark} {line}{truth}".rstrip())
    return "\n".join(lines)
