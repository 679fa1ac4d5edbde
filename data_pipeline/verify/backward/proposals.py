"""Reads the inputs that a backward monologue tries out, and what it tells of each one's run.

"If we try `text = "ab"`:" proposes a call; the lines below it tell that call's run, up to the next
proposal or heading: "For `i = 1` (character `'b'`):", "`text.upper()` returns `"AB"`", "Total:
`1 + 2 = 3`", "This does not satisfy the condition". In a recursive function, "`f` is called with
`n` = 2" starts the lines on an inner call in the same way. A proposal that does not give every
argument as a literal is unread, and so is what stands below it.
"""

import dataclasses
import functools
import re

from data_pipeline.source.literals import parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.examples import RunCall
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.trials import Trial
from data_pipeline.verify.backward.turns import TurnValues
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import SECTION, mark_code, without_bold
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.reading import JudgedClaim, Reading
from data_pipeline.verify.values import compare

_BULLET = re.compile(r"^\s*(?:[-*•+]\s+|\d+[.)]\s+)?")
_TRIES = re.compile(
    r"\b(?:if we (?:consider|try|take|use|choose|pick|set|test|start with|assume)|let'?s"
    r" (?:consider|try|take|test|use|assume|say|check)|let us (?:consider|try|take|test|use|check)"
    r"|(?:we )?(?:can |could |now )?(?:try|test|consider)(?:ing)?(?: with)?|testing|trying|suppose"
    r"|we (?:can|could|may) (?:use|choose|take)|we find that"
    r"|(?:an?|the|one|another) (?:(?:suitable|valid|possible|simple|good) )?(?:input|example"
    r"|candidate|possibility|option|choice)"
    r"(?: (?:list|string|text|number|dictionary))? (?:could|can|might|may|would) be)\b",
    re.I,
)
_CALLED = re.compile(r"^`(?P<name>\w+)` is (?:then )?called (?:again )?(?:with|on) ", re.I)
_BACK = re.compile(r"^(?:back in|with|after) ", re.I)
_OTHER = re.compile(rf"^(?:\w+, |or |and )?{ATOM} (?:would|could|might|can)\b", re.I)
_LABELLED = re.compile(r"^\s*(?:[-*•+]|\d+[.)])?\s*\*\*")
_VALUE = r"(?:returns?|gives?|is|equals|=|==|evaluates to|becomes|yields|produces|results in)"
_TOLD = re.compile(rf"`(?P<code>[^`]+)` (?:\w+ly )?{_VALUE} (?:equal to )?(?P<told>{ATOM})", re.I)
_INSIDE = re.compile(r"`(?P<code>[^`=<>!]+?) ?==? ?(?P<told>[^`=]+)`")
_TURN = re.compile(
    r"(?:(?:for|when|at|with|if) )?`(?P<name>[a-z_]\w*) ?==? ?(?P<value>[^`]+)`"
    r"(?: \((?:the )?(?:character|char|letter|element|item|value|number|digit|word) (?:is )?"
    rf"(?P<item>{ATOM})(?: again)?\))?", re.I,
)  # fmt: skip
_TOTAL = re.compile(r"(?:the )?(?:total|sum)(?: (?:is|sum is|becomes|would be))?:? `(?P<sum>[^`]+)`"
                    rf"(?: (?:=|is|which is) (?P<told>{ATOM}))?", re.I)  # fmt: skip
_GOOD = re.compile(
    r"^(?:so,? |thus,? |therefore,? |hence,? |however,? |but )?(?:this|it|that|the (?:input|string"
    r"|list|result))(?: (?:input|string|list|result|one|call|output))?(?: also| indeed| clearly)?"
    r"(?: (?P<no>(?:does|would|will|did|is|do) not|doesn't|won't|isn't|wouldn't|fails to|cannot)"
    r"| does| would| will)?(?: also| indeed)? (?:works?|match(?:es)?|satisf(?:y|ies)|meets?"
    r"|gives?|fulfills?|yields?|produces?)(?: (?:us )?(?:the |our )?(?:(?:desired|expected|required"
    r"|given|target|correct|output|final) )*(?:conditions?|requirements?|constraints?|output"
    rf"|result|goal|assertion|target)(?: (?:of|for|that it returns) (?P<of>{ATOM}))?)?"
    r"(?: either| too| as well)?$", re.I,
)  # fmt: skip
_WORKS = re.compile(rf"(?:and |or |the (?:string|list|input|number|dictionary) )*(?P<value>{ATOM})"
                    r" (?P<no>(?:does|would|will) not |doesn't |won't )?(?:would |will )?"
                    r"(?:works?|satisf(?:y|ies) the (?:condition|requirement)s?)(?![\w ]*\bif\b)",
                    re.I)  # fmt: skip
