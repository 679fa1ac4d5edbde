"""Reads lines of a backward monologue that reason from the output to an input.

The run is that of the call which the monologue answers with, its witness. The output given is no
step. A constraint that every input is said to satisfy must hold for the witness; an example or an
alternative is judged by its own run, if the caller can supply it.
"""

import ast
import dataclasses
import re
from collections.abc import Callable

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.backward_run import RunLines
from data_pipeline.verify.backward_wording import (
    ASIDE,
    ASSIGNED,
    ASSUME,
    BOUNDS,
    CHOICE,
    COMMENT,
    CONSEQUENCE,
    COUNTED,
    COUNTS,
    EQUATION,
    EXAMPLE,
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
    split_statements,
)
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from data_pipeline.verify.conditions import read_condition
from data_pipeline.verify.descriptions import read_description
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.lexicon import Phrase, read_tokens
from data_pipeline.verify.reading import JudgedClaim, Reading
from data_pipeline.verify.values import compare
from data_pipeline.verify.witness import Witness

RunCall = Callable[[str], str | None]


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
      run_call: returns the result of another call of the program as text, None if unknown; without
        it, examples that are not the witness are unread.
      goal: the output that an input is looked for, as a literal; the run's own result if None.
    """
    if not SECTION.search(section) or "function" in section:
        return None
    text = MARKUP.sub("", line, count=1).replace("**", "").strip().removesuffix(":").strip()
    text = ASIDE.sub("", COMMENT.sub(r"\1", text))
    witness = Witness(run, goal)
    reader, told = _Lines(witness, run_call), RunLines(run, witness)
    claims: list[JudgedClaim] = []
    unread: list[str] = []
    for sentence in re.split(r"(?<=[\w`)\"'\]}])[.]\s+(?=[A-Z`(])", text):
        if whole := told.read(sentence):
            claims += whole
            continue
        reader.begin(sentence)
        for piece in split_statements(mark_code(sentence, values=False)):
            found = told.read(piece)
            found = reader.read(piece) if found is None else found
            found = _described(run, piece) if found is None else found
            if found is None:
                unread.append(piece)
            else:
                claims += found
    return Reading(tuple(claims), tuple(unread))


def _described(run: Replay, piece: str) -> list[JudgedClaim] | None:
    """Reads a statement as a description of the code; None if a part of it is unread."""
    told = read_description(run, piece)
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
    mentioned: str = ""  # the literal told last, which "this pair" means

    def begin(self, sentence: str) -> None:
        """Forgets what holds for one sentence only."""
        self.assumed.clear()
        self.elsewhere = False

    def read(self, piece: str) -> list[JudgedClaim] | None:
        """Returns the claims of one statement, none if it states nothing; None if unread."""
        piece = (
            THIS.sub(lambda m: f"the {m[1]} {self.mentioned}", piece) if self.mentioned else piece
        )
        if told := re.findall(r"`[^`]+`", piece):
            self.mentioned = told[-1] if _literal(told[-1]) else self.mentioned
        choice = bool(CHOICE.search(re.sub(r"`[^`]*`|\"[^\"]*\"", "", piece)))
        if self.elsewhere:
            return None
        if SOUGHT.match(piece):
            return []
        if assumption := ASSUME.match(piece):
            return self._assumed(assumption)
        if IF.match(piece):
            return self._supposed(piece)
        if self.assumed:
            return self._under_assumption(piece)
        readers = (
            self._example, self._assignments, self._equation, self._whole_input, self._members,
            self._values_of_keys, self._part, self._length, self._constraint,
        )  # fmt: skip
        for read in readers:
            claims = read(piece, choice)
            if claims is not None:
                held = read == self._members and claims and claims[0].verdict == CONFIRMED
                return claims if held else self._without_witness(piece, claims)
        return [] if self._states_nothing(piece) else None

    def _without_witness(self, piece: str, claims: list[JudgedClaim]) -> list[JudgedClaim] | None:
        """Takes back what a call that misses the goal can say nothing about: a necessity."""
        if not self.witness.misses_goal or not NECESSITY.search(piece):
            return claims
        if any(
            claim.truth and claim.truth.startswith(("it returns", "the output")) for claim in claims
        ):
            return claims
        whole = len(self.witness.arguments) == 1 and ASSIGNED.search(piece)
        if whole and all(claim.verdict == CONFIRMED for claim in claims):
            truth = f"it returns {self.witness.result}"
            return [_claim(claim.text, CONTRADICTED, truth) for claim in claims]
        return None

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
        value = _literal(told)
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
        value = _literal(told)
        if real is None or value is None:
            return None
        verdict = compare(value, real)
        if verdict == CONTRADICTED and choice:
            return None
        return _claim(match[0], verdict, f"`{name}` is {real}")

    def _whole_input(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "the input must be `"abc"`", "a valid input is `[1, 2]`", or a bare value."""
        match = INPUT.match(piece)
        if match is None:
            return None
        value = _literal(match["told"])
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
            held = value in map(_literal, self.witness.arguments.values()) or any(
                compare(value, real) == CONFIRMED for real in self.witness.arguments.values()
            )
            if self.witness.is_item(value) and piece == match["told"]:
                return [_claim(told, CONFIRMED, None)]
            return [_claim(told, CONFIRMED, None)] if held and not NECESSITY.search(piece) else None
        if not choice and NECESSITY.search(piece):
            return [_claim(told, CONTRADICTED, self.witness.shown)]
        if not OFFERED.search(piece) or match["rest"].strip():
            return None
        return self._judged_example(told, value, None)

    def _example(self, piece: str, choice: bool) -> list[JudgedClaim] | None:
        """Reads "the input could be `3.1`, which would give "3.10"" by the example's own run."""
        match = EXAMPLE.match(piece)
        if match is None:
            return None
        value, result = _literal(match["told"]), _last_literal(match["rest"])
        if value is None or self.witness.is_input(value) is None:
            return None
        return self._judged_example(match[0], value, result)

    def _judged_example(self, told: str, value: str, said: str | None) -> list[JudgedClaim] | None:
        if self.witness.is_input(value):
            real = self.witness.result
        else:
            call = self.witness.call_with(value)
            real = self.run_call(call) if self.run_call and call else None
        if real is None:
            return None
        verdict = compare(said or self.witness.goal, real)
        if verdict == CONTRADICTED and said and compare(said, self.witness.goal) != CONFIRMED:
            return None  # a value on the way, not the result
        return [_claim(told[:80], verdict, f"it returns {real}")]

    def _assumed(self, match: re.Match[str]) -> list[JudgedClaim] | None:
        value = _literal(match["told"])
        name = match["name"] or match["bare"]
        if value is None or name not in self.witness.arguments:
            self.elsewhere = True
            return None
        self.assumed[name] = value
        rest = match["rest"].strip(" ,.`")
        while more := re.match(r"and " + ASSIGNED.pattern, rest, re.I):
            other = _literal(more["told"])
            if other is None:
                return None
            self.assumed[more["name"] or more["bare"]] = other
            rest = rest[more.end() :].strip(" ,.`")
        return self._under_assumption(rest) if rest else []

    def _under_assumption(self, piece: str) -> list[JudgedClaim] | None:
        """Judges "… then `xs` must have been `[1]`" by the run of the call that it makes."""
        match = ASSIGNED.search(piece)
        if match is not None:
            name, value = match["name"] or match["bare"], _literal(match["told"])
        elif (match := INPUT.match(piece)) is not None:
            value = _literal(match["told"])
            name = self.witness.sole_like(value, set(self.assumed)) if value else ""
        else:
            return None
        if value is None or name not in self.witness.arguments or not CONSEQUENCE.search(piece):
            return None
        given = {**self.witness.arguments, **self.assumed, name: value}
        call = self.witness.call_of(given)
        same = all(
            compare(text, self.witness.arguments[key]) == CONFIRMED for key, text in given.items()
        )
        real = self.witness.result if same else self.run_call(call) if self.run_call else None
        if real is None:
            return None
        verdict = compare(self.witness.goal, real)
        if verdict == CONTRADICTED and self.witness.has_other_container({*self.assumed, name}):
            return None  # another list or text might make it true
        return [_claim(piece[:80], verdict, f"{call} returns {real}")]

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
        if match is None:
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
        value = _literal(match["told"]) if match else None
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
        number = _literal(COUNTS.get(told.lower(), told))
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


def _claim(text: str, verdict: str, truth: str | None) -> JudgedClaim:
    return JudgedClaim("answer", text.strip(), verdict, truth)


def _python(text: str) -> str:
    return text.replace("\\mod", "%").replace("\\times", "*").replace(" mod ", " % ").strip()


def _literal(told: str | None) -> str | None:
    """Returns the literal that is told, without its backticks; None if it is none."""
    if told is None:
        return None
    empty = {"an empty string": "''", "an empty list": "[]", "an empty dictionary": "{}"}
    text = empty.get(told.lower(), told.strip().strip("`").strip())
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return text


def _last_literal(text: str) -> str | None:
    found = [match[0] for match in re.finditer(r"`[^`]+`|\"[^\"]*\"|-?\d+(?:\.\d+)?", text)]
    return _literal(found[-1]) if found else None
