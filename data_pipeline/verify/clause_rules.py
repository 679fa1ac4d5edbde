"""Reads one clause as claims: each rule knows one way to state something.

A clause is cut at its verb; the words before it are its subject (see `nouns`), those behind it say
what is claimed: a value, or a predicate (see `predicates`).
"""

import re
from collections.abc import Sequence

from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.clause_cutting import Clause
from data_pipeline.verify.clause_parts import Memory, constant_of
from data_pipeline.verify.clause_patterns import (
    ARROW,
    CALLED,
    CHECKS,
    EMPTY,
    FILLER,
    GIVEN_BACK,
    JOINING,
    MAKES_EMPTY,
    NO_CHANGE,
    NO_CHANGE_TO,
    PARTICIPLE,
    POSSESSION,
    PRONOUNS,
    PURPOSE_TAIL,
    PUT,
    RETURNERS,
    RETURNS,
    SETS,
    STORED,
    STORES,
    UNCHANGED,
    VALUE_ALONE,
    VERB,
)
from data_pipeline.verify.masking import ATOM_NUMBER, Atom
from data_pipeline.verify.nouns import Noun, code_of, read_last_noun, read_noun
from data_pipeline.verify.plain_words import is_plain
from data_pipeline.verify.predicates import read_possession, read_predicate
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.told_forms import ToldRules


