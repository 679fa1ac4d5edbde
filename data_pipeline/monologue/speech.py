"""Turns proven claims into text; a narrator has no other way to write.

A clause is made by `Speaker.say` alone, from the name of a form (`forms`) and claims of the kinds
that the form states. A clause whose claims are not all proven does not come about. Clauses are
joined by the connectives of `Join` alone, which state nothing.
"""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from data_pipeline.claims import PROVEN, REFUTED, Claim
from data_pipeline.monologue.forms import FORMS, Form
from data_pipeline.monologue.wording import MOST_CODE, Words, join_words
from data_pipeline.pyx.prompts import FIRST_LABEL


class RefutedClaim(Exception):
    """Reports that a narrator made a claim which the run refutes: a fault of the narrator."""


class Join(enum.Enum):
    """Connectives between clauses."""

    SO = ", so "
    AND = " and "
    COMMA_AND = ", and "
    COMMA = ", "
    SEMICOLON = "; "
    COLON = ": "
    STOP = ". "
    BUT = ", but "
    THEN = ", then "
    WHERE = ", where "
    IT = ". It "
    THEN_IT = ". Then it "
    COMMA_IT = ", it "


@dataclasses.dataclass(frozen=True, slots=True)
class Clause:
    """Words for proven claims. Made by `Speaker.say`."""

    text: str
    claims: tuple[Claim, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Sentence:
    """Clauses joined to one sentence or more. Made by `join`; line: the line it cites, or 0."""

    text: str
    claims: tuple[Claim, ...]
    line: int = 0


Part = Clause | Join | None
_WIDER = 3
_QUOTED_ENDS = ('."', '!"', '?"')  # a quoted sentence needs no full stop of ours


def label(line: int) -> str:
    return f"[L{line + FIRST_LABEL - 1}]"


def join(parts: Iterable[Part], line: int = 0) -> Sentence | None:
    """Joins clauses; leaves out a missing clause together with the connective before it.

    A clause that states what an earlier one of the sentence has stated is left out too.
    """
    text, claims, pending = "", [], None
    for part in _with_one_so(_without_repeats(parts)):
        if isinstance(part, Join):
            pending = pending or part
            continue
        if part is None:
            pending = None
            continue
        starts = not text or pending is Join.STOP
        joint = "" if not text else (pending or Join.COMMA).value
        if joint.startswith(".") and text.endswith(_QUOTED_ENDS):
            joint = joint[1:]
        words = part.text
        text += joint + (words[0].upper() + words[1:] if starts else words)
        claims += part.claims
        pending = None
    end = "" if text.endswith(_QUOTED_ENDS) else "."
    return Sentence(text + end, tuple(claims), line) if text else None


def _without_repeats(parts: Iterable[Part]) -> Iterator[Part]:
    said: set[tuple[Claim, ...]] = set()
    for part in parts:
        if isinstance(part, Clause):
            yield None if part.claims in said else part
            said.add(part.claims)
        else:
            yield part


def _with_one_so(parts: Iterable[Part]) -> list[Part]:
    """Drops connectives of missing clauses, and keeps only the last "so" of a sentence."""
    kept: list[Part] = []
    for part in parts:
        if part is None:
            if kept and isinstance(kept[-1], Join):
                kept.pop()
        elif not (isinstance(part, Join) and (not kept or isinstance(kept[-1], Join))):
            kept.append(part)
    later = False
    for index in range(len(kept) - 1, -1, -1):
        if kept[index] in (Join.STOP, Join.IT, Join.THEN_IT):
            later = False
        elif kept[index] is Join.SO:
            if later:
                kept[index] = Join.SEMICOLON
            later = True
    return kept


@dataclasses.dataclass(frozen=True, slots=True)
class _Words:
    """The texts that a form may take from a claim; a form takes one or two of them."""

    claim: Claim
    words: Words
    cite: Callable[[int], str]

    @property
    def n(self) -> str:
        """The subject, as code."""
        subject = self.claim.subject
        return _code(subject.partition("@")[0] if self.claim.kind == "series" else subject)

    @property
    def s(self) -> str:
        """The subject, as it is."""
        return self.claim.subject

    @property
    def v(self) -> str:
        """The value, shortened."""
        return self.words.value(self.claim.value) or ""

    @property
    def p(self) -> str:
        """The value, as code."""
        return _code(self.claim.value)

    @property
    def right(self) -> str:
        """The "x" of "+= x", as code."""
        return _code(self.claim.value.partition(" ")[2])

    @property
    def raw(self) -> str:
        """The value as it is."""
        return self.claim.value

    @property
    def to(self) -> str:
        """The value as a label."""
        number = self.claim.value if self.claim.value.isdigit() else "0"
        return self.cite(int(number)) if self.claim.kind == "next" else ""

    @property
    def at(self) -> str:
        """The label of the place."""
        line = self.claim.place.line
        return self.cite(line) if line else ""

    @property
    def each(self) -> str:
        """The parts of the value, each as code."""
        return join_words([_code(part) for part in self.claim.value.split(", ")])

    @property
    def span(self) -> str:
        """The value "3-7" as "3 to 7"."""
        return _span(self.claim.value)

    @property
    def last(self) -> str:
        """The "7" of it."""
        return self.claim.value.rpartition("-")[2]

    @property
    def truth(self) -> str:
        """The value "True" as "true"."""
        return self.claim.value.lower()

    @property
    def es(self) -> str:
        """The ending of a noun that the value counts: "s", or "" for one."""
        return "" if self.claim.value == "1" else "s"


class Proves(Protocol):
    """Anything that decides claims."""

    def verdict(self, claim: Claim) -> str: ...


class Speaker:
    """Proves claims and words them.

    forms: the forms that it knows
    cite:  names a line, by default with its label in the prompt

    Raises RefutedClaim for a claim that the run refutes; a claim that cannot be decided is left
    out with its clause.
    """

    def __init__(
        self,
        prover: Proves,
        words: Words,
        forms: Mapping[str, Form] = FORMS,
        cite: Callable[[int], str] = label,
    ):
        self.prover, self.words, self.forms, self.cite = prover, words, forms, cite

    def wider(self) -> "Speaker":
        """Returns a speaker that shows longer values, for those that nothing else tells."""
        words = self.words.with_room(_WIDER * self.words.values)
        return Speaker(self.prover, words, self.forms, self.cite)

    def holds(self, claim: Claim) -> bool:
        verdict = self.prover.verdict(claim)
        if verdict == REFUTED:
            raise RefutedClaim(f"{claim}")
        return verdict == PROVEN

    def say(self, form: str, *claims: Claim | None) -> Clause | None:
        """Returns the clause of a form; None if a claim is missing, unproven or unspeakable."""
        kinds, variants = self.forms[form]
        if any(claim is None for claim in claims):
            return None
        stated: Sequence[Claim] = [claim for claim in claims if claim is not None]
        fixed = [kind for kind in kinds if not kind.endswith("*")]
        rest_kind = kinds[-1].rstrip("*") if len(fixed) < len(kinds) else None
        stated_kinds = [claim.kind for claim in stated]
        if stated_kinds[: len(fixed)] != fixed or any(
            kind != rest_kind for kind in stated_kinds[len(fixed) :]
        ):
            raise TypeError(f"form {form} states {kinds}, got {stated_kinds}")
        if rest_kind is not None and len(stated) == len(fixed):
            return None
        if not all(self.holds(claim) for claim in stated):
            return None
        head = [self._words(claim) for claim in stated[: len(fixed)]]
        shown = [(c, w) for c in stated[len(fixed) :] if _is_shown(w := self._words(c), variants)]
        text = _fill(self.words.choose(variants), head, [word for _, word in shown])
        claims = (*stated[: len(fixed)], *(claim for claim, _ in shown))
        return None if text is None else Clause(text, claims)

    def _words(self, claim: Claim) -> _Words:
        return _Words(claim, self.words, self.cite)


def _code(text: str) -> str:
    fits = text and len(text) <= MOST_CODE and not any(mark in text for mark in "`\n⟦⟧")
    return f"`{text}`" if fits else ""


def _span(text: str) -> str:
    """Returns "3 to 7" for "3-7", and "3 and 4" for "3-4"."""
    first, _, last = text.partition("-")
    if not (first.isdigit() and last.isdigit()):
        return text
    return f"{first} {'and' if int(last) == int(first) + 1 else 'to'} {last}"


_FIELD = re.compile(r"\{(\w+)(?:\.(\w+))?\}")


def _fill(template: str, fixed: Sequence[_Words], rest: Sequence[_Words]) -> str | None:
    """Fills a form; returns None if a text that it needs cannot be shown."""
    missing = False

    def put(match: re.Match[str]) -> str:
        nonlocal missing
        which, field = match[1], match[2]
        text = getattr(fixed[int(which)], field) if which.isdigit() else _rest(which, rest)
        missing = missing or not (text or field == "es")
        return text

    text = _FIELD.sub(put, template)
    return None if missing else text


def _is_shown(words: _Words, variants: Sequence[str]) -> bool:
    return bool(words.n) and (bool(words.v) or "{names}" in variants[0])


def _rest(style: str, words: Sequence[_Words]) -> str:
    if style == "names":
        return join_words([word.n for word in words])
    if style == "equal":
        return join_words([f"{word.n} = {word.v}" for word in words])
    return join_words([f"{word.n} {_VERBS[style]} {word.v}" for word in words])


_VERBS = {"are": "is", "become": "becomes", "give": "gives", "now": "is now"}
