"""Reads a masked sentence as claims, clause by clause, and says what it did not understand.

A half-read sentence must never be taken for a confirmed one: `read_sentence` returns its unread
clauses, and the values in it that no claim took up.
"""

import dataclasses
import re
from collections.abc import Sequence

from data_pipeline.verify.asides import take_asides
from data_pipeline.verify.clause_cutting import Clause, split_clauses
from data_pipeline.verify.clause_parts import Memory, equations
from data_pipeline.verify.clause_patterns import AFTER
from data_pipeline.verify.clause_rules import ClauseReader
from data_pipeline.verify.consequences import consequences
from data_pipeline.verify.flow_wording import flow_claims
from data_pipeline.verify.givens import select, take_givens
from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.nouns import Noun, code_of, read_last_noun, read_noun
from data_pipeline.verify.ordinals import ANY_ORDINAL
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import SentenceReading, WordedClaim
from data_pipeline.verify.turns import turns_range

_APPOSED = re.compile(  # "the first word, 'a'"
    rf"\b((?:{ANY_ORDINAL}|next) "
    r"(?!call|iteration|turn|step|pass|case|time|test|check)[a-z]+)"
    r"(?:, (?=⟦\d+⟧(?:\W*$|, ))|: (?=⟦\d+⟧(?: \([a-z ]+\))?\W*$))",
    re.I,
)
_BESIDE = re.compile(
    r"(?:before|after|now|then|result|initially|originally)(?: (?:the )?\w+)?", re.I
)
_ONLY = re.compile(r"\((?:and|the) only\)\s*")
_BEFORE = screened(r"\W*before\b", re.I)
_INCLUSIVE = screened(r"\binclusive(?:ly)?\b", re.I)
_THIS = re.compile(r"(?:this|that|it|which) (?:is|evaluates|returns)\b", re.I)
_MAKES = screened(
    r"\b(?:join(?:s|ing)|concatenat(?:es|ing)|converts?|strips?|replaces|splits?|sorts|reverses|"
    r"combines|removes|slices|joined|concatenated|converted|stripped|replaced|split|sorted|reversed|updated|becomes|"
    r"results?|formatted|combined|padded|turned)\b",
    re.I,
)


def read_sentence(
    sentence: str, atoms: Sequence[Atom], memory: Memory, *, selects: bool = False
) -> SentenceReading:
    """Returns the claims of one masked sentence, and what of it was not read.

    selects: whether "for `n` = 1" means a state of the run, as where steps of it are told
    """
    reading = SentenceReading()
    sentence, givens = take_givens(sentence, atoms) if selects else (sentence, ())
    sentence = ATOM_NUMBER.sub(lambda m: _keyword(atoms[int(m[1])]) or m[0], sentence)
    sentence = _APPOSED.sub(r"\1 ", sentence)
    sentence, asides = take_asides(sentence, atoms)
    reading.claims += asides
    if told := turns_range(sentence, atoms):
        reading.unread.append(ClauseReader(_whole(told[0]), atoms, memory).spell(told[0]))
        sentence = sentence[: told.start()] + sentence[told.end() :]
    flows = flow_claims(sentence, atoms)
    reading.claims += [claim for claim, _ in flows]
    reading.claims += consequences(sentence, atoms)
    previous: Clause | None = None
    sentence = _ONLY.sub("", sentence)
    before = bool(_BEFORE.match(sentence))
    after = bool(AFTER.search(sentence))
    for clause in split_clauses(sentence):
        if previous is not None and not memory.fresh:
            if clause.link == "which":
                memory.noun = _antecedent(previous, clause, atoms, memory)
            elif clause.aside and (last := re.search(r"⟦(\d+)⟧$", previous.text)):
                memory.noun = _noun_of(atoms[int(last[1])])
        memory.colon = False
        if previous is not None:
            memory.colon = ":" in sentence[previous.end : clause.start]
            memory.made = bool(_MAKES.search(previous.text))
            memory.beside = bool(_BESIDE.fullmatch(previous.text))
        previous, memory.fresh = clause, False
        if clause.link not in ("resulting", "giving", "making", "leading"):
            memory.changed = None
        reader = ClauseReader(clause, atoms, memory)
        claims = reader.read()
        flow = any(start < clause.end and end > clause.start for _, (start, end) in flows)
        if claims is not None:
            reading.claims += [_timed(claim, before, after) for claim in claims]
            if claims and claims[-1].kind == "grows" and claims[-1].subject:
                memory.changed = Noun((claims[-1].subject,))  # "…, making it 3"
        taken = {claim.value for claim in reading.claims} | {c.subject for c in reading.claims}
        if claims is None and reader.is_harmless():
            memory.noun = _only_value(clause, atoms) or memory.noun
        elif claims is None and not flow:
            reading.unread.append(reader.spell(clause.text))
        elif reader.rest:
            reading.unread.append(reader.spell(reader.rest))
        memory.names += reader.variables()
        reading.mentions += [text for text in reader.left(claims) if text not in taken]
    if _INCLUSIVE.search(sentence):
        reading.claims = [_inclusive(claim) for claim in reading.claims]
    claims = list(dict.fromkeys(_answers(claim, memory) for claim in reading.claims))
    reading.claims = select(claims, givens)
    return reading


