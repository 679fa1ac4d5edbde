"""Reads the parts of one clause: its subject, the values in it, the code that states values."""

import ast
import dataclasses
import functools
import re
from collections.abc import Sequence

from data_pipeline.verify.clause_cutting import Clause
from data_pipeline.verify.clause_patterns import (
    CALLED,
    CITED,
    EMPTY,
    IN_TURN,
    OPENING,
    PROCESSED,
    PRONOUNS,
    VALUE,
)
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.masking import ATOM_NUMBER, Atom, is_literal
from data_pipeline.verify.nouns import Noun, read_noun
from data_pipeline.verify.ordinals import INDEXES
from data_pipeline.verify.plain_words import is_plain
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import WordedClaim


@dataclasses.dataclass
class Memory:
    """Holds what pronouns may mean: the noun read last, and whether a return was being told."""

    noun: Noun | None = None
    returning: bool = False
    names: list[str] = dataclasses.field(default_factory=list)  # variables of the line so far
    checked: bool = False  # whether a test was being told
    asked: "WordedClaim | None" = None  # what that test asks, as if it held
    carried: bool = False  # whether that was told in the line before
    compared: tuple[str, str] | None = None  # what was compared
    sized: Noun | None = None  # what the clause before counts the elements of
    beside: bool = False  # whether the clause before is "before insertion", "after sorting"
    changed: Noun | None = None  # the variable that the clause before sets to code
    named: Noun | None = None  # what the clause before says is computed
    size: str = ""  # how many elements it says there are
    colon: bool = False  # whether the clause stands behind a colon
    made: bool = False  # whether the clause before that colon tells that something is made
    fresh: bool = False  # whether the clause just read has set what "which" means


_EMPTY_VALUE = screened(r"^(?:to |as |with )?an? (?:new )?empty (?P<t>\w+)(?P<rest>.*)$")
_GLOSS = re.compile(
    r"(?!.*\b(?:no|not|n't|only|all|every|each|first|last|"
    r"same|unchanged|always|never|more|less|greater|smaller|true|false|empty)\b)"
    r"[a-z ,'-]+",
    re.I,
)


_SAYS_A_VALUE = re.compile(
    r"\w (?:is|are|becomes|equals|remains) (?:still |now |also |again |then )?⟦\d+⟧\W*$", re.I
)

_SAYS_IT_IS_IN = re.compile(
    r"⟦\d+⟧ (?:is|are) (?:indeed |already |also |now )?(?:not )?(?:an? |the )?(?:valid )?"
    r"(?:key |element |item |member |value |character )?(?:present )?(?:in|of) (?:the |⟦)",
    re.I,
)


_IS_CHANGED = re.compile(
    r"⟦(\d+)⟧ (?:is|are|was|were|gets?) (?:then |now |also )?(?:stripp|trimm|revers|replac|convert|"
    r"transform|modifi|chang|swapp|capitali[sz]|translat|sort|slic|padd|center|encod|decod|"
    r"shorten|truncat|split)(?:ed)?\b",
    re.I,
)


