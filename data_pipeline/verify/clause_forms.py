"""Reads clauses with a form of their own: checks, asides, sizes, ranges, code alone."""

import dataclasses
import re

from data_pipeline.verify.clause_parts import ClauseParts, equations
from data_pipeline.verify.clause_patterns import (
    ARROW_OR_ATOM,
    CHAIN,
    CHECKS,
    EMPTY,
    EMPTY_MADE,
    EXECUTED,
    ITERATES,
    MADE_EMPTY,
    MISSING,
    PAIR,
    PURPOSE,
    RANGE,
    SIZE,
    TESTED,
    TIMES,
)
from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.nouns import Noun, code_of, read_noun
from data_pipeline.verify.plain_words import is_plain
from data_pipeline.verify.predicates import read_predicate
from data_pipeline.verify.stated import NUMBERS, WordedClaim


class FormRules(ClauseParts):
    """Knows the clauses that are recognized by their form, before any verb is looked for."""

    def _checks(self) -> list[WordedClaim]:
        """Reads "`x > 2` checks if `x` is large": no claim but that this code is here."""
        match = CHECKS.search(self.text)
        assert match is not None
        self.memory.checked = True
        behind = ATOM_NUMBER.search(self.text[match.end() :])
        if (about := re.search(r"⟦(\d+)⟧[^⟦]*\bagainst\b", self.text)) is not None:
            self.memory.noun = Noun((code_of(self.atoms[int(about[1])].text),))
        elif behind is not None:
            self.memory.noun = Noun((code_of(self.atoms[int(behind[1])].text),))
        codes = [self.atoms[int(n)] for n in ATOM_NUMBER.findall(self.text[: match.start()])]
        return [self._claim("code", atom.text, "") for atom in codes[:1] if not _is_word(atom)]

    def _iterates(self) -> list[WordedClaim] | None:
        """Reads "iterates over each character in 'ab'", "loops through `xs`"."""
        match = ITERATES.search(self.text)
        if match is None or not is_plain(self.text):
            return None
        number = int(match["x"])
        self.used.add(number)
        return [self._claim("iterates", code_of(self.atoms[number].text), "")]

    def _aside(self) -> list[WordedClaim] | None:
        """Reads "(an empty list)", "(the empty string)" of the value before it."""
        if not self.clause.aside or self.memory.noun is None:
            return None
        if place := re.fullmatch(r"at (?:index|position) ⟦(\d+)⟧", self.text):
            self.used.add(int(place[1]))
            value = (self.memory.noun.expressions or ("",))[0]
            claim = self._claim("refer", None, value)
            noun = Noun((), f"at {self.atoms[int(place[1])].text}")
            return [dataclasses.replace(claim, noun=noun)] if self._is_literal(value) else None
        found = read_predicate(re.sub(r"^the ", "an ", self.text), self.atoms)
        return None if found is None else [self._test(self.memory.noun, *found, "any")]

    def _empty(self) -> list[WordedClaim] | None:
        """Reads "an empty list `x` is created", "initializes `x` as an empty list"."""
        match = EMPTY_MADE.match(self.text) or MADE_EMPTY.match(self.text)
        if match is None:
            return None
        noun = read_noun(match["x"], self.atoms)
        if noun is None or not noun.expressions:
            return None
        self.memory.noun = noun
        return [self._about(noun, EMPTY[match["t"].lower()], "after")]

    def _size(self) -> list[WordedClaim] | None:
        """Reads "`d` has 4 items", "the string has a length of 2"."""
        match = SIZE.match(self.text)
        if match is None:
            return None
        both = re.match(r"both\b", match["s"], re.I) and len(self.memory.names) > 1
        noun = Noun((self.memory.names[-1],)) if both else self._subject(match["s"])
        written = match["n"] or match["m"]
        value = str(NUMBERS.get(written.lower(), "")) or None
        if written.startswith("⟦"):
            value = self._literal(written)
        if noun is None or not value or not value.isdigit():
            return None
        unit = (match["u"] or "").lower()
        template = "len({s}.split())" if unit.startswith("word") else "len({s})"
        self.memory.noun, self.memory.fresh = Noun((value,)), True
        nouns = [noun, Noun((self.memory.names[-2],))] if both else [noun]
        self.memory.sized = None if both or unit.startswith("word") else noun
        self.memory.size = value
        return [self._test(one, f"{template} == {value}", True, "any") for one in nouns]

    def _range(self) -> list[WordedClaim] | None:
        """Reads "from 0 to 6", "values from `0` to `len(x) - 1`" of a loop."""
        match = RANGE.search(self.text)
        if match is None or not is_plain(RANGE.sub("", self.text)):
            return None
        named = re.search(r"\b(?:ranging|values|range|iterat\w+|loop)\b", self.text)
        if not (named or self.clause.aside or match.start() == 0):
            return None
        first, last = (code_of(self.atoms[int(match[key])].text) for key in ("a", "b"))
        self.used |= {int(match["a"]), int(match["b"])}
        self.memory.noun, self.memory.fresh = Noun((last,)), True
        return [self._claim("range", first, last)]

    def _all_equations(self) -> list[WordedClaim] | None:
        """Reads "`r = a + b` → `r = 3`": code alone."""
        if chain := CHAIN.search(self.text):
            numbers = list(map(int, ATOM_NUMBER.findall(chain[0])))
            joined = " = ".join(self.atoms[number].text for number in numbers)
            if claims := equations(Atom(joined, False, 0)):
                self.used |= set(numbers)
                return claims
        numbers = list(map(int, ATOM_NUMBER.findall(self.text)))
        claims = [claim for number in numbers for claim in self._equations(number, "after")]
        if claims:
            named, self.memory.named = self.memory.named, None
            if named is not None and self.memory.colon:  # "the sum is computed: 1 + 2 = 3"
                claims.append(self._about(named, claims[-1].value, "any"))
            self.memory.noun = Noun((claims[-1].subject or "",))
        words = ARROW_OR_ATOM.sub(" ", self.text)
        return claims if claims and is_plain(words) else None

    def _pairs(self) -> list[WordedClaim] | None:
        """Reads values beside names without blanks, "a=5 + i=0 gives a=5"."""
        pairs = PAIR.findall(self.text)
        claims = []
        for name, value in pairs:
            subject, literal = self.atoms[int(name)], self.atoms[int(value)]
            if subject.text.isidentifier() and literal.literal:
                self.used |= {int(name), int(value)}
                claims.append(self._claim("value", subject.text, literal.text))
        return claims if pairs else None

    def _code(self) -> list[WordedClaim] | None:
        """Reads "the line `x = 1` is executed", "the `pop` method is called on `xs`"."""
        if not is_plain(self.text) or (self.clause.hypothetical and "⟦" not in self.text):
            return None
        if TIMES.search(self.text):
            return None
        match = EXECUTED.search(self.text)
        if match is None:
            if TESTED.search(self.text):
                return [self._claim("tested", None, "True")]
            return None
        if _BOUNDS.search(match[0]):
            return None  # "a loop that runs from `n` down to 0": both ends are told
        codes = [
            self.atoms[int(n)].text
            for n in ATOM_NUMBER.findall(match[0])
            if not self.atoms[int(n)].literal
        ]
        claims = [self._claim("code", code, "") for code in codes[:1]]
        if not claims:
            return None
        return claims + (self._calls() or [])

    def _purpose(self) -> list[WordedClaim] | None:
        """Reads "pads the string to make it '007'"."""
        match = PURPOSE.search(self.text)
        value = None if match is None else self._literal(match["v"])
        if match is None or value is None or not is_plain(match["rest"]):
            return None
        return [self._claim("outcome", None, value)]

    def _missing(self) -> list[WordedClaim] | None:
        """Reads "`xs[3]` does not exist"."""
        match = MISSING.fullmatch(self.text)
        if match is None:
            return None
        code = self.atoms[int(match[1] or match[2])].text
        return [self._claim("missing", code, "")]


_BOUNDS = re.compile(r"\bfrom ⟦\d+⟧ (?:down |up )?to\b")


def _is_word(atom: Atom) -> bool:
    """Returns whether an atom is a value or only a name, not a condition."""
    return atom.literal or atom.text.strip("().").isidentifier()