def _inclusive(claim: WordedClaim) -> WordedClaim:
    return dataclasses.replace(claim, when="inclusive") if claim.kind == "range" else claim


def _keyword(atom: Atom) -> str | None:
    """Returns "else" for an atom that is only this keyword: it names a block."""
    return "else" if atom.text.strip(" :") == "else" else None


def _noun_of(atom: Atom) -> Noun:
    """Returns what code in front of brackets means; of an equation its value."""
    told = equations(atom)
    return Noun((told[-1].value if told else code_of(atom.text),))


def _only_value(clause: Clause, atoms: Sequence[Atom]) -> Noun | None:
    """Returns the value that "it" means after "'a' is looked at"."""
    numbers = ATOM_NUMBER.findall(clause.text)
    alone = atoms[int(numbers[0])] if len(numbers) == 1 else None
    return Noun((alone.text,)) if alone is not None and alone.literal else None


def _whole(text: str) -> Clause:
    return Clause(text, "", False, False, 0, len(text))


def _answers(claim: WordedClaim, memory: Memory) -> WordedClaim:
    """Returns a claim with its subject: "check if `a > b`: this is `True`" speaks of `a > b`."""
    asked = memory.asked
    if claim.kind != "branch" or claim.subject or not _THIS.match(claim.text):
        return claim
    if asked is None or asked.kind != "branch":
        return claim
    return dataclasses.replace(claim, subject=asked.subject)


def _timed(claim: WordedClaim, before: bool, after: bool) -> WordedClaim:
    """Returns a claim of "before the step, `x` is 2", "after the swap, `x` is 3"."""
    if claim.kind == "value" and before and claim.when != "start":
        loop = "iteration" in claim.text
        return dataclasses.replace(claim, when="around" if loop else "before")
    if claim.kind in ("refer", "outcome") and before and claim.when == "any":
        return dataclasses.replace(claim, when="before")
    if claim.kind in ("value", "refer", "outcome") and after and claim.when == "any":
        return dataclasses.replace(claim, when="after")
    return claim


def _antecedent(
    previous: Clause, clause: Clause, atoms: Sequence[Atom], memory: Memory
) -> Noun | None:
    """Returns what "which" means: the noun phrase that ends the clause before it."""
    last = re.search(r"(⟦\d+⟧)$", previous.text)
    if re.search(r"\b(?:by|using|via|with)\b[^⟦]*⟦\d+⟧$", previous.text) and not clause.aside:
        return Noun((), "value")
    if last is not None and clause.aside and not previous.aside:
        whole = read_last_noun(previous.text, atoms)
        return whole if whole is not None and whole.expressions else read_noun(last[1], atoms)
    noun = read_last_noun(previous.text, atoms)
    if noun is not None and (noun.expressions or not memory.returning):
        return noun
    return noun or memory.noun
