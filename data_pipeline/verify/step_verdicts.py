"""Judges changes by an amount: "`i` is incremented by 1", "`s` is doubled"."""

import ast
import re
from collections.abc import Callable, Iterator

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.value_verdicts import UNKNOWN, ValueVerdicts, Verdict
from data_pipeline.verify.values import compare

_MOST_CHANGES = 200


class StepVerdicts:
    """Judges by how much a variable changes where a sentence tells it."""

    def __init__(
        self,
        run: Replay,
        values: ValueVerdicts,
        body_of: Callable[[Occurrence], tuple[int, int] | None],
    ):
        self.run, self.values, self.body_of = run, values, body_of

    def grows(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "`x` is incremented by 2": `value` is what is done to it, such as "+ 2"."""
        here = place.occurrence
        if place.window is not None and not place.sure:
            return self._within(worded, place.frame, place.window)
        if here is not None and place.sure:
            span = self.body_of(here) or (here.at, here.end - 1)
            judged = self._any(worded, here.event.frame, span)
            return judged if judged[0] != CONTRADICTED or span[0] == here.at else UNKNOWN
        return self._anywhere(worded)

    def sets(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "`x` is computed here": whether the line, or the turn, sets it."""
        here, name = place.occurrence, worded.subject or ""
        if place.window is not None and not place.sure:
            span, frame = place.window, place.frame
        elif here is not None:
            span, frame = (here.at, here.end - 1), here.event.frame
        else:
            return UNKNOWN
        positions, _ = self.run.history(frame, name)
        if any(span[0] <= at <= span[1] for at in positions):
            return CONFIRMED, f"{name} is set"
        return UNKNOWN

    def kept(self, worded: WordedClaim, place: Place) -> Verdict:
        """Judges "it is skipped", "it is included" of a turn: whether the turn changes anything."""
        if place.window is None or place.sure:
            return UNKNOWN
        first, last = place.window
        bound = self._bound()
        changed = [
            name
            for name in sorted(self.run.names - bound)
            if (before := self.run.value(place.frame, name, first - 1)) is not None
            and before != self.run.value(place.frame, name, last)
        ]
        same = bool(changed) == (worded.value == "True")
        truth = f"{changed[0]} changes" if changed else "nothing changes"
        return (CONFIRMED if same else NOT_CHECKABLE), truth

    def _bound(self) -> set[str]:
        targets = [getattr(self.run.statements[h], "target", None) for h in self.run.loops]
        names = [n for t in targets if t is not None for n in ast.walk(t)]
        return {node.id for node in names if isinstance(node, ast.Name)}

    def _within(self, worded: WordedClaim, frame: int, window: tuple[int, int]) -> Verdict:
        """Judges a change in one turn; what the header binds changes as the next one begins."""
        judged = self._any(worded, frame, window)
        if judged != UNKNOWN:
            return judged
        following = next(self._changes(worded, frame, (window[1] + 1, len(self.run.events))), None)
        bound = following is not None and following in self._headers()
        if bound:
            return self._any(worded, frame, (following, following))
        name = _root(worded)
        known = name in self.run.names and self.run.value(frame, name, window[0]) is not None
        return (CONTRADICTED, f"{name} does not change") if known else UNKNOWN

    def _headers(self) -> set[int]:
        return {o.at for line in self.run.loops for o in self.run.by_line.get(line, ())
                if isinstance(self.run.statements.get(line), ast.For)}  # fmt: skip

    def _anywhere(self, worded: WordedClaim) -> Verdict:
        """Confirms a change that is always the same; contradicts one that never is so."""
        found = {
            judged
            for frame in list(self.run.frames)[:20]
            for at in self._changes(worded, frame, (0, len(self.run.events)))
            if (judged := self._is_so(worded, frame, at)) is not None
        }
        if len(found) != 1 or self.run.trace.truncated:
            return UNKNOWN
        return (CONFIRMED if True in found else CONTRADICTED), None

    def _any(self, worded: WordedClaim, frame: int, span: tuple[int, int]) -> Verdict:
        changes = list(self._changes(worded, frame, span))
        judged = [self._is_so(worded, frame, at) for at in changes]
        if not changes or None in judged:
            return (CONFIRMED, None) if True in judged else UNKNOWN
        name = worded.subject or ""
        shown = [f"{name} from {self.values.text_at(name, frame, at - 1)} to "
                 f"{self.values.text_at(name, frame, at)}" for at in changes[:3]]  # fmt: skip
        return (CONFIRMED if True in judged else CONTRADICTED), ", ".join(shown)

    def _changes(self, worded: WordedClaim, frame: int, span: tuple[int, int]) -> Iterator[int]:
        """Yields the events in a span that give the subject another value."""
        positions, _ = self.run.history(frame, _root(worded))
        subject, found = worded.subject or "", 0
        for at in positions:
            if span[0] <= at <= span[1] and found < _MOST_CHANGES:
                before = self.values.text_at(subject, frame, at - 1)
                if before is not None and before != self.values.text_at(subject, frame, at):
                    found += 1
                    yield at

    def _is_so(self, worded: WordedClaim, frame: int, at: int) -> bool | None:
        """Returns whether one change is what is told; None if that cannot be computed."""
        real = self.values.text_at(worded.subject or "", frame, at)
        told = self.values.text_at(f"({worded.subject}) {worded.value}", frame, at - 1)
        if real is None or told is None:
            return None
        return compare(told, real) == CONFIRMED


def _root(worded: WordedClaim) -> str:
    name = re.match(r"[A-Za-z_]\w*", worded.subject or "")
    return name[0] if name else ""
