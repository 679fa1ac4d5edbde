"""Judges the claims of a sentence at the place, and at the time, that the text gives it.

`ClaimJudge` judges a claim at a place. What is left here is what only the text tells: a turn's
number, the end of the run, what holds before the next line that is told, a line that does not run.
"""

import dataclasses
import re

from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.beyond import BeyondVerdicts
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.judging import ClaimJudge
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.moments import Moments
from data_pipeline.verify.places import Place
from data_pipeline.verify.placing import Placement
from data_pipeline.verify.residue import executions, misread, turns_of_kind
from data_pipeline.verify.screening import screened
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.story import Story
from data_pipeline.verify.times import TimeVerdicts
from data_pipeline.verify.told_tests import ToldTests
from data_pipeline.verify.turns import body_window, turn_end
from data_pipeline.verify.value_verdicts import Verdict
from data_pipeline.verify.values import compare

_NUMERAL = re.compile(r"\b(?:iteration|turn|pass)\W{0,3}(?:number |no\. )?\W?\d", re.I)
_LABEL = screened(r"\bL\d+\b")
_END = re.compile(r"\b(?:at|in) the (?:very )?end\b|\b(?:last|final) value of\b", re.I)
_NOT_ALL = re.compile(r"\bnot (?:both|all|each|every)\b", re.I)
_NOW = re.compile(r"[Nn]ow\b")
_PLACED = re.compile(r"conclusion|execution|reverse")


@dataclasses.dataclass
class Progress:
    """Holds how far a text has told the run.

    last: the last place that was told; turn: event at which the last turn that was told begins
    """

    last: Occurrence | None = None
    turn: int = -1


def is_loose(sentence: Sentence, place: Place) -> bool:
    """Returns whether nothing but the sentence's own words says when it holds."""
    if _PLACED.match(sentence.section) or sentence.own or sentence.is_general:
        return False
    return place == Place(None, False) or sentence.turn is not None


def is_held_over(sentence: Sentence) -> bool:
    """Returns whether only an earlier sentence of the same indent names a sentence's turn."""
    around = sentence.around
    return sentence.turn is None and bool(around) and max(around) not in sentence.inside


