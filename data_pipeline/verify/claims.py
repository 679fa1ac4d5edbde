"""Defines claims and verdicts, and marks them in a monologue."""

import dataclasses
from collections.abc import Sequence

from data_pipeline.errors import UserError

CONFIRMED, CONTRADICTED, NOT_CHECKABLE = "confirmed", "contradicted", "not_checkable"
PARTLY, RUNS, UNCHECKED = "partly", "runs", "unchecked"  # further verdicts on whole lines
MARKS = {CONFIRMED: "✓", CONTRADICTED: "✗", NOT_CHECKABLE: "·"}
LINE_MARKS = {CONFIRMED: "✓", CONTRADICTED: "✗", PARTLY: "≈", RUNS: "→", UNCHECKED: "·"}
UNREAD = "unread"  # kind of a piece that states something and was not read
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
    UNREAD,
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
        helper's call), "exception", "answer" (the final assertion) or "unread" (a piece that states
        something and was not understood).
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


def unread_claim(line: int, text: str) -> Claim:
    """Returns the claim that a line, counted from 1, says something that was not read."""
    return Claim(line, UNREAD, text[:500], NOT_CHECKABLE, None)


def line_verdicts(claims: Sequence[Claim]) -> dict[int, str]:
    """Returns the verdict on each line of the monologue that makes claims, lines counted from 1.

    - "contradicted": a claim is false
    - "confirmed": a value or decision is true, and nothing was left unread that could be false
    - "partly": a value or decision is true, and a part was not read
    - "runs": it is only known that the line runs
    - "unchecked": nothing is known
    """
    by_line: dict[int, list[Claim]] = {}
    for claim in claims:
        by_line.setdefault(claim.line, []).append(claim)
    return {line: _line_verdict(own) for line, own in by_line.items()}


def _line_verdict(claims: Sequence[Claim]) -> str:
    verdicts = {claim.verdict for claim in claims}
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    proven = any(c.verdict == CONFIRMED and c.kind != "flow" for c in claims)
    if proven:
        return PARTLY if NOT_CHECKABLE in verdicts else CONFIRMED
    return RUNS if CONFIRMED in verdicts else UNCHECKED


def count_verdicts(monologue: str, claims: Sequence[Claim]) -> dict[str, int]:
    """Returns verdict -> number of lines with text that have it."""
    verdicts = line_verdicts(claims)
    counts = dict.fromkeys(LINE_MARKS, 0)
    for number, line in enumerate(monologue.split("\n"), 1):
        if line.strip():
            counts[verdicts.get(number, UNCHECKED)] += 1
    return counts


def mark_claims(monologue: str, claims: Sequence[Claim]) -> str:
    """Marks lines with text: ✓ confirmed, ✗ contradicted, ≈ half read, → only runs, · unchecked.

    Adds the truth after contradicted ones.
    """
    verdicts = line_verdicts(claims)
    wrong: dict[int, list[str]] = {}
    for claim in claims:
        if claim.verdict == CONTRADICTED:
            told = claim.text if claim.truth is None else f"{claim.text}: {claim.truth}"
            wrong.setdefault(claim.line, []).append(told)
    lines = []
    for number, line in enumerate(monologue.split("\n"), 1):
        mark = LINE_MARKS[verdicts.get(number, UNCHECKED)] if line.strip() else " "
        truth = "   ← " + "; ".join(wrong[number]) if number in wrong else ""
        lines.append(f"{mark} {line}{truth}".rstrip())
    return "\n".join(lines)
