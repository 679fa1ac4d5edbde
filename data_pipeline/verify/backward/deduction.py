"""Reads lines of a backward monologue that reason from the output to an input.

The run is that of the call which the monologue answers with, its witness. The output given is no
step. A constraint that every input is said to satisfy must hold for the witness; an example or an
alternative is judged by its own run, if the caller can supply it.
"""

import dataclasses
import re

from data_pipeline.source.literals import parse_literal
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.answer import literal_of
from data_pipeline.verify.backward.behaviour import Behaviour, sentences_of
from data_pipeline.verify.backward.choices import Choices
from data_pipeline.verify.backward.domains import Domains
from data_pipeline.verify.backward.examples import Examples, RunCall
from data_pipeline.verify.backward.explanations import Explanations
from data_pipeline.verify.backward.faults import Faults
from data_pipeline.verify.backward.instances import Instances
from data_pipeline.verify.backward.necessities import Necessities
from data_pipeline.verify.backward.nouns import ATOM
from data_pipeline.verify.backward.offers import Offers
from data_pipeline.verify.backward.orders import Orders
from data_pipeline.verify.backward.plain import plain_statement
from data_pipeline.verify.backward.properties import Properties
from data_pipeline.verify.backward.run import RunLines
from data_pipeline.verify.backward.trials import Trial, Trials
from data_pipeline.verify.backward.witness import Witness
from data_pipeline.verify.backward.wording import (
    ASIDE,
    ASSIGNED,
    ASSUME,
    BOUNDS,
    CHOICE,
    COMMENT,
    COUNT_NOUN,
    COUNTED,
    COUNTS,
    EQUATION,
    FILLERS,
    GIVES,
    IF,
    INPUT,
    LENGTH,
    LISTED,
    MARKUP,
    MEMBERS,
    NECESSARY,
    NECESSITY,
    OFFERED,
    PART,
    PREPARED,
    PRESENT,
    SAYS_GOOD,
    SECTION,
    SOUGHT,
    SUM,
    TAIL,
    TALK,
    THIS,
    VALUES,
    VALUES_ALONE,
    mark_code,
    resolve_these,
    split_statements,
    without_bold,
)
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.conditions import read_condition
from data_pipeline.verify.descriptions import read_description
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.lexicon import Phrase, read_tokens
from data_pipeline.verify.reading import JudgedClaim, Reading
from data_pipeline.verify.values import compare


def read_backward(
    run: Replay,
    section: str,
    line: str,
    *,
    run_call: RunCall | None = None,
    goal: str | None = None,
) -> Reading | None:
    """Judges a line of a backward monologue; None if the line is not of its kind.

    Args:
      run: the run of the monologue's own answer.
      section: the heading that the line stands under, in lower case.
      line: the line.
      run_call: returns the result of another call of the program as text, or "raises …", None if
        unknown; without it, examples that are not the witness are unread.
      goal: the output that an input is looked for, as a literal; the run's own result if None.
    """
    if not SECTION.search(section) or "function" in section:
        return None
    text = without_bold(MARKUP.sub("", line, count=1)).strip().removesuffix(":").strip()
    text = ASIDE.sub("", COMMENT.sub(r"\1", text))
    witness = Witness(run, goal)
    reader, told = _Lines(witness, run_call), RunLines(run, witness)
    behaviour, choices = Behaviour(witness, run_call), Choices(reader.trials)
    domains = Domains(behaviour.trials)
    faults, explanations = Faults(run, witness), Explanations(run, witness)
    outputs = tuple(one for one in (witness.goal, witness.result) if one is not None)
    offers, orders = Offers(reader.trials), Orders(reader.trials)
    if witness.has_entry(MARKUP.sub("", line, count=1)):
        return Reading((_claim(text[:80], CONFIRMED, witness.shown),), ())
    claims: list[JudgedClaim] = []
    unread: list[str] = []
    for number, sentence in enumerate(sentences_of(text)):
        restated = number == 0 and "output constraint" in line.lower()
        claims += faults.find(_MEANING.split(sentence, maxsplit=1)[-1] if restated else sentence)
        if "conclusion" in section:
            claims += explanations.find(sentence)
        if whole := told.read(sentence) or choices.read(sentence):
            claims += whole
            continue
        if whole := reader.instances.read(sentence):
            claims += whole
            continue
        if whole := orders.read(sentence):
            claims += whole
            continue
        if not restated and (whole := behaviour.read(sentence) or domains.read(sentence)):
            claims += whole
            continue
        if supposed := reader.necessities.supposed(sentence):
            claims += supposed
            continue
        first, left = len(claims), len(unread)
        reader.begin(sentence)
        sentence = _WHY.sub(r" because \1", sentence)
        for piece in split_statements(mark_code(sentence, values=False), outputs):
            found = told.read(piece)
            found = _at_its_time(piece, reader.read(piece), witness) if found is None else found
            found = _described(run, piece) if found is None else found
            found = explanations.told(piece) if found is None else found
            found = reader.necessities.read(piece) if found is None else found
            if found is None:
                unread.append(piece)
            else:
                claims += found
        claims += reader.examples.offered(sentence)
        if promise := reader.examples.promised(sentence, reader.named):
            claims += promise
            whole = mark_code(sentence, values=False)
            unread = [piece for piece in unread if piece not in whole]
        if len(claims) == first and (offered := offers.read(sentence)):
            claims += offered
            del unread[left:]
    return Reading(tuple(claims), tuple(unread))


