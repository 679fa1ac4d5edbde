"""Reads the time that an unlabelled sentence states, and judges its values at that time.

"At the end", "initially", "after the loop", "for i = 2", "after 3 iterations": a value that the
run has at another moment only is not confirmed by it. A value without any time is confirmed only
where the run leaves no choice.
"""

import ast
import dataclasses
import re
from collections.abc import Iterator

from data_pipeline.source.syntax import nodes_of
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.ordinals import ANY_ORDINAL, ORDINALS
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import NUMBERS, WordedClaim
from data_pipeline.verify.turns import turn_window
from data_pipeline.verify.value_verdicts import (
    ValueVerdicts,
    Verdict,
    dump_expression,
    dump_node,
    is_name,
)
from data_pipeline.verify.values import compare

_MOST_POINTS = 300
_NUMBER = r"\d+|" + "|".join(NUMBERS)
_TURN = rf"(?:the )?(?:(?P<o>{ANY_ORDINAL}|\d+(?:st|nd|rd|th)) (?:iteration|turn|pass)\b"
_TURN += r"|(?:iteration|turn|pass) (?:number )?(?P<n>\d+))"
_IN_TURN = re.compile(
    rf"\b(?P<w>at the (?:end|start|beginning) of|after|before|in|on|during) {_TURN}", re.I
)
_AFTER_TURNS = re.compile(rf"\bafter (?P<k>{_NUMBER}) (?:iterations?|turns?|passes)\b", re.I)
_LITERAL = r"-?\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"|True|False|None"
_BOUND = re.compile(
    rf"(?:\b(?P<w>for|when|at|with|where|after|before)\b|^\W*)\s*`?(?P<x>[A-Za-z_]\w*)`?"
    rf"\s*(?:=|is|equals|==)\s*`?(?P<v>(?:{_LITERAL})(?:(?:, | and |, and )(?:{_LITERAL}))*)`?"
    r"(?!\w|\.\w|[(\[])",
    re.I,
)
_LOOP = re.compile(
    r"\b(?P<w>after|before) the (?:(?:end of )?the )?(?:(?P<t>for|while) )?loop\b", re.I
)
_START = re.compile(
    r"\b(?:initially|originally|at first|at the (?:very )?(?:start|beginning)|"
    r"to begin with|initial value|first value)\b(?! of the (?!function|program|run))", re.I
)  # fmt: skip
_END = re.compile(
    r"\b(?:finally(?! (?:block|clause|branch|part|section)\b|`)|eventually|"
    r"at the (?:very )?end|in the end|by the end|ends up|ends as|ends with "
    r"the value|final value|last value|when the function (?:returns|ends|finishes)|"
    r"lastly)\b(?! of the (?!function|program|run))", re.I
)  # fmt: skip
_AT_LAST = re.compile(r"\W*(?:finally|eventually|lastly)\b|.*\bends (?:up|as)\b", re.I | re.S)
_ANY_TIME = re.compile(
    r"\b(?:after|before|during|until|once|while|when|whenever|first|last|second|third|then|"
    r"later|earlier|previously|at this point|by then)\b",
    re.I,
)
_OTHER_TIME = re.compile(
    r"\b(?:before|until|once|when|whenever|later|earlier|previously|by then|after)\b", re.I
)
_KINDS = ("value", "test", "branch")


@dataclasses.dataclass(frozen=True)
class Moment:
    """Holds one stretch of the run: the frame, its first and last event, and which end is meant."""

    frame: int
    first: int
    last: int
    edge: str  # "first", "last", or "any" of the stretch


