"""Places values that no label and no heading places: a text tells its run in order.

"total = 4", "total = 6", "total = 13" fit the states of a run one after the other. The search is
dynamic programming over the states of the run's own call: each value takes a state that has it, no
earlier than the value before it, or none. A value that the text reaches only by leaving out another
value of the same variable stays open, since it may be told of the wrong step.
"""

import dataclasses
import itertools
from collections.abc import Sequence

from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.evaluation import Unknown, evaluate
from data_pipeline.verify.judging import ClaimJudge
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.places import Place
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.times import TimeVerdicts
from data_pipeline.verify.value_verdicts import Verdict, is_name
from data_pipeline.verify.values import compare

_OF_STEPS = frozenset(("put", "taken", "refer", "refer test", "outcome", "same", "grows", "kept",
                       "gives", "entered", "sets", "ended"))  # fmt: skip
_MOST_STATES = 400
_MOST_VALUES = 200
_STEP = 0.01  # what it costs to pass a state
_MOST_BETWEEN = 8  # states between two values that are told one after the other
_LEAST_TOLD = 3  # sentences that tell the run in order; fewer are no story
_MISS = 0.25  # what it costs to leave a value without a state


@dataclasses.dataclass(frozen=True)
class _Told:
    sentence: int  # its identity: `id` of the sentence
    worded: WordedClaim
    fits: tuple[bool, ...]  # for each state


