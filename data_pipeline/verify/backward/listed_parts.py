"""Reads lines that list the parts of an output or input: "the output has two words: "a" and "b"".

What is told must stand there as it is told: whole, in order, or at the place that is named.
"""

import re
from collections.abc import Callable
from typing import Any

from data_pipeline.source.literals import parse_literal, same_value
from data_pipeline.verify.adjectives import Predicate
from data_pipeline.verify.backward.nouns import ATOM, ITEM, Meaning, Nouns, items_of, number
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.reading import JudgedClaim

_LISTED = re.compile(
    r"(?P<owner>the (?:final )?(?:output|result|input)(?: \w+)?|(?:the )?(?:\w+ )?`\w+`) (?:has"
    r"|contains"
    r"|consists of|is made of) (?:exactly )?(?:the )?(?:(?P<count>[a-z]+) )?(?P<item>words?"
    r"|characters?|elements?|items?|keys?|values?|numbers?|digits?|letters?):? "
    rf"(?P<all>{ATOM}(?:,? (?:and )?{ATOM})+)"
)
_ORDERED = re.compile(
    rf"the (?:{ITEM}) (?P<all>{ATOM}(?:(?:,| and|, and) {ATOM})+) (?:must|should) (?:appear|be"
    rf"|occur)"
    r" (?:present )?in (?P<where>.+?),? in (?:the same|that|this|the given) order"
)
_PART = re.compile(
    r"the (?P<which>first|second|third|fourth|last) (?:part|segment|piece|section)(?: of the"
    r" (?:final"
    rf" )?output(?: string)?)? (?:is|must be|should be) (?P<told>{ATOM})"
)
_MATCHING = re.compile(
    rf"the (?:corresponding |original )+(?:input )?(?P<item>{ITEM})(?: in the input(?: \w+)?)?"
    rf" (?:must"
    rf" (?:be|have been)|is|was|should be|be) (?P<told>{ATOM})"
)


class ListedParts:
    """Judges statements on one witness.

    claim: judges a predicate on the meanings of a subject.
    """

    def __init__(
        self,
        witness: Witness,
        nouns: Nouns,
        claim: Callable[[str, list[Meaning], Predicate], list[JudgedClaim] | None],
    ):
        self.witness, self.nouns, self.claim = witness, nouns, claim
        self.readers = (self._listed, self._matching, self._ordered, self._parts)

    def _listed(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the output has two words: `'a'` and `'b'`"."""
        match = _LISTED.fullmatch(text)
        if match is None:
            return None
        told = [self.nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]
        if match["count"] and number(match["count"]) not in (None, len(told)):
            return None
        return self.claim(
            text, self.nouns.meanings(match["owner"]),
            lambda value: same_value(list(items_of(value, match["item"]) or ()), told),
        )  # fmt: skip

    def _ordered(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the digits `3` and `2` must appear in the input string in the same order"."""
        match = _ORDERED.fullmatch(text)
        if match is None:
            return None
        told = [self.nouns.literal(atom) for atom in re.findall(ATOM, match["all"])]

        def holds(value: Any) -> bool:
            items = iter(value)
            texts = [str(one) for one in told] if isinstance(value, str) else told
            return all(any(same_value(item, one) for item in items) for one in texts)

        return self.claim(text, self.nouns.meanings(match["where"]), holds)

    def _parts(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the first part of the output is `'ab'`": confirmed if it stands there."""
        match = _PART.fullmatch(text)
        told = self.nouns.literal(match["told"]) if match else None
        whole = parse_literal(self.witness.goal)
        if match is None or not told or type(told) is not str:
            return None
        if isinstance(whole, list | tuple):
            held = told in whole
        elif match["which"] == "first":
            held = whole.startswith(told)
        else:
            held = whole.endswith(told) if match["which"] == "last" else told in whole
        truth = f"the output is {self.witness.goal}"
        return [JudgedClaim("answer", text[:80], CONFIRMED, truth)] if held else None

    def _matching(self, text: str) -> list[JudgedClaim] | None:
        """Reads "the corresponding input word must be `'ab'`": one of the words of the input."""
        match = _MATCHING.fullmatch(text)
        if match is None:
            return None
        told = self.nouns.literal(match["told"])
        owners = [one.values[0] for one in self.nouns.everything() if not one.of_output]
        held = any(told in (items_of(one, match["item"]) or ()) for one in owners)
        return [JudgedClaim("answer", text[:80], CONFIRMED, self.witness.shown)] if held else None