class ClauseParts:
    """Reads the parts of one clause: values, subjects, equations; and words claims."""

    def __init__(self, clause: Clause, atoms: Sequence[Atom], memory: Memory):
        self.clause, self.atoms, self.memory = clause, atoms, memory
        text = CITED.sub("", clause.text).lstrip(" -–—") or clause.text  # also "[L6]-[L7]"
        while (shorter := OPENING.sub("", text, count=1).strip()) != text and shorter:
            text = shorter
        self.text = IN_TURN.sub("", text) or text
        self.used: set[int] = set()
        self.rest = ""

    def _equations(self, number: int, when: str) -> list[WordedClaim]:
        claims = equations(self.atoms[number], when)
        if claims:
            self.used.add(number)
        return claims

    def _subject(self, text: str) -> Noun | None:
        text = text.strip(" ,:")
        if not text:
            return None
        noun = read_noun(text, self.atoms)
        if noun is None and (pointed := re.search(
            r"\b(?:element|item|character|char|value|letter|digit|entry|word|number|key|pair) at "
            r"(?:the )?(?:index|position) (⟦\d+⟧)$", text, re.I,
        )):  # fmt: skip
            index = self._literal(pointed[1]) or self.atoms[int(pointed[1][1:-1])].text
            return Noun((), f"at {index}")
        if noun is None and (nth := re.fullmatch(
            rf"(?:the )?(?P<o>{'|'.join(INDEXES)}) "
            r"(?:element|item|character|word|part|value|letter)", text, re.I,
        )):  # fmt: skip
            return Noun((), f"at {INDEXES[nth['o'].lower()]}")
        if noun is None and (under := re.fullmatch(
            r"(?:the )?(?:corresponding )?value (?:associated with|stored under|for|under)(?: the)?"
            r"(?: key)? (⟦\d+⟧)", text, re.I,
        )):  # fmt: skip
            self._use_all(text)
            return Noun((), f"at {self.atoms[int(under[1][1:-1])].text}")
        if noun is not None and noun.expressions:
            self._use_all(text)
        return None if noun is None else self._resolve(noun)

    def _is_literal(self, code: str) -> bool:
        return is_literal(code)

    def _resolve(self, noun: Noun) -> Noun:
        if not noun.expressions and noun.word in PRONOUNS and self.memory.noun is not None:
            if self.clause.link == "which" or noun.word in ("which", "that"):
                return self.memory.noun
            self.weak = self.memory.noun.expressions
        return noun

    weak: tuple[str, ...] = ()
    _last: int | None = None

    def _value(self, text: str) -> tuple[str, str] | None:
        """Returns (the value at the start of a text, what follows it)."""
        text = text.strip()
        if (
            (empty := _EMPTY_VALUE.match(text))
            and empty["t"].lower() in EMPTY
            and "⟦" not in empty["rest"]
        ):
            return EMPTY[empty["t"].lower()], empty["rest"]
        match = VALUE.match(text)
        if match is None:
            return None
        value = self._literal(match["v"])
        return None if value is None else (value, match["rest"])

    def _literal(self, masked: str) -> str | None:
        number = int(masked[1:-1])
        self._last = number
        text = constant_of(self.atoms[number])
        if text is not None:
            self.used.add(number)
        return text

    def _use_all(self, text: str) -> None:
        self.used |= set(map(int, ATOM_NUMBER.findall(text)))

    def _rest(self, rest: str) -> None:
        """Notes whether what follows a value was left unread."""
        if not is_plain(rest):
            self.rest = rest

    def _given_call(self, rest: str) -> list[WordedClaim]:
        if not CALLED.search(rest):
            return []
        self.text, self.rest = rest, ""
        return self._calls() or []

    def _about(self, noun: Noun, value: str, when: str) -> WordedClaim:
        if noun.expressions:
            first, *others = noun.expressions
            if self._is_literal(first) and when == "after":
                return self._claim("outcome", None, value)
            if value in ("True", "False") and not first.isidentifier():
                return self._claim("branch", first, value)
            return self._claim("value", first, value, when=when, others=tuple(others))
        if value in ("True", "False") and noun.word in (
            "condition", "check", "test", "comparison", "it", "this", "which", "expression",
            "statement", "conditions",
        ):  # fmt: skip
            return self._claim("branch", None, value)
        return dataclasses.replace(self._claim("refer", None, value, when=when), noun=noun)

    def _test(self, noun: Noun, template: str, holds: bool, when: str) -> WordedClaim:
        if noun.expressions:
            tests = [template.replace("{s}", _wrapped(x)) for x in noun.expressions]
            return self._claim("test", tests[0], str(holds), when=when, others=tuple(tests[1:]))
        if self.weak:
            tests = [template.replace("{s}", _wrapped(x)) for x in self.weak]
            when = when if self._is_literal(self.weak[0]) else "hint"
            return self._claim("test", tests[0], str(holds), when=when, others=tuple(tests[1:]))
        claim = self._claim("refer test", template, str(holds), when=when)
        return dataclasses.replace(claim, noun=noun)

    def _claim(self, kind: str, subject: str | None, value: str, **more) -> WordedClaim:
        return WordedClaim(kind, self.spell(self.text), subject, value, **more)

    def is_harmless(self) -> bool:
        if _SAYS_A_VALUE.search(self.text) and self._is_literal_at_end():
            return False
        if _SAYS_IT_IS_IN.search(self.text):
            return False
        if (changed := _IS_CHANGED.search(self.text)) and self.atoms[int(changed[1])].literal:
            return False  # "'ab!' is stripped" is false of a text that was "'ab'" before
        if PROCESSED.fullmatch(self.text) or PROCESSED.fullmatch(self.clause.text):
            return True
        return (not self.clause.hypothetical and is_plain(self.text)) or self._is_gloss()

    def _is_literal_at_end(self) -> bool:
        last = re.search(r"⟦(\d+)⟧\W*$", self.text)
        if last is None or self.atoms[int(last[1])].text in ("True", "False"):
            return False  # of a condition, which the flow of the run is read for
        return self.atoms[int(last[1])].literal

    def _is_gloss(self) -> bool:
        """Returns whether brackets hold words that only explain: "(the part before the space)"."""
        return self.clause.aside and bool(_GLOSS.fullmatch(self.text))

    def left(self, claims: list[WordedClaim] | None) -> list[str]:
        """Returns the values in the clause that no claim took up."""
        return [
            self.atoms[number].text
            for number in map(int, ATOM_NUMBER.findall(self.clause.text))
            if number not in self.used and self.atoms[number].literal
        ]

    def variables(self) -> list[str]:
        """Returns the variables that the clause names."""
        texts = (self.atoms[int(n)].text for n in ATOM_NUMBER.findall(self.clause.text))
        return [text for text in texts if text.isidentifier() and not is_literal(text)]

    def spell(self, text: str) -> str:
        return ATOM_NUMBER.sub(lambda m: self.atoms[int(m[1])].text, text).strip(" .,;:")


