"""Judges conditions that a step states in words, as its reason: "since 'x' is not a key in `d`".

A condition is held against the tests and other truth values of the program at its place, or of the
whole run where they have one outcome only; a condition of plain values is evaluated itself.
"""

import ast
import dataclasses
import re
from collections.abc import Iterator

from data_pipeline.source.literals import LiteralError, parse_literal
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.branches import Tests, compare_conditions
from data_pipeline.verify.characters import character_of
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, UNREAD, Claim
from data_pipeline.verify.clause_cutting import CASES
from data_pipeline.verify.code_verdicts import own_nodes
from data_pipeline.verify.conditions import (
    Condition,
    Joined,
    Source,
    read_condition,
    read_test,
)
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.lexicon import Phrase, read_tokens
from data_pipeline.verify.masking import is_literal
from data_pipeline.verify.phrases import code_of
from data_pipeline.verify.places import Place
from data_pipeline.verify.screening import screened
from data_pipeline.verify.shown_code import codes_in
from data_pipeline.verify.value_verdicts import ValueVerdicts, Verdict
from data_pipeline.verify.values import compare
from data_pipeline.verify.wordlists import word_set

_MOST_LINES = 120
_TRUTHS = ast.Compare | ast.BoolOp | ast.Call | ast.UnaryOp
_LINKS = re.compile(
    r"^(?:[\s,.;:]|\b(?:since|because|as|so|and|but|therefore|thus|then|also|indeed|here|"
    r"in this case|which (?:means|indicates|implies|shows)|this (?:means|indicates|implies|shows)|"
    r"means|meaning|indicating|that(?= the| it)|due to the fact)\b)+\s*",
    re.I,
)
_SUPPOSED = screened(  # what is only supposed is no reason
    r"^\W*(?:\w+\W+){0,3}?(?<!`)\b(?:if|when|whenever|unless|until|while|once|should|"
    rf"{CASES})\b|"
    r", (?:if|when) ",
    re.I,
)
_TAIL = re.compile(
    r"(?:,? (?:in this case|at this point|here|at all|either|either\.|any more|anymore))?[\s.,;:]*$"
)
_ABSENCE = re.compile(
    r"^(?:due to )?the (?P<k>absence|presence) of (?:the |an? |any )?(?P<x>.+?) in (?P<y>.+)$", re.I
)
_NONE_IN = re.compile(  # "there are no zeros in the list", "the string does not contain any dots"
    r"^there (?:is|are) (?P<no>no |not an? |not any )?(?:an? |any |at least one )?"
    r"(?P<x>[a-z]+)(?: characters?)?(?: (?:in|within) (?P<y>.+))?$",
    re.I,
)
_CALLED_EMPTY = re.compile(
    r"\b(?:called|invoked|executed) with (?:the |an )(?:input of an )?empty (?:input )?"
    r"(?P<t>string|list|dictionary|tuple)(?: as (?:the |its )?(?:input|argument))?\W*$",
    re.I,
)
_WITHOUT_SUBJECT = re.compile(r"^(?:which )?is not `")  # of what stands before it
_EMPTY = {"string": "''", "list": "[]", "dictionary": "{}", "tuple": "()"}
_NUMBERS = {"zero": "0", "zeros": "0", "zeroes": "0", "ones": "1"}
_MORE_TOLD = word_set(
    "only also both each every all neither either first last second third times once twice any "
    "never always before after"
)
_NOUNS = word_set(
    """
    the a an this that given input original current character letter string substring text word
    number value element item key digit list dictionary dict tuple set integer specified prefix
    suffix name itself same empty symbol sign separator delimiter whole entire its
    """
)


