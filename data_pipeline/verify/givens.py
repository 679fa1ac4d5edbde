"""Reads the state that a sentence selects: "for `n` = 1", "when `c` is 'a'", "at `i = 2`".

Such an equation says when the rest of the sentence holds. It is taken out of the sentence, so that
what stands around it reads as one clause; it is a claim itself, for that state has to be there.
"""

import dataclasses
import re
from collections.abc import Sequence

from data_pipeline.verify.clause_parts import constant_of, equations
from data_pipeline.verify.masking import Atom
from data_pipeline.verify.stated import WordedClaim

Given = tuple[str, str]  # name, literal

_SELECTS = re.compile(
    r"(?:^|(?<=[ (]))(?<!in )(?:for|when|at|once) (?:the (?:case|turn|value) (?:of |where )?)?"
    r"(?P<x>⟦\d+⟧)(?: (?:=|==|is|equals|reaches) (?P<v>⟦\d+⟧))?"
    r"(?!\s?(?:to|through|until|up to|and|or|nor|–|-|…|\.\.\.?|[+*/%<>]) ?⟦)(?P<c>,? ?)",
    re.I,
)
_NEXT = re.compile(r"⟦(\d+)⟧")
_ENDS = ("ended", "turns")  # "stops at `n = 5`" tells the state at the end, not one that begins it


def take_givens(sentence: str, atoms: Sequence[Atom]) -> tuple[str, tuple[Given, ...]]:
    """Returns the sentence without the equations that select its state, and those equations."""
    givens: list[Given] = []
    kept, at = "", 0
    for match in _SELECTS.finditer(sentence):
        given = _given(match, atoms)
        if given is None or _is_listed(sentence, match, atoms):
            continue
        givens.append(given)
        kept += sentence[at : match.start()]
        at = match.end()
    return (kept + sentence[at:]).strip(), tuple(givens)


def _given(match: re.Match[str], atoms: Sequence[Atom]) -> Given | None:
    atom = atoms[int(match["x"][1:-1])]
    if match["v"] is not None:
        value = constant_of(atoms[int(match["v"][1:-1])])
        return (atom.text, value) if atom.text.isidentifier() and value is not None else None
    told = equations(Atom(atom.text.replace("==", "="), False, 0))
    if len(told) != 1 or not (told[0].subject or "").isidentifier():
        return None
    return told[0].subject or "", told[0].value


def _is_listed(sentence: str, match: re.Match[str], atoms: Sequence[Atom]) -> bool:
    """Returns whether more values follow: "for `c` = 'a', 'b' and 'c'"."""
    following = _NEXT.match(sentence, match.end()) if match["c"].strip() else None
    return following is not None and atoms[int(following[1])].literal


def select(claims: Sequence[WordedClaim], givens: tuple[Given, ...]) -> list[WordedClaim]:
    """Returns the claims with the state in which they are said to hold, and that state as claims.

    The state in which a loop "stops" is no claim of its own: it may be the one after the loop.
    """
    selected = [dataclasses.replace(c, given=(*c.given, *givens)) for c in claims]
    if any(claim.kind in _ENDS for claim in claims):
        return selected
    states = [WordedClaim("value", f"{n} = {v}", n, v, when="here") for n, v in givens]
    return [*states, *selected]