class TimeVerdicts:
    """Judges claims of sentences that no label places."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def judged(
        self, worded: WordedClaim, plain: str, verdict: Verdict, place: Place, *, loose: bool
    ) -> Verdict:
        """Returns the verdict at the time that the sentence states, else the one given."""
        if worded.kind not in _KINDS or not worded.subject or verdict[0] == NOT_CHECKABLE:
            return verdict
        if worded.subject.startswith("return ") or worded.when == "start":
            return verdict
        if verdict[0] == CONFIRMED and self._is_constant(worded):
            return verdict
        numbered = (turn := _IN_TURN.search(plain)) is not None and turn["n"] is not None
        if place.window is not None and (numbered or not loose):
            return self._in_turn(worded, plain, verdict, place, loose=loose)
        if (groups := self._stated(worded, plain)) is not None:
            judged = self._at(worded, groups, verdict)
            turns = judged[0] == CONTRADICTED and verdict[0] == CONFIRMED
            if turns and (_AT_LAST.match(plain) or place.window is not None):
                return NOT_CHECKABLE, judged[1]  # the end of what is being told may be meant
            return judged
        if verdict[0] == CONFIRMED and not self._settled(worded):
            return NOT_CHECKABLE, verdict[1]
        return verdict

    def _in_turn(
        self, worded: WordedClaim, plain: str, verdict: Verdict, place: Place, *, loose: bool
    ) -> Verdict:
        """Judges a claim in a turn that its sentence names; a heading's list tells any state."""
        found = _IN_TURN.search(plain)
        if found is None or place.window is None:
            return verdict
        meant = [Moment(place.frame, *place.window, _edge_of(found))]
        if found["o"]:  # "the second iteration" counts from one, whatever the headings do
            meant = list(self._told_turn(found))
        judged = self._at(worded, [meant], verdict)
        if found["n"] and loose and judged[0] == CONFIRMED:  # may have been placed by this value
            told = self._at(worded, [list(self._told_turn(found))], verdict)
            return told if told[0] == CONFIRMED else (NOT_CHECKABLE, told[1])
        return judged

    def names_time(self, plain: str) -> bool:
        """Returns whether a sentence states a time other than the one at which it is told."""
        told = (_AFTER_TURNS, _IN_TURN, _LOOP, _START, _END, _OTHER_TIME)
        return any(pattern.search(plain) for pattern in told)

    def reached(self, plain: str) -> bool:
        """Returns whether a sentence opens with "After 3 iterations," and some loop makes them."""
        found = _AFTER_TURNS.search(plain)
        if found is None or re.search(r"\w", plain[: found.start()]):
            return False
        word = found["k"].lower()
        turn = int(word) if word.isdigit() else NUMBERS[word]
        return any(loop.iterations >= turn for loop in self.run.trace.loops)

    # ---- reading

    def _stated(self, worded: WordedClaim, plain: str) -> list[list[Moment]] | None:
        """Returns the moments that are meant; each inner list holds alternatives of one moment."""
        if found := _AFTER_TURNS.search(plain):
            word = found["k"].lower()
            turn = int(word) if word.isdigit() else NUMBERS[word]
            return [list(self._turns(lambda here: here == turn, "last"))]
        if found := _IN_TURN.search(plain):
            return [list(self._told_turn(found))]
        if found := _LOOP.search(plain):
            return [list(self._beside_loops(found))]
        for found in _BOUND.finditer(plain):
            heads = found["w"] or plain[found.end() :].startswith(":")  # "- i=4: …"
            if not heads or found["x"] not in self.run.names:
                continue
            if found["x"] == worded.subject and self._names_turn(worded, found):
                return [list(self._with(found["x"], worded.value, "any"))]
            if found["x"] != worded.subject:
                edge = {"after": "last", "before": "first"}.get((found["w"] or "").lower(), "any")
                texts = re.findall(_LITERAL, found["v"])
                return [list(self._with(found["x"], text, edge)) for text in texts]
        for pattern, edge in ((_START, "first"), (_END, "last")):
            if pattern.search(plain):
                return [self._whole(worded, edge)]
        return [[]] if _ANY_TIME.search(plain) else None

    def _names_turn(self, worded: WordedClaim, found: re.Match) -> bool:
        """Returns whether the claim is the very "i = 4" by which a sentence names its turn."""
        one = re.fullmatch(_LITERAL, found["v"]) is not None and worded.kind == "value"
        return one and compare(worded.value, found["v"]) == CONFIRMED and self._is_bound(worded)

    def _told_turn(self, found: re.Match) -> Iterator[Moment]:
        ordinal = (found["o"] or "").lower()
        turn = ORDINALS.get(ordinal) or int(re.sub(r"\D", "", found["n"] or ordinal))
        return self._turns(lambda here: here == turn, _edge_of(found), last=turn == -1)

    def _turns(self, wanted, edge: str, *, last: bool = False) -> Iterator[Moment]:
        for header in self.run.loops:
            for here in self.run.by_line.get(header, ())[:_MOST_POINTS]:
                turn = here.turns.get(header, 0)
                if turn and (turn == here.totals[header][0] if last else wanted(turn)):
                    yield self._turn(here, header, edge)

    def _turn(self, here: Occurrence, header: int, edge: str) -> Moment:
        first, last = turn_window(self.run, here, header)
        return Moment(here.event.frame, first, last, edge)

    def _with(self, name: str, text: str, edge: str) -> Iterator[Moment]:
        """Yields the turns that begin with a variable of this value, of the loops that bind it."""
        binding = [
            line for line in self.run.loops
            if (target := getattr(self.run.statements[line], "target", None)) is not None
            and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(target))
        ]  # fmt: skip
        for header in binding or self.run.loops:
            for here in self.run.by_line.get(header, ())[:_MOST_POINTS]:
                real = self.run.value(here.event.frame, name, here.at)
                if here.turns.get(header) and real and compare(text, real) == CONFIRMED:
                    yield self._turn(here, header, edge)

    def _beside_loops(self, found: re.Match) -> Iterator[Moment]:
        """Yields the state after, or before, each run of a loop."""
        for header in self.run.loops:
            kind = type(self.run.statements[header]).__name__.lower()
            runs = self.run.by_line.get(header, ())
            if not runs or (found["t"] and found["t"].lower() != kind):
                continue
            if found["w"].lower() == "before":
                yield Moment(runs[0].event.frame, runs[0].at - 1, runs[0].at - 1, "last")
                continue
            window = turn_window(self.run, runs[-1], header)
            yield Moment(runs[-1].event.frame, window[0], window[1], "last")

    def _whole(self, worded: WordedClaim, edge: str) -> list[Moment]:
        """Returns the frames that know the subject, from their call to their end."""
        return [
            Moment(frame, first, last, edge)
            for frame, (first, last) in list(self.run.frames.items())[:50]
            if self._outcomes(worded, Moment(frame, first, last, edge))
        ][:1]

    # ---- judging

    def _at(self, worded: WordedClaim, groups: list[list[Moment]], verdict: Verdict) -> Verdict:
        """Judges a claim at every moment stated, each at the best of its alternatives."""
        found = [self._best(worded, group) for group in groups]
        for one in found:
            if one is not None and one[0] == CONTRADICTED:
                return one if not self.run.trace.truncated else (NOT_CHECKABLE, one[1])
        if None in found or any(one is not None and one[0] != CONFIRMED for one in found):
            return (NOT_CHECKABLE, verdict[1]) if verdict[0] == CONFIRMED else verdict
        return CONFIRMED, verdict[1]

    def _best(self, worded: WordedClaim, group: list[Moment]) -> Verdict | None:
        """Returns the verdict at the most favourable alternative; None if nothing is known."""
        judged = [one for moment in group if (one := self._one(worded, moment)) is not None]
        for wanted in (CONFIRMED, NOT_CHECKABLE, CONTRADICTED):
            for one in judged:
                if one[0] == wanted:
                    return one
        return None

    def _one(self, worded: WordedClaim, moment: Moment) -> Verdict | None:
        outcomes = self._outcomes(worded, moment)
        if not outcomes:
            return None
        texts = [truth for _, truth in outcomes]
        fits = [fit for fit, _ in outcomes]
        if moment.edge == "first":
            return (CONFIRMED if fits[0] else CONTRADICTED), texts[0]
        if fits[-1] or (moment.edge == "any" and worded.kind != "value" and any(fits)):
            return CONFIRMED, texts[-1]
        if moment.edge == "any" and any(fits):
            known = CONFIRMED if not is_name(worded.subject or "") else NOT_CHECKABLE
            return known, texts[-1]
        before = self._outcomes(worded, dataclasses.replace(moment, last=moment.first - 1))
        if moment.edge == "any" and any(fit for fit, _ in before) and not self._is_bound(worded):
            return NOT_CHECKABLE, texts[-1]
        return CONTRADICTED, texts[-1]

    def _is_bound(self, worded: WordedClaim) -> bool:
        """Returns whether a loop's header gives the subject its value for the whole turn."""
        targets = [getattr(self.run.statements[line], "target", None) for line in self.run.loops]
        return worded.subject in {getattr(target, "id", None) for target in targets}

    def _outcomes(self, worded: WordedClaim, moment: Moment) -> list[tuple[bool, str]]:
        """Returns, state by state, whether the claim holds there, with the truth."""
        subject, found = worded.subject or "", []
        for at in self._points(moment):
            if worded.kind == "value":
                text = self._text(subject, moment.frame, at)
                if text is not None:
                    fit = compare(worded.value, text) == CONFIRMED
                    found.append((fit, f"{subject} = {text}"))
                continue
            try:
                holds = bool(evaluate(subject, self.run.state(moment.frame, at)))
            except Unknown:
                continue
            found.append((str(holds) == worded.value, f"{subject} is {holds}"))
        return found

    def _text(self, subject: str, frame: int, at: int) -> str | None:
        if is_name(subject):
            return self.run.value(frame, subject, at)
        return self.values.text_at(subject, frame, at)

    def _points(self, moment: Moment) -> list[int]:
        """Returns the events of a stretch in its frame, or the state at its one end."""
        if moment.last <= moment.first:
            return [moment.last]
        own = range(max(0, moment.first), min(moment.last + 1, len(self.run.events)))
        points = [at for at in own if self.run.events[at].frame == moment.frame]
        return points if len(points) <= _MOST_POINTS else points[:150] + points[-150:]

    def _computed(self, worded: WordedClaim) -> bool | None:
        """Returns whether the program's own code of the subject always comes out as claimed.

        None if no line computes it, or if only a name is told.
        """
        wanted = dump_expression(worded.subject or "")
        if wanted is None or is_name(worded.subject or ""):
            return None
        fits = []
        for line, statement in self.run.statements.items():
            own = nodes_of(statement) if isinstance(statement, _SIMPLE) else _tests(statement)
            if not any(dump_node(node) == wanted for node in own):
                continue
            for here in self.run.by_line.get(line, ())[:_MOST_POINTS]:
                text = self.values.text_at(worded.subject or "", here.event.frame, here.at - 1)
                if text is None:
                    return None
                fits.append(compare(worded.value, text) == CONFIRMED)
        return all(fits) if fits else None

    def _is_constant(self, worded: WordedClaim) -> bool:
        """Returns whether a claim is about values alone: "4 % 3 = 1" holds at any time."""
        try:
            evaluate(worded.subject or "", None)
        except (Unknown, ValueError, RecursionError):
            return False
        return True

    def _settled(self, worded: WordedClaim) -> bool:
        """Returns whether the claim holds in every state of the run that knows its subject."""
        if (computed := self._computed(worded)) is not None:
            return computed
        known = False
        for frame, (first, last) in list(self.run.frames.items())[:50]:
            outcomes = self._outcomes(worded, Moment(frame, first, last, "any"))
            known = known or bool(outcomes)
            if not all(fit for fit, _ in outcomes):
                return False
        return known


_SIMPLE = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr


def _tests(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yields the code of a statement's own test."""
    test = getattr(statement, "test", None)
    if test is not None:
        yield from nodes_of(test)


def _edge_of(found: re.Match) -> str:
    word = found["w"].lower()
    if word == "before" or re.search("start|beginning", word):
        return "first"
    return "last" if word == "after" or word.endswith("end of") else "any"
