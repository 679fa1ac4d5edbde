"""Judges what a step says of a test of its turn with a pronoun, or with values, in place of names.

"Since they are equal", "it is not uppercase (`isupper()` returns `False`)", "checks if '3' is equal
to 'e'": which test is meant is known where the turn, or the line, decides one such test alone.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.branches import Tests, compare_conditions
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, Claim
from data_pipeline.verify.conditions import (
    Condition,
    Joined,
    Test,
    read_condition,
    read_test,
)
from data_pipeline.verify.lexicon import Phrase, Token, read_tokens
from data_pipeline.verify.ordinals import ANY_ORDINAL, ORDINALS
from data_pipeline.verify.phrases import code_of
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import ValueVerdicts, Verdict
from data_pipeline.verify.values import compare
from data_pipeline.verify.wordlists import word_set

_POINTING = word_set(
    "it they this that both these the two current character characters letter element item value"
    " values letters elements items"
)
_LINKS = word_set("since as because so and but also still again here indeed now then therefore")
_EQUAL = word_set("equal same identical match matches")
_OTHER = word_set("different differ unequal")
_NOT = word_set("not don't doesn't aren't isn't")
_BESIDE = word_set("are is do does be each other to indeed clearly both lengths length")
_RETURNS = re.compile(
    r"`?\.?(?P<m>[a-z]+)\(\)`? (?:returns|is|gives|evaluates to|=) `?(?P<v>True|False)`?\W*"
)
_SKIPS = re.compile(
    r"(?:so |and |thus )?(?:the function |it |we )?skip(?:s|ping|ped)? (?:over )?the "
    r"(?:rest|remainder) of the (?:loop |current |loop's )?(?:block|body|code|loop|iteration)"
    r"(?: for (?:this|that) (?:\w+))?\W*",
    re.I,
)
_CHECKING = word_set("checks check tests compares determines evaluates verifies checking")
_ASKING = word_set("the this we condition test function if statement line loop it then here first")
_OF_VALUES = word_set(
    "the a an character letter string number value element item digit word substring current"
)
_NTH = re.compile(rf"\b(?P<n>{ANY_ORDINAL}) (?:if |elif )?(?:condition|test|check)\b", re.I)
_DIGITS = frozenset(("isdigit", "isnumeric", "isdecimal"))


@dataclasses.dataclass(frozen=True)
class Decided:
    """Holds one part of a test, joined by no "and" or "or", with a state in which it is decided."""

    node: ast.expr
    frame: int
    at: int


class ToldTests:
    """Judges what the steps of one monologue say of unnamed tests."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def judged(self, claim: Claim, place: Place) -> Claim:
        """Returns a claim that nothing else could check with the verdict of the test it means.

        What else is confirmed, of any letter of the turn, is not if the turn's own test denies it.
        """
        if claim.verdict == CONTRADICTED or (claim.verdict, claim.kind) == (CONFIRMED, "flow"):
            return claim
        found = self._judge(claim.text, place)
        if found is None or found[0] == claim.verdict:
            return claim
        if claim.verdict == CONFIRMED:
            return dataclasses.replace(claim, verdict=NOT_CHECKABLE, truth=found[1])
        return dataclasses.replace(claim, kind="branch", verdict=found[0], truth=found[1])

    def counted(self, worded: WordedClaim, place: Place) -> Verdict | None:
        """Judges "neither condition is met", "the second condition is true"; None for others."""
        if worded.kind != "branch" or worded.subject is not None:
            return None
        tests = [here for here in self._before(place) if self._is_if(here)]
        if not tests and not place.sure and place.window is None:
            tests = self._only
        claimed = worded.value == "True"
        if worded.when == "all":
            return self._all(tests, claimed, place)
        nth = _NTH.search(worded.text)
        if nth is None:
            return None
        outcomes = self._numbered(tests, place)
        at = ORDINALS[nth["n"].lower()] - 1
        if not 0 <= at < len(outcomes):
            return (NOT_CHECKABLE, None) if len(outcomes) > 1 and at >= 0 else None
        truth = f"the condition is {outcomes[at]}"
        return (CONFIRMED if outcomes[at] == str(claimed) else NOT_CHECKABLE), truth

    def _numbered(self, tests: list[Occurrence], place: Place) -> list[str | None]:
        """Returns the outcomes that "the first condition" counts: of tests, or of parts of one."""
        if len(tests) == 1:
            return self._part_outcomes(tests[0])
        in_turn = place.window is not None and not place.sure
        return [str(here.event.branch) for here in tests] if in_turn else []

    def _part_outcomes(self, here: Occurrence) -> list[str | None]:
        """Returns the outcome of each part of a test that "and" or "or" joins."""
        test = getattr(self.run.statement_of(here.event), "test", None)
        codes = [ast.unparse(part) for part in getattr(test, "values", ())]
        frame, at = here.event.frame, here.at - 1
        return [self.values.text_at(f"not not ({code})", frame, at) for code in codes]

    def _all(self, tests: list[Occurrence], claimed: bool, place: Place) -> Verdict:
        """Judges whether all tests, and all parts that "and" or "or" joins, have one outcome."""
        outcomes = [self._part_outcomes(here) for here in tests]
        found = {part for parts in outcomes for part in parts} | {
            str(here.event.branch) for here, parts in zip(tests, outcomes, strict=True) if not parts
        }
        if found == {str(claimed)}:
            return CONFIRMED, f"each condition is {claimed}"
        others = [
            here for here, parts in zip(tests, outcomes, strict=True)
            if not parts and here.event.branch != claimed
        ]  # fmt: skip
        sure = bool(others) and len(tests) > claimed  # one that holds refutes "neither"
        meant = place.sure or place.window is not None or tests is self._only
        sure = sure or (meant and self._joined(tests) == (not claimed))
        return (CONTRADICTED if sure else NOT_CHECKABLE), f"a condition is {not claimed}"

    def _joined(self, tests: list[Occurrence]) -> bool | None:
        """Returns the outcome of the one test whose parts are meant, if it denies them together.

        A false `a and b` denies "both conditions hold", a true `a or b` denies "neither holds".
        """
        if len(tests) != 1:
            return None
        test = getattr(self.run.statement_of(tests[0].event), "test", None)
        outcome = tests[0].event.branch
        if not isinstance(test, ast.BoolOp) or outcome is None:
            return None
        return outcome if isinstance(test.op, ast.Or) == outcome else None

    @functools.cached_property
    def _only(self) -> list[Occurrence]:
        """Returns the test of a run that decides only one."""
        tests = [here for here in self.run.occurrences if self._is_if(here)]
        return tests if len(tests) == 1 else []

    def _is_if(self, here: Occurrence) -> bool:
        return isinstance(self.run.statement_of(here.event), ast.If)

    def _before(self, place: Place) -> list[Occurrence]:
        """Returns the tests of a turn, or those in the same turn that lead to a line."""
        here = place.occurrence
        if place.window is not None and not place.sure:
            return self._tested(place)
        if here is not None and here.event.branch is not None:
            return [here]
        if here is None or not place.sure:
            return []
        return [
            one for one in self.run.occurrences
            if one.at < here.at and one.event.frame == here.event.frame
            and one.event.branch is not None and dict(one.turns) == dict(here.turns)
        ]  # fmt: skip

    def names_values(self, sentence: str, place: Place) -> bool:
        """Tells whether "checks if '3' is equal to 'e'" states a test here by its values."""
        said = _asked(read_tokens(sentence))
        if said is None:
            return False
        fits = Tests(code_of(self.run)).fits
        return any(
            compare_conditions(
                said, read_test(test), lambda phrase, code, at=at: self._is(phrase, code, at, fits)
            ) == "same"
            for at in self._tested(place)
            if (test := getattr(self.run.statement_of(at.event), "test", None)) is not None
        )  # fmt: skip

    def _judge(self, text: str, place: Place) -> Verdict | None:
        if found := _RETURNS.fullmatch(text):
            return self._method(found["m"], found["v"] == "True", place)
        if _SKIPS.fullmatch(text):
            return (CONFIRMED, "continue") if self._continues(place) else None
        said = _pointed(read_tokens(text))
        return None if said is None else self._predicate(said, place)

    def _method(self, method: str, claimed: bool, place: Place) -> Verdict | None:
        """Judges "`isupper()` returns `False`" of the one test that calls this method."""
        parts = [
            part for part in self._parts(place)
            if isinstance(part.node, ast.Call) and isinstance(part.node.func, ast.Attribute)
            and part.node.func.attr == method and not part.node.args
        ]  # fmt: skip
        return self._outcome(parts, claimed, place)

    def _predicate(self, said: Test, place: Place) -> Verdict | None:
        found = [(part, read_test(part.node)) for part in self._parts(place)]
        meant = [(part, real) for part, real in found if _alike(said, real)]
        signs = {said.positive == real.positive for _, real in meant if isinstance(real, Test)}
        parts = [part for part, _ in meant]
        return self._outcome(parts, signs.pop(), place) if len(signs) == 1 else None

    def _outcome(self, parts: list[Decided], claimed: bool, place: Place) -> Verdict | None:
        """Judges the outcome of the tests that may be meant: all have it, or the only one not."""
        codes = sorted({ast.unparse(part.node) for part in parts})
        found = {self.values.text_at(ast.unparse(part.node), part.frame, part.at) for part in parts}
        if len(found) != 1 or not found <= {"True", "False"}:
            return None
        real = found == {"True"}
        truth = f"{codes[0]} is {real}"
        if real == claimed:
            return CONFIRMED, truth
        here = place.occurrence
        is_own = place.window is not None or (
            place.sure and here is not None and here.event.branch is not None
        )
        return (CONTRADICTED, truth) if is_own and len(codes) == 1 else None

    def _parts(self, place: Place) -> Iterator[Decided]:
        """Yields the parts of the tests that decide here, as far as they are evaluated."""
        for here in self._tested(place):
            test = getattr(self.run.statement_of(here.event), "test", None)
            if test is not None:
                yield from self._evaluated(test, here)

    def _evaluated(self, test: ast.expr, here: Occurrence) -> Iterator[Decided]:
        frame, at = here.event.frame, here.at - 1
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                yield from self._evaluated(inner, here)
            case ast.BoolOp(op=op, values=values):
                for value in values:
                    yield from self._evaluated(value, here)
                    stops = "False" if isinstance(op, ast.And) else "True"
                    if self.values.text_at(f"bool({ast.unparse(value)})", frame, at) in (
                        stops,
                        None,
                    ):
                        return
            case _:
                yield Decided(test, frame, at)

    def _tested(self, place: Place) -> list[Occurrence]:
        """Returns the executions of tests in a turn, at a line, or just before it."""
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            return [
                one for one in self.run.occurrences
                if first <= one.at <= last and one.event.frame == place.frame
                and one.event.branch is not None
            ]  # fmt: skip
        if here is None or not place.sure:
            return []
        if here.event.branch is not None:
            return [here]
        before = (
            one for one in reversed(self.run.occurrences)
            if one.at < here.at and one.event.frame == here.event.frame
            and one.event.branch is not None
        )  # fmt: skip
        return [one for one in [next(before, None)] if one is not None]

    def _continues(self, place: Place) -> bool:
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            ran = [one for one in self.run.occurrences if first <= one.at <= last]
        else:
            ran = [here] if here is not None and place.sure else []
        return any(isinstance(self.run.statement_of(one.event), ast.Continue) for one in ran)

    def _is(self, phrase: Phrase, code: str, here: Occurrence, fits) -> bool | None:
        """Tells whether a phrase is a value that code has at a place, or names the code."""
        if not phrase.atoms or set(phrase.words) - _OF_VALUES:
            return fits(phrase, code)
        real = self.values.text_at(code, here.event.frame, here.at - 1)
        return all(
            atom.replace(" ", "") == code.replace(" ", "")
            or (real is not None and compare(atom, real) == CONFIRMED)
            for atom in phrase.atoms
        )