class Story:
    """Knows which values of a text fit the run in the order of the text."""

    def __init__(
        self, run: Replay, judge: ClaimJudge, times: TimeVerdicts, sentences: Sequence[Sentence]
    ):
        self.run, self.judge, self.times, self.values = run, judge, times, judge.values
        self.states = self._states()
        self.placed: dict[tuple[int, WordedClaim], int] = {}
        self.order: dict[tuple[int, WordedClaim], int] = {}  # the claims of the text, in order
        self.path: list[tuple[int, int]] = []  # place in that order, state
        told = self._told(sentences) if len(self.states) <= _MOST_STATES else []
        if told and len(told) <= _MOST_VALUES:
            self._place(told)

    def bears_out(
        self, sentence: Sentence, worded: WordedClaim, place: Place, verdict: Verdict
    ) -> bool:
        """Returns whether a claim fits the run where the order of the text puts it."""
        if self.times.names_time(sentence.plain):
            return False
        if verdict[0] == CONFIRMED and self.fits(sentence, worded):
            return True
        if worded.kind == "goes on":
            window = place.window or self.window(sentence, worded)
            return window is not None and self._goes_on(window[0])
        if place.window is not None:
            return verdict[0] == CONFIRMED and self.anchors(sentence)
        if worded.kind in ("test", "branch") and worded.subject is not None:
            return self.holds_throughout(sentence, worded)
        if worded.kind not in _OF_STEPS or (window := self.window(sentence, worded)) is None:
            return False
        return self.judge.judge(worded, Place(None, False, window, 0))[0] == CONFIRMED

    def _goes_on(self, at: int) -> bool:
        """Returns whether a loop makes another turn after an event of the run's own call."""
        here = [o for o in self.run.occurrences if o.at <= at and o.event.frame == 0]
        return bool(here) and self.judge.loops.goes_on(here[-1])[0] == CONFIRMED

    def fits(self, sentence: Sentence, worded: WordedClaim) -> bool:
        """Returns whether a value holds where the text tells it."""
        return (id(sentence), worded) in self.placed

    def window(self, sentence: Sentence, worded: WordedClaim) -> tuple[int, int] | None:
        """Returns the part of the run between the values told before and after a claim.

        None if that is long, so that it does not tell which step is meant.
        """
        at = self.order.get((id(sentence), worded))
        if at is None or not self.placed:
            return None
        low = max((k for place, k in self.path if place <= at), default=0)
        high = min((k for place, k in self.path if place >= at), default=len(self.states) - 1)
        if high - low > _MOST_BETWEEN:
            return None
        end = self.states[high] if high + 1 < len(self.states) else len(self.run.events) - 1
        return min(self.states[low] + 1, end), end

    def holds_throughout(self, sentence: Sentence, worded: WordedClaim) -> bool:
        """Returns whether a test comes out as told from the value told before it to the next."""
        window = self.window(sentence, worded)
        if window is None or not worded.subject:
            return False
        first, last = window
        points = [first - 1, *(k for k in self.states if first <= k < last)]
        outcomes = set()
        for at in points:
            try:
                outcomes.add(str(bool(evaluate(worded.subject, self.run.state(0, at)))))
            except (Unknown, ValueError, RecursionError):
                continue
        return outcomes == {worded.value}

    def anchors(self, sentence: Sentence) -> bool:
        """Returns whether a sentence names its turn by a value that holds where it is told."""
        return sentence.turn is not None and any(
            (id(sentence), worded) in self.placed for worded in sentence.reading.claims
        )

    def _states(self) -> list[int]:
        """Returns the events of the run's own call that change a variable."""
        found = [
            at
            for at, event in enumerate(self.run.events)
            if event.frame == 0 and event.kind != "step" and (event.changed or event.gone)
        ]
        return found or [0]

    def _told(self, sentences: Sequence[Sentence]) -> list[_Told]:
        told = []
        for sentence in sentences:
            if sentence.is_general or sentence.own:
                continue
            for worded in _in_text_order(sentence):
                self.order.setdefault((id(sentence), worded), len(self.order))
                if worded.kind == "value" and worded.subject and not worded.given:
                    fits = self._fits(worded)
                    if any(fits):
                        told.append(_Told(id(sentence), worded, fits))
        return told

    def _fits(self, worded: WordedClaim) -> tuple[bool, ...]:
        """Returns for each state whether the value holds there."""
        subject, fits, known = worded.subject or "", [], {None: False}
        names = is_name(subject)
        if names and subject not in self.run.names:
            return ()
        for at in self.states:
            text = self.run.value(0, subject, at) if names else self.values.text_at(subject, 0, at)
            if text not in known:
                known[text] = compare(worded.value, text or "") == CONFIRMED
            fits.append(known[text])
        return tuple(fits)

    def _place(self, told: list[_Told]) -> None:
        """Finds the states of most values, in order."""
        count = len(self.states)
        scores = [-_STEP * k for k in range(count)]
        choices: list[list[tuple[int, bool]]] = []
        for one in told:
            following, chosen = [], []
            best, best_at = -1e18, 0
            for k in range(count):
                if scores[k] + _STEP * k > best:
                    best, best_at = scores[k] + _STEP * k, k
                left_out = scores[k] - _MISS
                taken = best - _STEP * k + 1.0 if one.fits[k] else -1e18
                following.append(max(taken, left_out))
                chosen.append((best_at, True) if taken >= left_out else (k, False))
            scores = following
            choices.append(chosen)
        at = max(range(count), key=lambda k: scores[k])
        path: list[tuple[int, bool]] = []
        for chosen in reversed(choices):
            before, matched = chosen[at]
            path.append((at, matched))
            at = before
        self._note(told, path[::-1])

    def _note(self, told: list[_Told], path: list[tuple[int, bool]]) -> None:
        """Notes the values that were placed without leaving out a value of the same variable."""
        told_by = {one.sentence for one, (_, matched) in zip(told, path, strict=True) if matched}
        if len(told_by) < _LEAST_TOLD:
            return
        last: dict[str, int] = {}
        for one, (at, matched) in zip(told, path, strict=True):
            if not matched:
                continue
            subject = one.worded.subject or ""
            key = one.sentence, one.worded
            self.path.append((self.order[key], at))
            if self._left_out(subject, last.get(subject), at) == 0:
                self.placed[key] = self.states[at]
            last[subject] = at

    def _left_out(self, subject: str, last: int | None, at: int) -> int:
        """Returns how many values a variable has between the one told last and this one."""
        if not is_name(subject):
            return 0
        first = 0 if last is None else last
        texts = [self.run.value(0, subject, k) for k in self.states[first : at + 1]]
        changes = [b for a, b in itertools.pairwise(texts) if a != b and b is not None]
        if last is None:
            changes = changes[1:]  # a text may leave out how a variable begins
        return max(0, len(changes) - 1)


def _in_text_order(sentence: Sentence) -> list[WordedClaim]:
    """Returns the claims of a sentence in the order in which it tells them."""
    plain = sentence.plain.replace("`", "")
    places = [plain.find(worded.text.replace("`", "")) for worded in sentence.reading.claims]
    order = sorted(range(len(places)), key=lambda n: (places[n] < 0, places[n]))
    return [sentence.reading.claims[n] for n in order]