class Reasons:
    """Judges conditions that the sentences of one monologue state in words."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values
        self._tests: Tests | None = None

    def judged(self, claims: list[Claim], plain: str, place: Place) -> list[Claim]:
        """Returns the claims of a sentence with each unread condition judged that can be."""
        if any(claim.verdict == CONTRADICTED for claim in claims) or _SUPPOSED.search(plain):
            return claims
        if any(claim.kind == "exception" for claim in claims):
            return claims  # a true state may be no reason for what was raised
        found = [
            self._judged(claim, plain, place) if claim.verdict == NOT_CHECKABLE else claim
            for claim in claims
        ]
        new = [one.text for one, old in zip(found, claims, strict=True) if one is not old]
        return [
            claim for claim in found
            if claim.kind != UNREAD or not any(claim.text in text for text in new)
        ]  # fmt: skip

    def _judged(self, claim: Claim, plain: str, place: Place) -> Claim:
        if claim.kind not in (UNREAD, "branch"):
            return claim
        text = _TAIL.sub("", _LINKS.sub("", quoted(claim.text, plain)))
        if _WITHOUT_SUBJECT.match(text):
            return claim
        called = _CALLED_EMPTY.search(text)
        verdict = self._called_empty(called["t"]) if called else self._judge(text, place)
        if verdict is None:
            return claim
        return dataclasses.replace(claim, kind="branch", verdict=verdict[0], truth=verdict[1])

    def _judge(self, text: str, place: Place) -> Verdict | None:
        if found := _ABSENCE.match(text):
            denied = "not " if found["k"].lower() == "absence" else ""
            text = f"{found['x']} is {denied}in {found['y']}"
        text = _NONE_IN.sub(_existence, text)
        tokens = [token for token in read_tokens(text) if token.text not in "()"]
        if not tokens or any(token.text in ",;:" for token in tokens):
            return None
        if any(token.text in ("True", "False") for token in tokens):
            return None  # the outcome of a test, which is read elsewhere
        said = read_condition(tokens)
        if said is None or not _is_told_whole(said):
            return None
        return self._of_program(said, place) or self._of_values(said)

    # ---- the program's own tests

    def _of_program(self, said: Condition, place: Place) -> Verdict | None:
        """Judges a condition by the truth values of the program that it speaks of."""
        outcomes: dict[str, set[str | None]] = {}
        times = 0
        for node, here in self._truths(place):
            sign = compare_conditions(
                said, read_test(node), lambda phrase, code, at=here: self._fits(phrase, code, at)
            )
            if sign is None:
                continue
            times += 1
            code = ast.unparse(node)
            real = self.values.text_at(f"bool({code})", here.event.frame, here.at - 1)
            if sign == "opposite" and real is not None:
                real = "False" if real == "True" else "True"
            outcomes.setdefault(code, set()).add(real)
        found = {real for reals in outcomes.values() for real in reals}
        if len(found) != 1 or None in found:
            return None
        truth = f"{next(iter(outcomes))} decides it"
        if found == {"True"}:
            return CONFIRMED, truth
        sure = len(outcomes) == 1 and (times == 1 or (place.occurrence is not None and place.sure))
        return (CONTRADICTED, truth) if sure and _names_values(said) else (NOT_CHECKABLE, truth)

    def _truths(self, place: Place) -> Iterator[tuple[ast.expr, Occurrence]]:
        """Yields the truth values that the lines of a place compute, then those that lead there."""
        for here in self._lines(place):
            statement = self.run.statement_of(here.event)
            for node in own_nodes(statement) if statement is not None else ():
                if isinstance(node, _TRUTHS) and isinstance(node, ast.expr):
                    yield node, here

    def _lines(self, place: Place) -> list[Occurrence]:
        here = place.occurrence
        if place.window is not None and not place.sure:
            first, last = place.window
            return [one for one in self.run.occurrences if first <= one.at <= last][:_MOST_LINES]
        if here is None or not place.sure:
            return self.run.occurrences[:_MOST_LINES]
        before = [
            one for one in self.run.occurrences
            if one.at < here.at and one.event.frame == here.event.frame
            and one.event.branch is not None and dict(one.turns) == dict(here.turns)
        ]  # fmt: skip
        return [here, *before[-2:]]

    def _fits(self, phrase: Phrase, code: str, here: Occurrence) -> bool | None:
        """Tells whether a phrase names code, or a value that the code has at a place."""
        if self._tests is None:
            self._tests = Tests(code_of(self.run))
        if len(phrase.atoms) == 1 and not set(phrase.words) - _NOUNS - {code}:
            atom = phrase.atoms[0]
            if atom.replace(" ", "") == code.replace(" ", ""):
                return True
            real = self.values.text_at(code, here.event.frame, here.at - 1)
            if real is not None and is_literal(atom):
                return compare(atom, real) == CONFIRMED
        return self._tests.fits(phrase, code)

    def _called_empty(self, kind: str) -> Verdict | None:
        """Judges "is called with an empty list" by the arguments of the call."""
        given = self.run.events[0].changed.values() if self.run.events else ()
        empty = _EMPTY[kind.lower()]
        return (CONFIRMED, empty) if empty in given else None

    # ---- plain values

    def _of_values(self, said: Condition) -> Verdict | None:
        """Evaluates a condition of plain values, such as "'x' is not in 'abc'"."""
        code = _worded(said)
        if code is None:
            return None
        try:
            holds = bool(evaluate(code, None))
        except (Unknown, ValueError, RecursionError):
            return None
        return (CONFIRMED, code) if holds else (NOT_CHECKABLE, code)


_CODES = {
    "in": "({s}) in ({a})", "==": "({s}) == ({a})", "<": "({s}) < ({a})",
    "startswith": "({s}).startswith({a})", "endswith": "({s}).endswith({a})",
    "empty": "len({s}) == 0", "even": "({s}) % 2 == 0", "divisible": "({s}) % ({a}) == 0",
}  # fmt: skip


def _worded(said: Condition) -> str | None:
    """Returns the code of a condition of plain values; None if one of them is no plain value."""
    if isinstance(said, Joined):
        parts = [_worded(part) for part in said.parts]
        return None if None in parts else f" {said.operator} ".join(f"({part})" for part in parts)
    subject, argument = _literal(said.subject), _literal(said.argument)
    pattern = _CODES.get(said.name, "({s})." + said.name + "()" if said.name[:2] == "is" else "")
    if not pattern or subject is None or ("{a}" in pattern) != (argument is not None):
        return None
    code = pattern.replace("{s}", subject).replace("{a}", argument or "")
    return code if said.positive else f"not ({code})"


def _literal(source: Source | None) -> str | None:
    if not isinstance(source, Phrase) or len(source.atoms) != 1 or set(source.words) - _NOUNS:
        return None
    try:
        parse_literal(source.atoms[0])
    except (LiteralError, ValueError):
        return None
    return source.atoms[0]


def says_what_holds(text: str) -> bool:
    """Tells whether a piece of a sentence states a condition as true, such as "3 is in `xs`"."""
    tokens = read_tokens(_TAIL.sub("", _LINKS.sub("", text)))
    if not tokens or tokens[0].kind == "word" or any(token.text in ",;:" for token in tokens):
        return False
    return read_condition(tokens) is not None


def _existence(found: re.Match[str]) -> str:
    """Returns "there is a comma in the string" as a condition on that character."""
    word = found["x"].lower()
    value = _NUMBERS.get(word) or character_of(word)
    if value is None:
        return found[0]
    shown = value if word in _NUMBERS else repr(value)
    place = f" in {found['y']}" if found["y"] else ""
    return f"`{shown}` is {'not ' if found['no'] else ''}present{place}"


def _sources(said: Condition) -> Iterator[Source | None]:
    if isinstance(said, Joined):
        for part in said.parts:
            yield from _sources(part)
    else:
        yield from (said.subject, said.argument)


def _is_told_whole(said: Condition) -> bool:
    """Tells whether no phrase of a condition holds a word that may change what it says."""
    phrases = [source for source in _sources(said) if isinstance(source, Phrase)]
    return bool(phrases) and not any(set(phrase.words) & _MORE_TOLD for phrase in phrases)


def _names_values(said: Condition) -> bool:
    return any(isinstance(source, Phrase) and source.atoms for source in _sources(said))


def quoted(text: str, plain: str) -> str:
    """Returns a piece of a sentence with its code and its values in backticks."""
    found = codes_in(text, plain)
    return text if found is None else found.marked