class ClauseReader(ToldRules):
    """Reads one clause."""

    def read(self) -> list[WordedClaim] | None:
        """Returns the claims of the clause; None if it was not understood."""
        self.text = PURPOSE_TAIL.sub("", self.text) or self.text
        for rule in (self._pairs, self._no_change, self._code, self._purpose, self._absent):
            claims = rule()
            if claims is not None:
                return claims
        self._note_check()
        if CHECKS.search(self.text) and not re.match(r"(?:if|when)\b", self.clause.text, re.I):
            self._note_question()
            return self._checks()
        if self.clause.hypothetical:
            return self._calls() if CALLED.search(self.text) else None
        for rule in (
            self._answer,
            self._loop_takes,
            self._compares,
            self._equal,
            self._there,
            self._all_are,
            self._from_to,
            self._computes,
            self._call_does,
            self._takes_end,
            self._grows,
            self._found_at,
            self._call_alone,
            self._slice,
            self._pops_last,
            self._aside,
            self._empty,
            self._size,
            self._range,
            self._iterates,
            self._all_equations,
            self._unchanged,
            self._missing,
            self._returns,
            self._stores,
            self._puts,
            self._sets,
            self._arrow,
            self._verb,
            self._possession,
            self._elliptical,
            self._kept,
            self._calls,
            self._bare,
        ):
            claims = rule()
            if claims is not None:
                return claims
        return None

    # ---- rules

    def _no_change(self) -> list[WordedClaim] | None:
        if about := NO_CHANGE_TO.fullmatch(self.text):
            return [self._claim("same", self.atoms[int(about["x"][1:-1])].text, "")]
        match = NO_CHANGE.search(self.text)
        return [self._claim("same", None, "")] if match else None

    def _unchanged(self) -> list[WordedClaim] | None:
        match = UNCHANGED.search(self.text)
        if match is None:
            return None
        noun = read_noun(match["x"] if match["y"] is None else match["y"], self.atoms)
        if noun is None and self.clause.link == "which" and match["x"] == "":
            noun = self.memory.noun
        if noun is None:
            return None
        noun = self._resolve(noun)
        same = [self._claim("same", (noun.expressions or (None,))[0], "")]
        if told := re.match(r"^(?: as| at|:|,)? ⟦\d+⟧$", match["rest"] or ""):
            value = self._literal(told[0].rpartition(" ")[2])
            if value is not None and self.memory.returning:
                return [self._claim("return", None, value)]
            same += [] if value is None else [self._about(noun, value, "any")]
        return same

    def _returns(self) -> list[WordedClaim] | None:
        match = RETURNS.match(self.text)
        if match is None or match["s"].lower().endswith(("to", "if")):
            return None
        passive = match["v"].lower() == "returned"
        subject = match["s"]
        if passive:
            subject = re.sub(r"\s*\b(?:is|are|was|being|will be|gets)\b(?: \w+)?$", "", subject)
            if re.fullmatch(r"(?:is|are|was|being|will be|gets)?", subject.strip()):
                self.memory.returning = True
                return []
        if passive:
            return self._is_returned(subject)
        if re.search(r"\b(?:does not|doesn't|not|never)\s*$", subject):
            found = self._value(match["c"])
            return None if found is None else [self._claim("not returned", None, found[0])]
        call = self._call_in(subject)
        if call is None and not RETURNERS.match(subject):
            return None
        found = self._value(match["c"])
        if call is None:
            self.memory.returning = found is None
        if found is None:
            return self._returned_noun(match["c"], call)
        value, rest = found
        self._rest(rest)
        if call is not None:
            return [self._claim("return", call, value)]
        claims = [self._claim("return", None, value)]
        return claims + self._given_call(rest)

    def _is_returned(self, subject: str) -> list[WordedClaim] | None:
        subject = re.sub(r"\s*\b(?:is|are|was|being|will be|gets)\b(?: \w+)?$", "", subject)
        self.memory.returning = True
        found = self._value(subject)
        if found is not None:
            return [self._claim("return", None, found[0])]
        noun = read_noun(subject, self.atoms)
        if noun is not None:
            self.memory.noun, self.memory.fresh = noun, True
        return None if noun is None else []

    def _returned_noun(self, complement: str, call: str | None) -> list[WordedClaim] | None:
        if back := GIVEN_BACK.match(complement):
            self._use_all(complement)
            name = None if back["x"] is None else self.atoms[int(back["x"][1:-1])].text
            self.memory.noun = Noun((), "result")
            return [self._claim("given back", name, "")]
        noun = read_noun(complement, self.atoms)
        if noun is not None or is_plain(complement):
            found = noun if noun is not None else read_last_noun(complement, self.atoms)
            self.memory.noun = found if found and found.expressions else Noun((), "result")
            if found and found.expressions and call is None:
                return [self._claim("code", f"return {found.expressions[0]}", "")]
            return []
        self.memory.noun = Noun((), "result")
        return None

    def _call_in(self, subject: str) -> str | None:
        """Returns the call or method that a subject names: "`len(x)`", "the call `f(2)`"."""
        found = ATOM_NUMBER.findall(subject)
        for number in map(int, found[-1:]):
            code = self.atoms[number].text
            if code.endswith(")") and not self.atoms[number].literal:
                return code_of(code)
        return None

    def _stores(self) -> list[WordedClaim] | None:
        match = STORED.match(self.text) or STORES.match(self.text)
        if match is None:
            return None
        value = self._literal(match["v"])
        noun = read_noun(match["x"], self.atoms)
        if noun is None or not noun.expressions:
            return None
        if value is None:
            code = code_of(self.atoms[int(match["v"][1:-1])].text)
            return [self._claim("test", f"{noun.expressions[0]} == ({code})", "True", when="after")]
        self.memory.noun = noun
        return [self._about(noun, value, "after")]

    def _puts(self) -> list[WordedClaim] | None:
        match = PUT.match(self.text)
        if match is None or "becom" in self.text:
            return None
        what = match["what"] or match["s"] or ""
        if match["p"].lower().endswith("ed"):
            what = match["s"] or ""
            if not re.search(r"\b(?:is|are|was|were|gets)(?: \w+)?$", what):
                return None
            what = re.sub(r"\b(?:is|are|was|were|gets)(?: \w+)?$", "", what)
        what = re.sub(
            r"^another |^(?:the )?(?:first |last |only |next )?(?:occurrence|instance)s? of ",
            "",
            what,
        )
        found = self._value(what) or self._code_at(what)
        if found is None or not is_plain(found[1]):
            return None
        number = ATOM_NUMBER.search(what)
        if number is not None and (told := self._equations(int(number[1]), "after")):
            return told if all((one.subject or "").isidentifier() for one in told) else None
        kind = "taken" if match["p"].lower().startswith(("remov", "delet", "pop")) else "put"
        into = read_noun(match["x"] or "", self.atoms)
        subject = into.expressions[0] if into is not None and into.expressions else None
        return [self._claim(kind, subject, found[0])]

    def _code_at(self, text: str) -> tuple[str, str] | None:
        """Returns (the code that a text is, "")."""
        match = re.fullmatch(rf"{FILLER}⟦(?P<v>\d+)⟧", text.strip())
        atom = self.atoms[int(match["v"])] if match else None
        if atom is None or parse_code(atom.text) is None:
            return None
        self._use_all(text)
        return atom.text, ""

    def _sets(self) -> list[WordedClaim] | None:
        match = SETS.match(self.text)
        if match is None:
            return None
        noun, found = read_noun(match["x"], self.atoms), self._value(match["c"])
        if noun is None or found is None or not noun.expressions:
            return None
        self._rest(found[1])
        self.memory.noun = noun
        return [*self._from(noun, match["from"]), self._about(noun, found[0], "after")]

    def _from(self, noun: Noun, atom: str | None) -> list[WordedClaim]:
        value = None if atom is None else self._literal(atom)
        return [] if value is None else [self._about(noun, value, "before")]

    def _verb(self) -> list[WordedClaim] | None:
        if self.clause.link in ("making", "resulting", "leaving", "giving", "yielding",
                                "producing", "leading", "returning"):  # fmt: skip
            return self._outcome()
        text = f"which {self.text}" if self.clause.link == "which" else self.text
        match = VERB.match(text)
        if match is None:
            return None
        kind = next(name for name in ("become", "remain", "give", "be", "hold") if match[name])
        subject, complement = match["s"], match["c"]
        participle = PARTICIPLE.match(complement) if kind in ("be", "become") else None
        noun = self._subject(subject)
        if kind == "give" and (
            inner := re.match(
                r"^(?:the )?(?:\w+ )?(⟦\d+⟧) (?:becoming|being|=|equal to) (.*)$", complement
            )
        ):
            noun, complement, kind = read_noun(inner[1], self.atoms), inner[2], "become"
        if noun is None and kind == "give" and (not subject.strip() or JOINING.match(subject)):
            return self._outcome(complement)
        if noun is None:
            return None
        equals = kind == "be" and not noun.expressions and "equal" in match["be"].lower()
        same = self._value(complement) if equals and self.weak else None
        if same is not None and is_plain(same[1]):  # of what "it" means
            return [self._test(noun, f"{{s}} == {same[0]}", True, "any")]
        refers = kind == "give" and re.match(r"refer|correspond", match["give"], re.I)
        if refers and self._value(complement) is None:
            self.memory.noun, self.memory.fresh = noun, True
            return []
        before: list[WordedClaim] = []
        when = {"become": "after", "remain": "end of line", "hold": "any"}.get(kind, "any")
        if participle is not None:
            before, complement = self._from(noun, participle["from"]), participle["c"]
            when = "after"
        elif kind == "become" and (start := re.search(r"from (⟦\d+⟧)", match["become"] or "")):
            before = self._from(noun, start[1])
        return self._complement(noun, kind, complement, when, before)

    def _arrow(self) -> list[WordedClaim] | None:
        """Reads "'b' → not in `text`": a predicate behind an arrow."""
        match = ARROW.match(self.text)
        if match is None:
            return None
        noun, predicate = self._subject(match["s"]), read_predicate(match["c"], self.atoms)
        if noun is None or predicate is None:
            return None
        self._use_all(self.text)
        return [self._test(noun, *predicate, "any")]

    def _complement(
        self, noun: Noun, kind: str, complement: str, when: str, before: list[WordedClaim]
    ) -> list[WordedClaim] | None:
        predicate = None
        if kind in ("be", "remain") and when != "after":
            predicate = read_predicate(complement, self.atoms)
        if predicate is not None:
            self._use_all(complement)
            return [self._test(noun, *predicate, "any")]
        whole = re.fullmatch(rf"{FILLER}⟦(?P<v>\d+)⟧", complement)
        if whole is not None and (claims := self._equations(int(whole["v"]), "after")):
            return claims
        found = self._value(complement)
        if found is None:
            return self._equal_code(noun, kind, complement, when)
        value, rest = found
        if kind == "give" and noun.expressions and self._is_literal(noun.expressions[0]):
            return None  # "'a' → 'b'" maps, it does not equate
        if kind == "hold" and not value.startswith(("[", "{", "(", "set(")):
            return [self._test(noun, f"{value} in {{s}}", True, "any")]
        if re.match(r"\s*(?:or|and|,) ⟦", rest):
            return None
        self._rest(rest)
        which = self.clause.link == "which"
        if self.memory.returning and (which or (not noun.expressions and noun.word in PRONOUNS)):
            return [*before, self._claim("return", None, value)]
        if self.memory.checked and which and value in ("True", "False"):
            return [self._claim("branch", None, value)]
        if kind == "give" and self._call_in(f"⟦{self._last}⟧" if self._last is not None else ""):
            when = "any"
        claim = self._about(noun, value, "after" if when == "end of line" else when)
        self.memory.noun = noun if noun.expressions else Noun((value,))
        return [*before, claim]

    def _equal_code(
        self, noun: Noun, kind: str, complement: str, when: str
    ) -> list[WordedClaim] | None:
        """Reads "the key is `k`": equal to another expression."""
        other = re.fullmatch(rf"{FILLER}(?P<v>⟦\d+⟧)", complement)
        if not noun.expressions or kind == "hold":
            return None
        if other is None:
            return self._equal_noun(noun, complement, when)
        code = code_of(self.atoms[int(other["v"][1:-1])].text)
        if when == "after" and noun.expressions[0].isidentifier():
            self.memory.changed = noun
        return [self._claim("equal", noun.expressions[0], code, when=when)]

    def _equal_noun(self, noun: Noun, complement: str, when: str) -> list[WordedClaim] | None:
        """Reads "`i` is set to the last index of `xs`"."""
        same = read_noun(complement, self.atoms)
        if same is None or not same.expressions:
            return None
        self._use_all(complement)
        self.memory.noun, self.memory.fresh = same, True
        return [self._claim("equal", noun.expressions[0], same.expressions[0], when=when)]

    def _outcome(self, text: str | None = None) -> list[WordedClaim] | None:
        text = re.sub(r"^(?:in|it|to|us|with|back)\s+", "", self.text if text is None else text)
        if final := re.fullmatch(
            r"the (?:final )?output(?: string| list)?(?: of| being| as|:)? (⟦\d+⟧)", text, re.I
        ):
            value = self._literal(final[1])
            return None if value is None else [self._claim("return", None, value)]
        if empty := MAKES_EMPTY.match(text):
            noun = read_noun(empty["x"], self.atoms)
            return None if noun is None else [self._about(noun, EMPTY[empty["t"].lower()], "after")]
        match = VERB.match(text)
        noun = None if match is None else self._subject(match["s"])
        found = None if match is None or noun is None else self._value(match["c"])
        if noun is not None and found is not None:
            self._rest(found[1])
            return [self._about(noun, found[0], "after")]
        if pair := re.match(rf"^(?:the )?(?:\w+ )?(?P<x>⟦\d+⟧) {FILLER}(?P<v>⟦\d+⟧)$", text):
            noun, value = read_noun(pair["x"], self.atoms), self._literal(pair["v"])
            if noun is not None and value is not None:
                return [self._about(noun, value, "after")]
        found = self._value(text)
        if found is None:
            return None
        self._rest(found[1])
        changed, self.memory.noun = self.memory.changed, Noun((found[0],))
        if self.clause.link in ("resulting", "giving", "making", "leading") and changed is not None:
            return [self._about(changed, found[0], "after")]
        if self.clause.link == "returning":
            return [self._claim("return", None, found[0])]
        return [self._claim("outcome", None, found[0])]

    def _possession(self) -> list[WordedClaim] | None:
        match = POSSESSION.match(f"which {self.text}" if self.clause.link == "which" else self.text)
        if match is None:
            return None
        noun, found = self._subject(match["s"]), read_possession(match["c"], self.atoms)
        if noun is None or found is None:
            return None
        self._use_all(match["c"])
        return [self._test(noun, *found, "any")]

    def _calls(self) -> list[WordedClaim] | None:
        match = CALLED.search(self.text)
        if match is None:
            return None
        claims = []
        receiver = match[0].endswith(" on")  # "is called on 'ab'" names no argument
        for number in map(int, ATOM_NUMBER.findall(self.text[match.end() - 1 :])):
            atom = self.atoms[number]
            if atom.literal and not receiver:
                self.used.add(number)
                claims.append(self._claim("called", None, atom.text))
            claims += self._equations(number, "start")
        named = re.findall(r"⟦(\d+)⟧ (?:=|as|set to) ⟦(\d+)⟧", self.text)
        for name, value in named:
            if self.atoms[int(value)].literal and self.atoms[int(name)].text.isidentifier():
                claims.append(
                    self._claim("value", self.atoms[int(name)].text, self.atoms[int(value)].text,
                                when="call")
                )  # fmt: skip
        return claims or None

    def _bare(self) -> list[WordedClaim] | None:
        """Reads code that states a value itself, "`x = 5`", "`a + b = 3 + 4 = 7`"."""
        numbers = list(map(int, ATOM_NUMBER.findall(self.text)))
        claims = [claim for number in numbers for claim in self._equations(number, "after")]
        if claims and is_plain(self.text):
            return claims
        noun = read_noun(self.text, self.atoms)
        if noun is not None and noun.expressions and not self._is_literal(noun.expressions[0]):
            self.memory.noun = noun
            if self.atoms[numbers[0]].text.startswith("return "):
                return [self._claim("code", self.atoms[numbers[0]].text, "")]
            return claims
        alone = VALUE_ALONE.fullmatch(self.text)
        if self.memory.colon and self.memory.named is not None and len(numbers) == 1:
            named, self.memory.named = self.memory.named, None
            value = constant_of(self.atoms[numbers[0]])  # "the sum is calculated: 1 + 2 = 3"
            if value is not None:
                self.used.add(numbers[0])
                return [*claims, self._about(named, value, "any")]
        if alone is not None and self.memory.colon and (sized := self.memory.sized) is not None:
            value = self._literal(alone["v"])  # "has two elements: [1, 2]"
            others = re.search(r"⟦\d+⟧,? (?:and |or )?⟦\d+⟧", self.clause.text) is not None
            if value is not None and value[:1] in tuple("[{(") and not others:
                self.memory.sized = None
                size = self._claim("test", f"len({value}) == {self.memory.size}", "True")
                return [self._about(sized, value, "any"), size]
        if alone is not None and (self.clause.link == "which" or self.memory.colon):
            value = self._literal(alone["v"])
            if value is not None and self.memory.returning:
                return [self._claim("return", None, value)]
            if value is not None and self.memory.colon and self.memory.beside:
                return [self._claim("refer", None, value, noun=Noun((), "value"))]
            if value is not None and self.memory.colon and self.memory.made:
                return [self._claim("outcome", None, value, when="hint")]
            self.used.discard(int(alone["v"][1:-1]))
        return claims or None


def read_question(asked: str, atoms: Sequence[Atom]) -> tuple[str, bool] | None:
    """Returns the test that a masked condition states, and whether it is to hold."""
    clause = Clause(asked, "", False, False, 0, len(asked))
    told = ClauseReader(clause, atoms, Memory()).question(asked.strip())
    if told is None or told.kind not in ("test", "branch") or told.subject is None:
        return None
    return told.subject, told.value == "True"
