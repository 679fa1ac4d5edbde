"""Contradicts what a step says stands at an index, or around a piece, where nothing has it so.

"It finds 'k' at index 4" is false if no text or list that the run holds has 'k' there; "the part
before 'd' is 'wd'" is false if none has 'wd' followed by 'd'.
"""

import ast
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.rendering import render
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.characters import character_of
from data_pipeline.verify.masking import Atom, mask_code, spell
from data_pipeline.verify.pools import Pools
from data_pipeline.verify.screening import screened

_INDEX = r"(?:index|position)"
_FOUND_AT = re.compile(
    r"(?:⟦(?P<v>\d+)⟧|\bthe (?P<w>[a-z]+) character),? (?:(?:is|was|which is) )?"
    rf"(?:(?:first |last |also )?(?:found|located|appears|occurs) )?at {_INDEX} ⟦(?P<k>\d+)⟧"
    r"(?! ?(?:\(|of|in|from|and|or)\b)",
    re.I,
)
_AT_IS = re.compile(
    rf"\b(?:at|with) {_INDEX} ⟦(?P<k>\d+)⟧(?:,? (?:which )?(?:is|=)|:)? (?:⟦(?P<v>\d+)⟧|"
    r"\(⟦(?P<u>\d+)⟧\))(?! ?[-+*/%=\[.])",
    re.I,
)
_OTHERWISE = re.compile(
    r"\binsert|\bif\b|\bwould\b|\bnot\b|n't\b|\bno\b|\bnew\b|\bset\b|\bput|\bplace|\bstart|\bfrom\b|"
    r"\badd|\bassign|\bbecome|\bupdat|\bafter\b|\bbefore\b|\bbetween\b|\bline\b",
    re.I,
)
_AROUND = re.compile(
    r"\b(?:part|prefix|suffix|substring|portion|piece) (?P<w>before|after|preceding|following) "
    r"(?:the )?(?:(?:first|last) )?(?:(?:character|separator|delimiter|occurrence of) )?"
    r"⟦(?P<a>\d+)⟧(?: is|:) ⟦(?P<v>\d+)⟧",
    re.I,
)
_AROUND_WORD = screened(r"\b(?:before|after|preceding|following)\b", re.I)
_SEQUENCES = str | list | tuple


class ToldPositions:
    """Knows the texts and containers of one run."""

    def __init__(self, run: Replay, pools: Pools):
        self.run, self.pools = run, pools

    def denied(self, plain: str) -> Iterator[tuple[str, str]]:
        """Yields (text, truth) for what a sentence says stands where the run has it nowhere."""
        if "index" not in plain and "position" not in plain and not _AROUND_WORD.search(plain):
            return
        if not self._known:
            return
        masked, atoms = mask_code(plain, frozenset())
        yield from self._at_index(masked, atoms)
        yield from self._around(masked, atoms)

    def _at_index(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for pattern in (_FOUND_AT, _AT_IS):
            for found in pattern.finditer(text):
                clause = re.split(r"[.;]", text[: found.start()])[-1] + found[0]
                index = value_or_none(atoms[int(found["k"])].text)
                told = self._value(found, atoms)
                if told is None or type(index) is not int or _OTHERWISE.search(clause):
                    continue
                own = [value_or_none(atom.text) for atom in atoms if atom.literal]
                owners = [*self._owners, *(one for one in own if isinstance(one, _SEQUENCES))]
                if not any(_has_at(owner, index, told) for owner in owners):
                    yield spell(found[0], atoms), self._truth(index, told)

    @staticmethod
    def _value(found: re.Match[str], atoms: Sequence[Atom]):
        groups = found.groupdict()
        if groups.get("w"):
            return character_of(groups["w"])
        number = groups.get("v") or groups.get("u")
        return value_or_none(atoms[int(number)].text) if number else None

    def _truth(self, index: int, told: object) -> str:
        for owner in self._owners:
            if isinstance(owner, str) and isinstance(told, str) and told and told in owner:
                return f"it is at index {owner.find(told)} of {render(owner)}"
        return "nothing has it at this index"

    def _around(self, text: str, atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
        for found in _AROUND.finditer(text):
            piece, told = (value_or_none(atoms[int(found[k])].text) for k in "av")
            if not isinstance(piece, str) or not isinstance(told, str) or not told:
                continue
            first = found["w"].lower() in ("before", "preceding")
            whole = told + piece if first else piece + told
            if not any(isinstance(one, str) and whole in one for one in self._owners):
                yield spell(found[0], atoms), f"no text has {render(whole)}"

    @functools.cached_property
    def _known(self) -> bool:
        inner = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda
        hidden = any(isinstance(node, inner) for node in self.run.nodes)
        return self.pools.everything.complete and not hidden

    @functools.cached_property
    def _owners(self) -> list:
        known = [value_or_none(text) for text in self.pools.everything.texts]
        owners: list = [one for one in known if isinstance(one, str | list | tuple | dict)]
        return owners + [list(one) for one in owners if isinstance(one, dict)]


def _has_at(owner, index: int, told) -> bool:
    if isinstance(owner, dict):
        return index in owner and owner[index] == told
    if isinstance(owner, str):
        if not isinstance(told, str):
            return False
        at = index + len(owner) if index < 0 else index
        return at >= 0 and owner[at : at + len(told)] == told
    return -len(owner) <= index < len(owner) and owner[index] == told
