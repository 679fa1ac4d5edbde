"""Defines what a reader of sentences returns: judged claims, and what it did not understand."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class JudgedClaim:
    """Holds one claim of a sentence with its verdict.

    Attributes:
      kind: one of claims.KINDS.
      text: the claim, in the words of the sentence.
      verdict: "confirmed", "contradicted" or "not_checkable".
      truth: the fact at the place that the sentence speaks of, None if unknown.
    """

    kind: str
    text: str
    verdict: str
    truth: str | None = None


@dataclasses.dataclass(frozen=True)
class Reading:
    """Holds what was read in one sentence.

    Attributes:
      claims: judged claims, in the order of the sentence.
      unread: pieces of the sentence that state something that could be false and were not read.
    """

    claims: tuple[JudgedClaim, ...] = ()
    unread: tuple[str, ...] = ()