def _wrapped(code: str) -> str:
    return code if re.fullmatch(r"[\w.]+(?:\[\w+\])?|'[^']*'|\"[^\"]*\"", code) else f"({code})"


def constant_of(atom: Atom) -> str | None:
    """Returns the value that code states by itself: "3", "1 + 2", "1 + 2 = 3"; else None."""
    if atom.literal:
        return atom.text
    parts = _equation_parts(atom.text)
    last = parts[-1] if parts else atom.text
    try:
        return repr(evaluate(last, None))
    except Unknown:
        return None


def equations(atom: Atom, when: str = "after") -> list[WordedClaim]:
    """Returns the claims of code that states a value: "x = 5", "a + b = 3 + 4 = 7"."""
    if atom.literal or "=" not in atom.text or len(atom.text) > 2000:
        return []
    parts = _equation_parts(atom.text)
    if len(parts) < 2:
        return []
    try:
        value = repr(evaluate(parts[-1], None))
    except Unknown:
        return []
    claims = []
    for part in parts[:-1]:
        text = f"{part} = {parts[-1]}"
        at = when if part.isidentifier() else "any"
        claims.append(WordedClaim("value", text, part, _spelling(parts[-1], value), at))
    return claims


def _spelling(code: str, value: str) -> str:
    """Returns a literal as it was written, a sum as its value."""
    try:
        ast.literal_eval(code)
        return code
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value


@functools.lru_cache(maxsize=4096)
def _equation_parts(text: str) -> Sequence[str]:
    parts = [part.strip() for part in re.split(r"(?<![=!<>:+\-*/%&|^])=(?!=)", text)]
    if len(parts) < 2:
        return []
    try:
        for part in parts:
            ast.parse(part, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return parts