_ALL_WORK = re.compile(
    rf"(?P<all>{ATOM}(?:(?:, or|, and|,| or| and) {ATOM})*) (?:would|will)(?: both| all| also)?"
    r" work(?=$|[.,;])", re.I,
)  # fmt: skip
_LONG = re.compile(
    rf"(?P<text>{ATOM})(?:,? \(?which| itself)? (?:is|has)(?: already| exactly| a length of)*"
    r" `?(?P<count>\d+)`? characters?(?: long|(?=$|[.,;)]))", re.I,
)  # fmt: skip
_RESULT = re.compile(
    r"(?:the |this )?(?:function|call|final result|result|output)(?: (?:will|would|then|also))*"
    r" (?:returns?|is|gives?|be|produces?)(?: then)?(?: (?:`[^`]*`,? )?which (?:results in|gives|is"
    rf"|becomes|evaluates to|equals|yields))? (?P<told>{ATOM})|^so (?:it|this) (?:returns|gives)"
    rf" (?P<told2>{ATOM})|(?:would|will) (?:give|return|yield|produce) (?:us )?(?P<told3>{ATOM})",
    re.I,
)  # fmt: skip
_OFFERS = re.compile(r"\b(?:we (?:can|could|may) (?:use|choose|take)|(?:can|could|might) be)\b"
                     r"(?!.*\b(?:if|where|any)\b)", re.I)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Below:
    """Holds the call that the lines below a proposal are about.

    inner: whether it is a recursive call of the witness's own run.
    """

    trial: Trial
    inner: bool
    own: bool


