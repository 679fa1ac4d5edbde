"""Judges claims that hold in a stated state only: "for n = 1 the condition holds"."""

import ast
import dataclasses
import re

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.asides import parse_code
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.evaluation import Unknown, evaluate_node
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.turns import turn_window
from data_pipeline.verify.value_verdicts import UNKNOWN, ValueVerdicts, Verdict
from data_pipeline.verify.values import compare

_MOST = 400
_JUDGED_BY_TIME = ("value", "test", "branch", "filled")  # `times` knows the state of these


class GivenVerdicts:
    """Judges what is told of the states in which variables have certain values."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def judge(self, worded: WordedClaim, place: Place) -> Verdict | None:
        """Returns the verdict in the state that a claim names; None to judge it at its place."""
        if (constant := self._filled_in(worded)) is not None:
            return constant
        here = place.occurrence
        if here is not None and place.sure:
            return None if self._holds(worded, here) else UNKNOWN
        of_loop = worded.kind == "entered" and re.search(r"\bloop\b", worded.text)
        if worded.kind in ("branch", "entered") and worded.subject is None and not of_loop:
            return self._tests(worded, place)
        if worded.kind == "return" and worded.subject is None and here is None:
            return self._calls(worded)
        if worded.kind == "ended":
            return self._ended(worded, place)
        if place == Place(None, False) and worded.kind not in ("turns", *_JUDGED_BY_TIME):
            return UNKNOWN
        return None

    def _filled_in(self, worded: WordedClaim) -> Verdict | None:
        """Judges "`n > 2` is False for n = 5" by the values that it names, whatever the run has."""
        code = parse_code(worded.subject or "")
        if worded.kind not in ("branch", "test", "value") or not isinstance(code, ast.Compare):
            return None
        try:
            holds = bool(evaluate_node(code, _Told(dict(worded.given), self.run)))  # type: ignore[arg-type]
        except Unknown:
            return None
        truth = f"{worded.subject} is {holds}"
        return (CONFIRMED if str(holds) == worded.value else CONTRADICTED), truth

    def _holds(self, worded: WordedClaim, here: Occurrence) -> bool:
        """Returns whether some state of a line has the values; names it lacks do not count."""
        points = (here.at - 1, here.at, here.end - 1)
        return any(self._has(worded, here.event.frame, at) for at in points)

    def _has(self, worded: WordedClaim, frame: int, at: int) -> bool:
        known = [(v, self.run.value(frame, name, at)) for name, v in worded.given]
        told = [(v, text) for v, text in known if text is not None]
        return bool(told) and all(compare(v, text) == CONFIRMED for v, text in told)

    def _tests(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "for n = 1 the condition holds" by all tests made in such a state."""
        kinds = (ast.If,) if worded.kind == "entered" else (ast.If, ast.While)
        made = [
            here
            for here in self.run.occurrences[: _MOST * 5]
            if here.event.branch is not None
            and isinstance(self.run.statement_of(here.event), kinds)
            and (place.window is None or place.window[0] <= here.at <= place.window[1])
            and self._has(worded, here.event.frame, here.at)
        ]
        outcomes = {here.event.branch for here in made}
        truth = "the condition is " + " and ".join(sorted(map(str, outcomes)))
        if len(outcomes) != 1:
            return NOT_CHECKABLE, truth if outcomes else None
        same = outcomes == {worded.value == "True"}
        return (CONFIRMED if same else CONTRADICTED), truth

    def _calls(self, worded: WordedClaim) -> Verdict:
        """Judges "for n = 1 the function returns 2" by the calls that have such arguments."""
        frames = list(self.run.frames.items())[:_MOST]
        made = [f for f, (first, _) in frames if self._has(worded, f, first)]
        results = [text for frame in made if (text := self.run.frame_result(frame)) is not None]
        if not results or len(results) != len(made):
            return UNKNOWN
        fits = any(compare(worded.value, text) == CONFIRMED for text in results)
        return (CONFIRMED if fits else CONTRADICTED), results[-1]

    def _ended(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "the loop stops at n = 5" by the states after the runs of loops."""
        ends = [
            (here, header)
            for header in self.run.loops
            for here in self.run.by_line.get(header, ())[:_MOST]
            if here.turns.get(header) == here.totals[header][0] or here.turns.get(header) == 0
        ]
        if any(self._has(worded, here.event.frame, self._after(here, h)) for here, h in ends):
            return CONFIRMED, "the loop ends so"
        bound = {name for header in self.run.loops for name in self._bound(header)}
        if not ends or bound & {name for name, _ in worded.given} or self.run.trace.truncated:
            return UNKNOWN
        here, header = ends[-1]
        told = [(n, self.run.value(here.event.frame, n, self._after(here, header)))
                for n, _ in worded.given]  # fmt: skip
        return CONTRADICTED, ", ".join(f"{name}={text}" for name, text in told)

    def _after(self, here: Occurrence, header: int) -> int:
        return turn_window(self.run, here, header)[1]

    def _bound(self, header: int) -> list[str]:
        target = getattr(self.run.statements.get(header), "target", None)
        return [] if target is None else [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]


@dataclasses.dataclass(frozen=True)
class _Told:
    """Knows the values that a sentence names, and no others."""

    names: dict[str, str]
    run: Replay

    def get(self, name: str) -> str | None:
        return self.names.get(name) or self.run.constants.get(name)