def _alike(said: Test, real: Condition) -> bool:
    if not isinstance(real, Test):
        return False
    if said.name == "==":
        lengths = str(real.subject).startswith("len(") and str(real.argument).startswith("len(")
        return real.name == "==" and lengths >= (said.subject == "lengths")
    same = said.name == real.name or {said.name, real.name} <= _DIGITS
    return same and said.argument is None and real.argument is None


def _pointed(tokens: Sequence[Token]) -> Test | None:
    """Reads a predicate of a pronoun, or of "the character"; None for any other sentence."""
    words = [token.lower for token in tokens if token.text not in ".,;"]
    while words and words[0] in _LINKS:
        words = words[1:]
    if not words or "" in words or words[0] not in _POINTING | {"lengths"}:
        return None
    if (told := set(words) & (_EQUAL | _OTHER)) and len(told) == 1:
        if set(words) - told - _POINTING - _NOT - _BESIDE - _LINKS:
            return None
        subject = "lengths" if {"lengths", "length"} & set(words) else ""
        denied = bool(set(words) & _NOT) != bool(told & _OTHER)
        return Test("==", subject, subject, not denied)
    said = read_condition([Token("word", word) for word in words])
    if not isinstance(said, Test) or not isinstance(said.subject, Phrase):
        return None
    about = set(said.subject.words) <= _POINTING and said.name.startswith("is")
    return said if about and said.argument is None else None


def _asked(tokens: Sequence[Token]) -> Condition | None:
    """Returns the condition of "checks if X is equal to Y or Z", where X has a value."""
    at = next((i for i, token in enumerate(tokens) if token.lower in ("if", "whether") and i), None)
    if at is None:
        return None
    head = {token.lower for token in tokens[:at]}
    if not head & _CHECKING or head - _CHECKING - _ASKING - _LINKS:
        return None
    rest = [token for token in tokens[at + 1 :] if token.text != "."]
    others = [i for i, token in enumerate(rest) if token.lower == "or"]
    if others and all(i == len(rest) - 2 * (n + 1) for n, i in enumerate(reversed(others))):
        one = read_condition(rest[: others[0]])
        if not isinstance(one, Test) or one.argument is None or not one.positive:
            return None
        more = [dataclasses.replace(one, argument=Phrase((rest[i + 1],))) for i in others]
        return Joined("or", (one, *more))
    return read_condition(rest)