class Proposals:
    """Reads the lines of a backward monologue, in order, as told of the inputs it proposes."""

    def __init__(self, run: Replay, goal: str, run_call: RunCall | None):
        self.witness, self.run_call = Witness(run, goal), run_call
        self.turns = TurnValues(self.witness.code)
        self.below: _Below | None = None
        self.turn: dict[str, str] = {}
        self.section, self.opens = "", False
        self.level, self.deeper = 0, False

    def read(self, section: str, line: str) -> Reading | None:
        """Judges a line on the proposal that it makes or stands below; None if it is unread."""
        if section != self.section:
            self.below, self.section = None, section
        if not SECTION.search(section) or "function" in section:
            return None
        text = mark_code(without_bold(_BULLET.sub("", line, count=1))).strip(" .:*")
        self.opens = opened = self._open(text)
        if not opened and (_LABELLED.match(line) or _OTHER.match(text) or self._is_back(text)):
            self.below = None
        level = _level(line)
        self.level = level if opened else self.level
        self.deeper = level > self.level
        if wrong := self._misses(text) or self._wrong_length(text):
            return Reading(tuple(wrong))
        if self.below is None:
            return None
        claims = [] if opened and self.below.inner else self._claims(text, opened)
        return Reading(tuple(claims)) if claims else None

    @property
    def elsewhere(self) -> bool:
        """Tells whether the line read last is about another call than the witness's."""
        if self.below is None or self.below.own or self.opens:
            return False
        return self.below.inner or self.deeper

    def keeps(self, reading: Reading | None) -> Reading | None:
        """Takes back what the witness's run says of a line that is about another call."""
        if reading is None or not self.elsewhere:
            return reading
        return Reading((), (*reading.unread, *(claim.text for claim in reading.claims)))

    # ---- lines that need no proposal above them

    def _misses(self, text: str) -> list[JudgedClaim]:
        """Contradicts "`[1]` or `[2]` would work" if one of them misses the output."""
        match = _ALL_WORK.search(text)
        if match is None or len(self.witness.arguments) != 1:
            return []
        [name] = self.witness.arguments
        given = filter(None, map(literal_of, re.findall(ATOM, match["all"])))
        for trial in [self._trial({name: value}) for value in given]:
            if trial.ended and not _same(self.witness.goal, str(trial.result)):
                return [trial.claim(text, held=False)]
        return []

    def _wrong_length(self, text: str) -> list[JudgedClaim]:
        """Contradicts "`"abc"` (which is already 4 characters long)"."""
        for match in _LONG.finditer(text):
            value = literal_of(match["text"])
            if value and _kind(value) is str:
                count = len(parse_literal(value))
                if count != int(match["count"]):
                    truth = f"{value} has {count} characters"
                    return [JudgedClaim("answer", match[0][:80], CONTRADICTED, truth)]
        return []

    # ---- proposals

    def _open(self, text: str) -> bool:
        """Begins a proposal, if the line makes one; forgets the last if it is not literal."""
        called = _CALLED.match(text)
        inner = bool(called and called["name"] == self.witness.function)
        tries = _TRIES.search(text)
        if not inner and tries is None:
            return False
        told = text[called.end() if inner and called else tries.start() if tries else 0 :]
        given = self._arguments(told)
        self.turn = {}
        self.below = None if given is None else self._begin(given, inner)
        return self.below is not None

    def _is_back(self, text: str) -> bool:
        return self.below is not None and self.below.inner and bool(_BACK.match(text))

    def _begin(self, given: dict[str, str], inner: bool) -> _Below:
        trial = self._trial(given)
        real = self.witness.arguments
        return _Below(trial, inner, all(_same(given[name], real[name]) for name in real))

    def _trial(self, given: dict[str, str]) -> Trial:
        real = self.witness.arguments
        if all(_same(given[name], real[name]) for name in real):
            raised = self.witness.run.trace.raised
            return Trial(self.witness, given, self.witness.result or f"raises {raised}")
        call = self.witness.call_of(given)
        return Trial(self.witness, given, self.run_call(call) if self.run_call else None)

    def _arguments(self, text: str) -> dict[str, str] | None:
        """Returns the literal of every parameter; None if one is missing or told twice."""
        pattern = _named(tuple(self.witness.arguments))
        given: dict[str, str] = {}
        for match in pattern.finditer(text):
            value = literal_of(match["value"] or match["atom"])
            if value is None or given.setdefault(match["inner"] or match["name"], value) != value:
                return None
        left = pattern.sub(" ", text)
        rest = [name for name in self.witness.arguments if name not in given]
        if len(rest) == 1 and (value := self._unnamed(rest[0], left)):
            given[rest[0]] = value
        return given if given.keys() == self.witness.arguments.keys() and given else None

    def _unnamed(self, name: str, text: str) -> str | None:
        """Returns the only literal in a text that can be the argument of a parameter."""
        found = {value for atom in re.findall(ATOM, text) if (value := literal_of(atom))}
        alike = [v for v in found if _kind(v) is _kind(self.witness.arguments[name])]
        return alike[0] if len(alike) == 1 else None

    # ---- what is told of them

    def _claims(self, text: str, opened: bool) -> list[JudgedClaim]:
        readers = [self._works] if opened else [self._turn, self._total, self._good, self._values]
        for read in readers:
            if claims := read(text):
                return claims
        result = None if opened and not _RESULT.search(text) else self._result(text)
        return result or (self._offered(text) if opened else [])

    def _turn(self, text: str) -> list[JudgedClaim]:
        """Judges "For `i = 1` (character `'b'`)" by the values that the loop gives `i`."""
        match = _TURN.fullmatch(text)
        value = literal_of(match["value"]) if match else None
        if match is None or value is None or self.below is None:
            return []
        values = self.turns.of(match["name"], self.below.trial)
        self.turn = {match["name"]: value}
        if values is None:
            return []
        real = [repr(one) for one in values]
        if not any(_same(value, one) for one in real):
            shown = f"{match['name']} is {', '.join(real[:8]) or 'never set'}"
            return [self._claim(text, False, shown)]
        if match["item"] and (code := self.turns.item(match["name"])):
            truth = self._evaluate(code)
            told = literal_of(match["item"])
            if truth is None or told is None:
                return []
            if not _same(told, truth):
                return [self._claim(text, False, f"{code} is {truth}")]
        elif match["item"]:
            return []
        complete = self.turns.is_complete(match["name"]) and self.below.trial.ended
        return [self._claim(text, True, f"{match['name']} is {value}")] if complete else []

    def _total(self, text: str) -> list[JudgedClaim]:
        """Judges "Total: `1 + 2 = 3`" by the result, and its terms by what the loop adds."""
        match = _TOTAL.fullmatch(text)
        if match is None or self.below is None or not self.below.trial.ended:
            return []
        added, _, inside = match["sum"].partition("=")
        told = literal_of(match["told"] or inside or added)
        real = self.below.trial.result or "None"
        if told is None or not self.turns.adds_up:
            return []
        if not _same(told, real):
            return [self._claim(text, False, f"it returns {real}")]
        terms, start = self.turns.terms(self.below.trial)
        listed = [literal_of(term) for term in added.split("+")]
        if None in listed or terms is None:
            return []
        if listed in (terms, [told]):
            return [self._claim(text, True, f"it returns {real}")]
        if listed == [start, *terms]:
            return []
        return [self._claim(text, False, f"the loop adds {' + '.join(terms)}")]

    def _good(self, text: str) -> list[JudgedClaim]:
        """Judges "This does not satisfy the condition of `3`"."""
        match = _GOOD.match(text)
        if match is None or (match["of"] and not _same(match["of"].strip("`"), self.witness.goal)):
            return []
        return self._reaches(text, bool(match["no"]))

    def _works(self, text: str) -> list[JudgedClaim]:
        """Judges "the string `"aab"` works" of the input that the line proposes."""
        match = _WORKS.search(text)
        return self._reaches(text, bool(match["no"])) if match else []

    def _offered(self, text: str) -> list[JudgedClaim]:
        """Contradicts "we can use `"ab"` with `n` as `2`" if that call misses the output."""
        several = len(self.witness.arguments) > 1
        if not several or not _OFFERS.search(text) or re.search(r"\bnot\b|n't", text):
            return []
        claims = self._reaches(text, denied=False)
        return [claim for claim in claims if claim.verdict == CONTRADICTED]

    def _reaches(self, text: str, denied: bool) -> list[JudgedClaim]:
        outcome = self.below.trial.outcome if self.below else None
        if outcome is None or outcome == "does not end" or (self.below and self.below.inner):
            return []
        reached = not outcome.startswith("raises ") and _same(self.witness.goal, outcome)
        return [self._claim(text, reached is not denied, f"it returns {outcome}")]

    def _result(self, text: str) -> list[JudgedClaim]:
        """Judges "the function will then return `a + b`, which results in `3`"."""
        match = _RESULT.search(text)
        told = match and literal_of(match["told"] or match["told2"] or match["told3"])
        real = self.below.trial.result if self.below else None
        if not match or told is None or real is None or re.search(r"\bif\b|\bnot\b|n't", text):
            return []
        if re.search(r"\b(?:must|should|need|want|given|expected|desired|goal)", text, re.I):
            return []
        same = _same(told, real)
        if same and text[match.end() :].strip(" ."):
            return []
        return [self._claim(text, same, f"it returns {real}")]

    def _values(self, text: str) -> list[JudgedClaim]:
        """Judges "`text.rpartition('a')` returns `('', 'a', 'b')`, so `len('')` is `0`"."""
        found = []
        pieces = re.split(r",? (?:so|and|thus|hence|therefore) (?=`)|, (?=`)|; ", text)
        for piece in pieces:
            match = _TOLD.fullmatch(piece.strip()) or _INSIDE.fullmatch(piece.strip())
            told = literal_of(match["told"]) if match else None
            real = self._evaluate(match["code"]) if match else None
            if match is None or told is None or real is None:
                found.append(None)
            else:
                found.append(self._claim(piece, _same(told, real), f"{match['code']} is {real}"))
        claims = [claim for claim in found if claim is not None]
        wrong = [claim for claim in claims if claim.verdict == CONTRADICTED]
        return wrong if None in found else claims

    def _evaluate(self, code: str) -> str | None:
        """Returns the value of code with the proposal's arguments; None if it may change."""
        if self.below is None or not self.turns.is_fixed(code, {*self.turn}):
            return None
        try:
            given = {**self.below.trial.arguments, **self.turn}
            return repr(evaluate(code, Trial(self.witness, given, None).state))
        except Unknown:
            return None

    def _claim(self, text: str, held: bool, truth: str) -> JudgedClaim:
        call = self.below.trial.call_of(self.below.trial.arguments) if self.below else ""
        verdict = CONFIRMED if held else CONTRADICTED
        return JudgedClaim("answer", text[:80], verdict, f"{call}: {truth}")


@functools.lru_cache(maxsize=64)
def _named(parameters: tuple[str, ...]) -> re.Pattern[str]:
    """Finds "`text = "ab"`", "`text` to be `"ab"`", "the prefix `"ab"`" of the parameters."""
    names = "|".join(map(re.escape, parameters)) or "(?!)"
    return re.compile(
        rf"`(?P<inner>{names}) ?= ?(?P<value>[^=`][^`]*)`|(?P<tick>`?)\b(?P<name>{names})(?P=tick)"
        rf"(?: ?= ?| (?:to be|be|as|to|is|with the value|of) | )(?P<atom>{ATOM})"
    )


def _level(line: str) -> int:
    """Returns how deep a line stands: by its indent, and a bullet below a plain line."""
    text = line.lstrip()
    return 2 * (len(line) - len(text)) + bool(text[:1] in "-*•+" or text[:1].isdigit())


def _same(told: str, real: str) -> bool:
    return compare(told, real) == CONFIRMED


def _kind(text: str) -> type:
    try:
        return type(evaluate(text, None))
    except Unknown:
        return type(None)