class SentenceVerdicts:
    """Judges the claims of one text's sentences, in their order."""

    def __init__(
        self,
        run: Replay,
        judge: ClaimJudge,
        placement: Placement,
        progress: Progress,
        story: Story,
        told_tests: ToldTests,
        times: TimeVerdicts,
        beyond: BeyondVerdicts,
    ):
        self.run, self.judge, self.placement, self.progress = run, judge, placement, progress
        self.story, self.told_tests, self.times, self.beyond = story, told_tests, times, beyond
        self.moments = Moments(run, judge.values)
        self.offsets: dict[int, int] = {}  # header -> 1 where the text counts its turns from 0

    def judged(
        self,
        worded: WordedClaim,
        sentence: Sentence,
        here: Occurrence | None,
        place: Place,
        missing: bool,
    ) -> Verdict:
        """Returns the verdict on one claim of a sentence.

        here: the execution of the line that the sentence is placed at
        missing: whether no turn of the run is the one that the sentence tells
        """
        if missing and not sentence.own:
            return self.beyond.judged(worded, sentence, self.progress.turn)
        if worded.kind == "turn" and not sentence.own:
            return self._numbered(worded, sentence, place)
        if sentence.own and here is None and sentence.label is not None and worded.kind != "turns":
            return self._not_run(worded, sentence)
        verdict, truth = self.judge.judge(worded, place)
        asks = not sentence.is_general and not _NOT_ALL.search(sentence.plain)
        if asks and (counted := self.told_tests.counted(worded, place)):
            return counted
        if sentence.element is not None and (verdict != CONFIRMED or worded.kind == "outcome"):
            line = here.event.line if here is not None and sentence.own else None
            told = self.judge.comprehensions.judge(worded, sentence.element, line)
            if told is not None:
                return told
        loose = place == Place(None, False) or (not sentence.own and _END.search(worded.text))
        if verdict == CONFIRMED and worded.kind == "ended" and loose and "not" in worded.text:
            return NOT_CHECKABLE, truth  # every loop "does not continue" at some time
        if verdict == CONFIRMED and worded.kind == "value" and loose:
            verdict = self._at_the_end(worded, sentence)
        if worded.kind == "raise" and place.window is not None and not place.sure:
            verdict, truth = self.judge.ends.raised_within(worded, place.window)
            if verdict == CONTRADICTED and is_held_over(sentence):
                verdict = NOT_CHECKABLE
        called = verdict == CONTRADICTED and worded.kind == "call made"
        if called and self.judge.judge(worded, Place(None, False))[0] == CONFIRMED:
            verdict = NOT_CHECKABLE  # another line than this one makes it
        if verdict == CONTRADICTED and worded.kind == "return" and not sentence.own:
            verdict, truth = self._of_whole_call(worded, (verdict, truth))
        verdict, truth = self._timed(worded, sentence, place, (verdict, truth))
        if verdict == CONTRADICTED and self._is_of_later_turn(worded, sentence, place):
            return NOT_CHECKABLE, truth
        if verdict == CONFIRMED and (other := self.moments.denied(worded, sentence, place)):
            return other
        now = verdict == CONTRADICTED and worded.kind == "value" and place.sure
        later = _NOW.match(sentence.text) or len(_LABEL.findall(sentence.text)) > 1
        if now and here is not None and later and self._soon(worded, here):
            return CONFIRMED, f"{worded.subject}={worded.value}"
        if verdict == NOT_CHECKABLE and worded.kind in ("put", "taken") and place.sure:
            verdict, truth = self._moved_soon(worded, place, truth)
        moves = worded.kind in ("put", "taken") and place.sure and verdict != CONTRADICTED
        if moves and here is not None and body_window(self.run, here) is None:
            other = self.judge.hints.moved_otherwise(worded, here)
            verdict, truth = (verdict, truth) if other is None else other
        if verdict == CONTRADICTED and sentence.is_general:
            verdict = NOT_CHECKABLE  # about any call, or about an example
        return verdict, truth

    def _of_whole_call(self, worded: WordedClaim, verdict: Verdict) -> Verdict:
        """Judges "the function returns 3" by the run's own call, where another call is told."""
        result = self.run.trace.result
        meant = worded.subject is None and result is not None
        if meant and compare(worded.value, result or "") == CONFIRMED:
            return CONFIRMED, result
        return verdict

    def _is_of_later_turn(self, worded: WordedClaim, sentence: Sentence, place: Place) -> bool:
        """Returns whether prose may have gone on from the turn that an earlier sentence named."""
        if place.window is None or place.sure or worded.kind != "value" or not worded.subject:
            return False
        if not is_held_over(sentence):
            return False
        later = (place.window[1] + 1, len(self.run.events) - 1)
        judged = self.judge.values.within(worded, place.frame, later)
        return judged is not None and judged[0] == CONFIRMED

    def _numbered(self, worded: WordedClaim, sentence: Sentence, place: Place) -> Verdict:
        """Judges the number of a turn's heading: a text counts as it began to, from 0 or from 1."""
        if place.window is None:
            return NOT_CHECKABLE, None
        header = max(sentence.around)
        turn, number = sentence.around[header], int(worded.value)
        if min(turn, number) < 0 or not _NUMERAL.search(sentence.plain):
            return CONFIRMED, None
        first = min(max(turn - number, 0), 1)  # a text counts from 1, or from 0
        offset = self.offsets.setdefault(header, first)
        fits = offset == turn - number
        return (CONFIRMED, None) if fits else (CONTRADICTED, f"iteration {turn - offset}")

    def _timed(
        self, worded: WordedClaim, sentence: Sentence, place: Place, verdict: Verdict
    ) -> Verdict:
        """Judges a claim of a sentence that no label places at the time that it states."""
        plain, loose = sentence.plain, is_loose(sentence, place)
        if worded.kind == "turns":
            if place.occurrence is None and self.times.reached(plain):
                return CONFIRMED, verdict[1]
            counted = executions(self.run, self.judge.code, plain)
            if counted is None:
                counted = self.judge.loops.named_turns(worded, plain, place)
            if counted is None and worded.given and loose:
                counted = NOT_CHECKABLE, verdict[1]
            if counted is None and loose:
                counted = turns_of_kind(self.run, worded.value, plain)
            return counted or verdict
        if loose or (sentence.turn is not None and not sentence.own):
            timed = self.times.judged(worded, plain, verdict, place, loose=loose)
            if timed[0] == NOT_CHECKABLE and self.story.bears_out(sentence, worded, place, verdict):
                timed = CONFIRMED, verdict[1]
            verdict = timed
        if (
            loose
            and verdict[0] == CONTRADICTED
            and misread(worded.subject or "", worded.value, plain)
        ):
            return NOT_CHECKABLE, verdict[1]
        return verdict

    def _at_the_end(self, worded: WordedClaim, sentence: Sentence) -> str:
        """Confirms a value told in the conclusion only if the run ends with it."""
        name = worded.subject or ""
        told = sentence.section.startswith("conclusion") or _END.search(worded.text)
        if not told or name not in self.run.names:
            return CONFIRMED
        texts = [text for text in self.run.history(0, name)[1] if text is not None]
        ends = not texts or compare(worded.value, texts[-1]) == CONFIRMED
        given = texts and compare(worded.value, texts[0]) == CONFIRMED
        return CONFIRMED if ends or given else NOT_CHECKABLE

    def _soon(self, worded: WordedClaim, here: Occurrence) -> bool:
        """Returns whether a value holds before the next line that is told."""
        after = [o.at for o in self.placement.places if o is not None and o.at > here.at]
        if not after or worded.when == "before":
            return False
        end = min(min(after) - 1, turn_end(self.run, here))
        judged = self.judge.values.within(worded, here.event.frame, (here.at + 1, end))
        return judged is not None and judged[0] == CONFIRMED

    def _moved_soon(self, worded: WordedClaim, place: Place, truth) -> Verdict:
        """Confirms "appends V" if that happens before the next line that is told."""
        here = place.occurrence
        after = [o.at for o in self.placement.places if o is not None and here and o.at > here.at]
        if here is None or not after:
            return NOT_CHECKABLE, truth
        window = (here.at, min(min(after) - 1, turn_end(self.run, here)))
        judged = self.judge.judge(worded, Place(here, False, window, here.event.frame))
        return judged if judged[0] == CONFIRMED else (NOT_CHECKABLE, truth)

    def _not_run(self, worded: WordedClaim, sentence: Sentence) -> Verdict:
        """Judges what is told beside the label of a line that does not run here."""
        if worded.kind == "entered" and worded.value == "False":
            if sentence.label == -1 and self.progress.last is not None:  # "[L8]", an `else:`
                return self.judge.last_test(True, self.progress.last)
            if not self.run.by_line.get(sentence.label or -1):
                return CONFIRMED, "the line does not run"
        elif worded.kind in ("branch", "same", "test") and self.progress.last is not None:
            verdict, truth = self.judge.judge(worded, Place(self.progress.last, False))
            return (verdict if verdict == CONFIRMED else NOT_CHECKABLE), truth
        elif worded.kind == "value" and worded.subject:
            verdict, truth = self.judge.judge(worded, Place(None, False))
            if verdict == CONTRADICTED:  # the run never has it, wherever this was to be
                return verdict, truth
        return NOT_CHECKABLE, None