_WHY = re.compile(r",? \((?:since|because) ((?:[^()`]|`[^`]*`)*)\)")
_MEANING = re.compile(
    r"^.*?,? (?:which|this) (?:means|indicates|implies|suggests)(?: that)? |^.*?, (?:meaning"
    r"|indicating|implying)(?: that)? |^.*$", re.I,
)  # fmt: skip


def _at_its_time(
    piece: str, claims: list[JudgedClaim] | None, witness: Witness
) -> list[JudgedClaim] | None:
    """Takes back what is denied for the start of the run, but may be said of a later moment."""
    wrong = any(claim.verdict == CONTRADICTED for claim in claims or ())
    names = set(re.findall(r"[A-Za-z_]\w*", " ".join(re.findall(r"`[^`]+`", piece))))
    given = NECESSITY.search(piece) or re.search(r"`\w+`? ?[=:]|\binput\b", piece)
    return None if wrong and not given and names & witness.changing else claims


def _described(run: Replay, piece: str) -> list[JudgedClaim] | None:
    """Reads a statement as a description of the code; None if a part of it is unread."""
    told = read_description(run, piece)
    if re.match(r"an? ", piece, re.I) and any(c.verdict == CONTRADICTED for c in told.claims):
        return None  # speaks of some input, as examples and cases do
    return list(told.claims) if told.claims and not told.unread else None


