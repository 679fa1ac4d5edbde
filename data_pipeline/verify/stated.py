"""Defines claims as a text states them, before they are placed and judged."""

import dataclasses

from data_pipeline.verify.nouns import Noun

NUMBERS = {
    "zero": 0, "no": 0, "one": 1, "once": 1, "two": 2, "twice": 2, "three": 3, "thrice": 3,
    "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12,
}  # fmt: skip

_KIND_OF = {
    "turn": "iteration",
    "turns": "iteration",
    "grows": "value",
    "kept": "branch",
    "given back": "return",
    "sets": "code",
    "gives": "value",
    "ended": "iteration",
    "goes on": "iteration",
    "raise": "exception",
    "goto": "flow",
    "yield": "return",
    "test": "branch",
    "entered": "branch",
    "refer test": "branch",
    "refer": "value",
    "outcome": "value",
    "put": "value",
    "taken": "value",
    "same": "value",
    "called": "value",
    "equal": "expression",
    "range": "iteration",
    "tested": "code",
    "iterates": "code",
    "bound": "value",
    "filled": "expression",
    "call made": "expression",
    "endless": "iteration",
    "absent": "expression",
    "missing": "expression",
    "not returned": "return",
}


@dataclasses.dataclass(frozen=True)
class WordedClaim:
    """Holds one claim as worded.

    kind: "value" (subject, a name or an expression, is value), "refer" (the thing that a noun such
      as "the list" means is value), "outcome" (the line gives value), "test" (the expression in
      subject, written by us for a predicate, is value), "same" (subject does not change here),
      "branch" (subject, or the line's own condition, is value), "entered" (the body is run or
      not), "turn" (this is turn `value`), "turns" (the loop makes `value` turns), "range" (the
      loop variable goes from subject to value), "return", "raise" (value: type, "" for none),
      "goto", "bound" (a loop takes up value, as element number subject), "filled" (subject
      with the values of its parts is value), "call made" (the run makes the call value),
      "endless" (the run never ends), "absent" (no string
      here has value in it),
      "grows" (what `value`, such as "+ 2", does to the subject is what happens to it), "kept" (the
      element of this turn is taken into the result, or is left out), "gives" (the turn gives
      `value` to the whole), "sets" (the line sets subject), "given back" (what the call was given,
      or what subject names of it, is returned), "goes on" (the loop makes another turn), "called"
      (an argument of the call is value).
    when: "before", "after", "any", "around" (any, also before a turn), "here"
      (at the line, not in its body), "call" (in the function
      called), "so far" (of turns: the loop may go on), "exit" (of a turn: it may be the one that
      does not start), "start" or "end" (of the run), "all" (of a branch: every condition there).
    given: (name, value) pairs that the claim says hold with it, "as with `x` = 3", "for `n` = 1".
    others: further expressions that the subject may mean.
    noun: of "refer": the words that mean it.
    """

    kind: str
    text: str
    subject: str | None = None
    value: str = ""
    when: str = "any"
    given: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()
    noun: Noun | None = None


@dataclasses.dataclass
class SentenceReading:
    """Holds what a sentence states.

    claims:   its claims
    unread:   its clauses that state something that was not read
    mentions: values that it mentions beside its claims; each must occur in the run to be harmless
    """

    claims: list[WordedClaim] = dataclasses.field(default_factory=list)
    unread: list[str] = dataclasses.field(default_factory=list)
    mentions: list[str] = dataclasses.field(default_factory=list)


def claim_kind(worded: WordedClaim) -> str:
    """Returns the kind of a claim as the verifier shows it: several kinds of wording are one."""
    if worded.kind == "value" and worded.subject is not None and not worded.subject.isidentifier():
        return "branch" if worded.value in ("True", "False") else "expression"
    return _KIND_OF.get(worded.kind, worded.kind)