@dataclasses.dataclass
class _Lines:
    """Judges statements on one witness.

    `assumed` holds what "if we assume `idx = 2`" set for the rest of the sentence; `elsewhere` that
    the rest of the sentence speaks of other inputs than the witness.
    """

    witness: Witness
    run_call: RunCall | None
    assumed: dict[str, str] = dataclasses.field(default_factory=dict)
    elsewhere: bool = False
    container: str = ""
    named: set[str] = dataclasses.field(default_factory=set)  # arguments told in the sentence
    mentioned: str = ""  # the literal told last, which "this pair" means
    listed: list[str] = dataclasses.field(default_factory=list)  # what "these characters" means

    def __post_init__(self) -> None:
        self.properties = Properties(self.witness)
        self.examples = Examples(self.witness, self.run_call)
        self.instances = Instances(self.witness, self.run_call)
        self.trials = Trials(self.witness, self.run_call)
        self.necessities = Necessities(self.trials)

    def begin(self, sentence: str) -> None:
        """Forgets what holds for one sentence only."""
        self.assumed.clear()
        self.elsewhere = False
        self.named.clear()

    def read(self, piece: str) -> list[JudgedClaim] | None:
        """Returns the claims of one statement, none if it states nothing; None if unread."""
        piece = (
            THIS.sub(lambda m: f"the {m[1]} {self.mentioned}", piece) if self.mentioned else piece
        )
        piece = self._quoted(piece)
        if "these " in piece or "those " in piece:
            piece = resolve_these(piece, self.listed or _listed(self.witness.goal))
        self.listed = _listed(piece) or self.listed
        if told := re.findall(r"`[^`]+`", piece):
            self.mentioned = told[-1] if literal_of(told[-1]) else self.mentioned
        choice = bool(CHOICE.search(re.sub(r"`[^`]*`|\"[^\"]*\"", "", piece)))
        if self.elsewhere:
            return None
        if SOUGHT.match(piece):
            return []
        if match := _WHEN_PROCESSED.fullmatch(piece):
            return self._processed(piece, match)
        if assumption := ASSUME.match(piece):
            return self._assumed(assumption)
        if IF.match(piece):
            return self._supposed(piece)
        if self.assumed:
            return self.examples.under(self.assumed, piece)
        if (tail := _TAIL_OF_VALUE.fullmatch(piece)) and self.mentioned:
            return self._said_of_mentioned(piece, tail)
        readers = (
            self.examples.read, self._assignments, self._equation, self._whole_input, self._members,
            self._values_of_keys, self._part, self._length, self._constraint,
            self.properties.read,
        )  # fmt: skip
        for read in readers:
            claims = read(piece, choice)
            if claims is not None:
                held = read == self._members and claims and claims[0].verdict == CONFIRMED
                if read == self.properties.read and (refuted := self._unneeded(piece, claims)):
                    return refuted
                return claims if held else self._without_witness(piece, claims)
        return [] if self._states_nothing(piece) else None

    def _quoted(self, piece: str) -> str:
        """Returns "the input string must be `ab`" with quotes, if a text of the witness is that."""
        texts = {repr(one.strip("'\"")) for one in self.witness.arguments.values()}

        def quoted(match: re.Match[str]) -> str:
            whole = repr(match["x"])
            own = whole in texts and match["x"] not in self.witness.run.names
            return f"{match['lead']}`{whole}`" if own else match[0]

        return _BARE_WORD.sub(quoted, piece)

    def _said_of_mentioned(self, piece: str, tail: re.Match[str]) -> list[JudgedClaim] | None:
        """Judges "has a length of 9", said after "…, which" of the value before it."""
        value = literal_of(self.mentioned)
        text = plain_statement(tail["rest"])
        verb = "has" if tail["verb"] == "has" else "contain"
        holds = self.properties.predicate(verb, text)
        if holds is None or value is None:
            return None
        try:
            held = holds(parse_literal(value))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, Unknown):
            return None
        return [_claim(piece[:80], CONFIRMED if held else CONTRADICTED, f"it is {value}")]

    def _without_witness(self, piece: str, claims: list[JudgedClaim]) -> list[JudgedClaim] | None:
        """Takes back what a call that misses the goal can say nothing about: a necessity."""
        if not self.witness.misses_goal or not NECESSITY.search(piece):
            return claims
        if any(
            claim.truth and claim.truth.startswith(("it returns", "the output")) for claim in claims
        ):
            return claims
        given = ASSIGNED.search(piece) if len(self.witness.arguments) == 1 else None
        wrong = all(claim.verdict == CONTRADICTED for claim in claims)
        if len(claims) > 1 and "corresponds to" in piece:
            return claims  # one place of the output and one of the answer
        if wrong and _AT_PLACE.search(piece):
            return claims  # a value at one place, which the answer does not have there
        whole = given and (given["name"] or given["name2"]) in self.witness.arguments
        if whole and all(claim.verdict == CONFIRMED for claim in claims):
            truth = f"it returns {self.witness.result}"
            return [_claim(claim.text, CONTRADICTED, truth) for claim in claims]
        name = _required(piece) if all(c.verdict == CONFIRMED for c in claims) else ""
        if other := self.trials.reaching(name) if name in self.witness.arguments else None:
            truth = f"{other.call_of(other.arguments)} returns it too"
            return [_claim(claim.text, CONTRADICTED, truth) for claim in claims]
        return None

    def _processed(self, piece: str, match: re.Match[str]) -> list[JudgedClaim] | None:
        """Confirms "the input must be such that when processed, it gives the output"."""
        told = literal_of(match["told"]) if match["told"] else self.witness.goal
        same = told is not None and compare(told, self.witness.goal) == CONFIRMED
        if self.witness.misses_goal or not same:
            return None
        return [_claim(piece[:80], CONFIRMED, f"it returns {self.witness.result}")]

    def _unneeded(self, piece: str, claims: list[JudgedClaim]) -> list[JudgedClaim] | None:
        """Doubts "`text` must contain a digit" if a text without one gives the output too.

        People write so of the input that they have in mind, so it is no fault of the run.
        """
        if self.witness.misses_goal or not NECESSITY.search(piece) or not claims:
            return None
        if any(claim.verdict != CONFIRMED for claim in claims) or _PASSED.search(piece):
            return None
        if set(re.findall(r"`(\w+)`", piece)) & (
            self.witness.run.names - set(self.witness.arguments)
        ):
            return None  # a variable, of which no other input tells

        def holds(trial: Trial) -> bool | None:
            told = Properties(trial).read(piece, choice=False)
            return None if not told else all(one.verdict == CONFIRMED for one in told)

        other = self.trials.without(holds)
        if other is None:
            return None
        return [_claim(piece[:80], NOT_CHECKABLE, f"{other.call_of(other.arguments)} does too")]

    def _supposed(self, piece: str) -> list[JudgedClaim] | None:
        """Reads "if `text` is empty, …"; judges the rest only if that holds for the witness."""
        supposed, _, rest = piece.partition(", ")
        condition = read_condition(read_tokens(IF.sub("", supposed, count=1)))
        holds = None if condition is None else self.witness.satisfies(condition)
        if not holds:
            self.elsewhere = True
            return None
        return self.read(re.sub(r"^then ", "", rest)) if rest else []

    def _states_nothing(self, piece: str) -> bool:
        if TALK.match(piece):
            return not re.search(
                r"`[^`]*[^\w`][^`]*`|[\"'\d]", re.sub(r"`assert [^`]*`|`\w+`", "", piece)
            )
        return not re.search(r"[`\"'\d]", piece) and not re.search(
            r"\b(?:must|is|are|has|have|contains?|will|returns?)\b", piece
        )

    def _assignments(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "`xs = [1]`", "`n` must be `3`", "set `x` to an empty string and `y` to `2`"."""
        text = PREPARED.sub("", piece)
        if (whole := LISTED.fullmatch(text)) and whole["name"] in self.witness.arguments:
            claim = self._assigned(whole, choice)
            return None if claim is None else [claim]
        found = list(ASSIGNED.finditer(text))
        if not found:
            return None
        left = ASSIGNED.sub(" ", text)
        for match in found:  # "an empty string `""`" tells one value twice
            told = literal_of(match["told"]) or ""
            for same in {told, told.replace("'", '"')}:
                left = left.replace(f"`{same}`", " ", 1)
        claims = []
        if (bare := VALUES_ALONE.findall(left)) and len(bare) == 1:
            claims = self._unnamed(bare[0], {match["name"] or "" for match in found})
            left = left.replace(bare[0], "")
        if FILLERS.sub("", left):
            return None
        for match in found:
            claim = self._assigned(match, choice)
            if claim is None:
                return None
            claims.append(claim)
        return claims

    def _unnamed(self, told: str, named: set[str]) -> list[JudgedClaim]:
        """Judges `[1, 2]` in "the list `[1, 2]` with `start = 0`": the argument without a name."""
        value = literal_of(told)
        name = self.witness.sole_like(value, named) if value else ""
        if not name or value is None:
            return []
        real = self.witness.arguments[name]
        return [_claim(told, compare(value, real), f"`{name}` is {real}")]

    def _assigned(self, match: re.Match[str], choice: bool) -> JudgedClaim | None:
        named = match.groupdict()
        name = named["name"] or named.get("bare") or named.get("name2") or ""
        told = named["told"] or named.get("told2")
        real = self.witness.arguments.get(name)
        value = literal_of(told)
        if real is None or value is None:
            return None
        verdict = compare(value, real)
        if verdict == CONTRADICTED and choice:
            return None
        self.named |= {name} if verdict == CONFIRMED else set()
        return _claim(match[0], verdict, f"`{name}` is {real}")

    def _whole_input(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "the input must be `"abc"`", "a valid input is `[1, 2]`", or a bare value."""
        match = INPUT.match(piece)
        if match is None:
            return None
        value = literal_of(match["told"])
        if value is None:
            return None
        fits = self.witness.is_input(value)
        told = f"{piece[:60]}"
        if fits:
            if self.witness.misses_goal and SAYS_GOOD.search(piece):
                truth = f"it returns {self.witness.result}"
                return [_claim(told, CONTRADICTED, truth)]
            return [_claim(told, CONFIRMED, None)]
        if fits is None:  # one of several arguments
            good = not self.witness.misses_goal and not match["rest"].strip()
            held = value in map(literal_of, self.witness.arguments.values()) or any(
                compare(value, real) == CONFIRMED for real in self.witness.arguments.values()
            )
            if self.witness.is_item(value) and piece == match["told"]:
                return [_claim(told, CONFIRMED, None)]
            sure = good or not NECESSITY.search(piece)
            return [_claim(told, CONFIRMED, None)] if held and sure else None
        if COUNT_NOUN.match(match["rest"]):
            return None  # "must be 4 characters long"
        if not choice and NECESSITY.search(piece):
            return [_claim(told, CONTRADICTED, self.witness.shown)]
        if not OFFERED.search(piece) or match["rest"].strip():
            return None
        return self.examples.judge(told, value, None)

    def _assumed(self, match: re.Match[str]) -> list[JudgedClaim] | None:
        value = literal_of(match["told"])
        name = match["name"] or match["bare"]
        if value is None or name not in self.witness.arguments:
            self.elsewhere = True
            return None
        self.assumed[name] = value
        rest = match["rest"].strip(" ,.").lstrip("` ,")
        while more := re.match(rf"and (?:{ASSIGNED.pattern})", rest, re.I):
            other = literal_of(more["told"] or more["told2"])
            if other is None:
                return None
            self.assumed[more["name"] or more["bare"] or more["name2"]] = other
            rest = rest[more.end() :].strip(" ,.").lstrip("` ,")
        return self.examples.under(self.assumed, rest) if rest else []

    def _equation(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "`len(text) + 1 = 4`", "`text[:2]` is `"ab"`" with the witness's arguments."""
        bounds = BOUNDS.search(piece)
        piece = BOUNDS.sub("", piece)
        match = EQUATION.fullmatch(piece) or GIVES.fullmatch(piece) or SUM.fullmatch(piece)
        if match is None:
            return None
        try:
            one = evaluate(_python(match["one"]), self.witness.state)
            two = evaluate(_python(match["two"]), self.witness.state)
        except Unknown:
            return None
        good = type(one) is type(two) and one == two
        if bounds and self.witness.indexes(two) is not ("valid" in bounds[0]):
            return None
        unsure = choice or (self.witness.misses_goal and "gives" not in piece)
        if not good and unsure and match.re is not SUM:
            return None
        return [
            _claim(piece[:80], CONFIRMED if good else CONTRADICTED, f"{match['one']} is {one!r}")
        ]

    def _members(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "`d` must have the keys `1` and `2`", "the output contains `a`, `b`"."""
        match = MEMBERS.match(piece)
        if match is None or re.match(r"(?:the )?key\b", piece, re.I):
            return None
        told = [
            m[0] for m in re.finditer(r"`[^`]+`|\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?", match["rest"])
        ]
        left = re.sub(
            r"`[^`]+`|\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?|\b(?:and|the|also|both)\b|[\s,.]",
            "",
            match["rest"],
        )
        if left or not told:
            return None
        subject = Phrase(tuple(read_tokens(match["subject"])))
        self.container = match["subject"]
        holds = self.witness.contains_all(subject, told, (match["noun"] or "").lower())
        if holds is None or (not holds and choice):
            return None
        return [self._held(piece, holds, subject)]

    def _values_of_keys(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "their values must be `"a"` and `"b"`" after the keys of a dictionary."""
        match = VALUES.match(piece)
        if match is None or not self.container:
            return None
        return self._members(f"{self.container} must have the values {match['rest']}", choice)

    def _part(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "the part before "-" is `"ab"`", said of the output."""
        match = PART.match(piece)
        value = literal_of(match["told"]) if match else None
        if match is None or value is None:
            return None
        separator, side = match["at"].strip("`"), match["side"].lower()
        told = {
            text: self.witness.parts(text, separator, side)
            for text in (self.witness.goal, *self.witness.arguments.values())
        }
        if not told[self.witness.goal]:
            return None
        good = any(compare(value, part) == CONFIRMED for parts in told.values() for part in parts)
        truth = f"the output is {self.witness.goal}"
        return [_claim(piece[:80], CONFIRMED if good else CONTRADICTED, truth)]

    def _length(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "`text` must be a string of length `3`", "the output has 11 characters"."""
        match = LENGTH.match(piece)
        if match is None:
            return None
        subject = Phrase(tuple(read_tokens(match["subject"])))
        told = match["number"] or match["count"]
        number = literal_of(COUNTS.get(told.lower(), told))
        real = self.witness.length_of(subject)
        if number is None or not number.isdigit():
            return None
        if real is None:
            same = self.witness.like(subject.words, int(number))
            return [_claim(piece[:80], CONFIRMED, self.witness.shown)] if same else None
        least, most = (word in match[0].lower() for word in ("at least", "at most"))
        holds = (
            real >= int(number) if least else real <= int(number) if most else real == int(number)
        )
        if not holds and choice:
            return None
        return [self._held(piece, holds, subject)]

    def _held(self, piece: str, holds: bool, subject: Phrase) -> JudgedClaim:
        of_output = {"output", "result"} & set(subject.words)
        truth = f"the output is {self.witness.goal}" if of_output else self.witness.shown
        return _claim(piece[:80], CONFIRMED if holds else CONTRADICTED, truth)

    def _constraint(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "the list must contain the keys `1` and `2`", "`text` must start with "ab""."""
        if COUNTED.search(piece) or not re.search(r"\b[a-z]{2,}\b", re.sub(r"`[^`]*`", "", piece)):
            return None
        plain = NECESSARY.sub(lambda m: PRESENT[m["verb"].lower()], TAIL.sub("", piece), count=1)
        condition = read_condition(read_tokens(plain))
        holds = None if condition is None else self.witness.satisfies(condition)
        if holds is None:
            return None
        of_output = bool(re.search(r"\b(?:output|result)\b", piece))
        if not holds and of_output and self.witness.may_speak_of_part(condition):
            return None
        if not holds and (choice or (not of_output and not NECESSITY.search(piece))):
            return None
        subject = Phrase(tuple(read_tokens("output"))) if of_output else Phrase()
        return [self._held(piece, holds, subject)]


_VALUE = r"(?:`[^`]+`|\"[^\"]*\"|'[^']*')"
_BARE_WORD = re.compile(r"(?P<lead>\b(?:is|be) )`(?P<x>[A-Za-z]\w*)`$")
_WHEN_PROCESSED = re.compile(
    r"(?:the )?(?:input|original)(?: \w+)?(?: `\w+`)? (?:must|should|has to|needs to) be (?:an?"
    r" (?:\w+ )?)?(?:(?:structured|constructed|chosen|designed)(?: in such a way| so)?"
    r" |such |something )?(?:such )?that,? (?:when|after|once)(?: it is)?(?: being)?"
    r" (?:processed|passed to the"
    r" function|run through the function|processed by the function),? (?:it |the (?:output"
    r"|result|function) )?"
    r"(?:will )?(?:results? in|yields?|produces?|gives?|returns?|matches|leads? to|is) (?:(?:the"
    r"|this|our)"
    r" (?:(?:expected|desired|specified|given|required|specific) )*(?:output|result)"
    r"|(?P<told>`[^`]+`"
    r"|\"[^\"]*\"|'[^']*'|-?\d+|True|False))(?: string)?", re.I,
)  # fmt: skip
_SEVERAL = re.compile(rf"{_VALUE}(?:, {_VALUE})*,? and {_VALUE}")
_TAIL_OF_VALUE = re.compile(r"(?P<verb>has|contains) (?P<rest>(?!been\b).+)")
_PASSED = re.compile(r"\b(?:after|output|result|returned|list after|string after)\b")
_AT_PLACE = re.compile(
    r"\b(?:element|character|word|item|letter|digit|key|value)\b[^`]*(?:`\w+`[^`]*)?\bmust (?:have"
    r" been|be) (?:`|\"|'|-?\d)", re.I,
)  # fmt: skip


def _listed(piece: str) -> list[str]:
    """Returns the values that a statement lists, or the items of the only list that it has."""
    if several := _SEVERAL.search(piece):
        told = [one[1:-1] for one in re.findall(ATOM, mark_code(several[0]))]
        return [repr(one) if one.isidentifier() else one for one in told]
    atoms = re.findall(ATOM, mark_code(piece))
    value = parse_literal(text) if len(atoms) == 1 and (text := literal_of(atoms[0])) else None
    return [repr(one) for one in value] if isinstance(value, list | tuple) else []


def _required(piece: str) -> str:
    """Returns `n` of "`n` must be 2"."""
    match = re.match(r"^`(\w+)` must be (?:`[^`]+`|\"[^\"]*\"|-?\d+)(?: to\b|$)", piece)
    return match[1] if match else ""


def _claim(text: str, verdict: str, truth: str | None) -> JudgedClaim:
    return JudgedClaim("answer", text.strip(), verdict, truth)


def _python(text: str) -> str:
    return text.replace("\\mod", "%").replace("\\times", "*").replace(" mod ", " % ").strip()
