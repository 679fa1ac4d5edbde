"""Judges words that fix the moment of a value: "is initialized to", "the loop starts with".

The run has the value, but not then: the first value of a variable is the one that the line gives
it which sets it first, a loop starts with its first turn, and what is there after a step is not
what was there before it.
"""

import re
from collections.abc import Iterator

from data_pipeline.source.literals import value_or_none
from data_pipeline.tracing.replay import Occurrence, Replay
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE
from data_pipeline.verify.layout import Sentence
from data_pipeline.verify.places import Place
from data_pipeline.verify.pools import Pool
from data_pipeline.verify.stated import WordedClaim
from data_pipeline.verify.turns import body_window
from data_pipeline.verify.value_verdicts import ValueVerdicts, Verdict
from data_pipeline.verify.values import compare
from data_pipeline.verify.wordlists import word_set

_FIRST = re.compile(r"\binitiali[sz]ed\b", re.I)
_LOOP_STARTS = re.compile(r"\bloop (?:starts|begins|is entered)\b", re.I)
_STEP = r"(?:this|the|that) (?:line|step|statement|operation|assignment|append|pop|insertion)"
_AFTERWARDS = re.compile(
    rf"\bnow\b|\bnew value\b|\bbecomes\b|\bis then\b|\bafter (?:{_STEP}|it\b)", re.I
)
_BEFOREHAND = re.compile(
    rf"\bold value\b|\bstarts as\b|\bpreviously\b|\bbefore (?:{_STEP}|it\b)", re.I
)
_ONE_CHARACTER = word_set("character char letter digit")
_MOST_TURNS = 500


class Moments:
    """Knows when the variables of one run have their values."""

    def __init__(self, run: Replay, values: ValueVerdicts):
        self.run, self.values = run, values

    def denied(self, worded: WordedClaim, sentence: Sentence, place: Place) -> Verdict | None:
        """Returns another verdict for a claim that holds at another moment than the one told."""
        if sentence.is_general:
            return None
        if worded.kind == "value" and worded.subject in self.run.names:
            if _FIRST.search(worded.text) and not place.sure:
                return self._not_first(worded)
            if _LOOP_STARTS.search(sentence.plain):
                return self._not_first_turn(worded, place)
        if worded.noun is not None and worded.noun.word in _ONE_CHARACTER:
            told = value_or_none(worded.value) if worded.kind == "refer" else None
            if isinstance(told, str) and len(told) != 1:
                return CONTRADICTED, f"it has {len(told)} characters"
        if place.sure and place.occurrence is not None:
            judged = self._beside_line(worded, place.occurrence)
            return judged or self._before_change(worded, sentence, place.occurrence)
        if (
            worded.kind == "value"
            and place.window is not None
            and _AFTERWARDS.search(sentence.plain)
        ):
            return self._left_behind(worded, place)
        if worded.kind in ("refer", "outcome") and worded.when in ("after", "before"):
            return self._beside_step(worded, place)
        return None

    def _left_behind(self, worded: WordedClaim, place: Place) -> Verdict | None:
        """Doubts "`n` is now 2" of a turn that begins with 2 and gives `n` other values."""
        assert place.window is not None
        first, last = place.window
        name, frame = worded.subject or "", place.frame
        given = [
            event.changed[name] for event in self.run.events[first : last + 1]
            if event.frame == frame and event.kind != "call" and name in event.changed
        ]  # fmt: skip
        if not given or any(compare(worded.value, text) == CONFIRMED for text in given):
            return None
        return NOT_CHECKABLE, f"{name}={given[-1]}"

    def _set_values(self) -> Iterator[str]:
        """Yields the values that lines give to variables, after the calls have begun."""
        for here in self.run.occurrences:
            if here.event.kind != "call":
                yield from here.event.changed.values()

    def _not_first(self, worded: WordedClaim) -> Verdict | None:
        """Contradicts "`n` is initialized to 1" unless the line that sets it first gives it 1."""
        name, first, truths = worded.subject or "", None, []
        if any(name in entry.event.changed for entry in self.run.entries):
            return None  # a parameter, whose argument may be meant
        for here in self.run.occurrences:
            text = here.event.changed.get(name)
            if text is None:
                continue
            first = first or here.event.line
            if here.event.line == first:
                truths.append(text)
        if not truths or any(compare(worded.value, text) == CONFIRMED for text in truths):
            return None
        verdict = NOT_CHECKABLE if self.run.trace.truncated else CONTRADICTED
        return verdict, f"{name}={truths[0]}"

    def _not_first_turn(self, worded: WordedClaim, place: Place) -> Verdict | None:
        """Contradicts "the loop starts with `i` = 1" where its first turn has another `i`."""
        here = place.occurrence
        if (
            here is None
            or not place.sure
            or not self.values.binds(here.event, worded.subject or "")
        ):
            return None
        starts = [
            one.event.changed.get(worded.subject or "")
            for one in self.run.by_line.get(here.event.line, ())[:_MOST_TURNS]
            if one.turns.get(here.event.line) == 1
        ]
        known = [text for text in starts if text is not None]
        if not known or any(compare(worded.value, text) == CONFIRMED for text in known):
            return None
        return CONTRADICTED, f"{worded.subject}={known[0]}"

    def _beside_line(self, worded: WordedClaim, here: Occurrence) -> Verdict | None:
        """Contradicts "[L6] `a` is now 2" where only the state before the line has that, and such.

        The words must be those of the claim itself: in "with `a` = 2, `a` becomes 3" and in "`a` is
        2, so it is now 3" the first value is that before the line. A header's body may be meant,
        and what a line calls: these are left alone.
        """
        after, before = _AFTERWARDS.search(worded.text), _BEFOREHAND.search(worded.text)
        if (after and worded.when == "before") or (before and worded.when == "after"):
            return None  # "changes from 2 to 3 after this step" has both
        if bool(after) == bool(before) or body_window(self.run, here) is not None:
            return None
        frame, ends = here.event.frame, (here.at, here.end - 1) if after else (here.at - 1,)
        if worded.kind == "value" and worded.subject:
            texts = [self.values.text_at(worded.subject, frame, at) for at in ends]
            known = [text for text in texts if text is not None]
            if known and all(compare(worded.value, text) == CONTRADICTED for text in known):
                return CONTRADICTED, f"{worded.subject} = {known[-1]}"
            if after and not known and not worded.subject.isidentifier():
                return NOT_CHECKABLE, None  # an item that the line takes away
        elif worded.kind == "refer" and after:
            pools = self.values.pools
            held = any(pools.held(frame, at).has(worded.value) for at in ends)
            if not held and not pools.results(here).has(worded.value):
                return NOT_CHECKABLE, None
        return None

    def _before_change(
        self, worded: WordedClaim, sentence: Sentence, here: Occurrence
    ) -> Verdict | None:
        """Doubts "with `a` = 5, `a` becomes 5" where `a` had another value before the line."""
        name, claims = worded.subject or "", sentence.reading.claims
        if worded.kind != "value" or worded.when != "any" or worded not in claims:
            return None
        changes = any(
            later.when == "after" and later.subject == name
            for later in claims[claims.index(worded) + 1 :]
        )
        if not changes or body_window(self.run, here) is not None:
            return None
        text = self.values.text_at(name, here.event.frame, here.at - 1)
        if text is None or compare(worded.value, text) != CONTRADICTED:
            return None
        return NOT_CHECKABLE, f"{name} = {text}"

    def _beside_step(self, worded: WordedClaim, place: Place) -> Verdict | None:
        """Doubts "after the step: [1]" where only what was before it has [1], and the reverse."""
        here, pools = place.occurrence, self.values.pools
        if place.sure:
            return None
        if here is None:
            known = Pool(dict.fromkeys(self._set_values()))
            unset = worded.when == "after" and pools.arguments.has(worded.value)
            return (NOT_CHECKABLE, None) if unset and not known.has(worded.value) else None
        first, last = place.window or (here.at, here.end - 1)
        frame = place.frame if place.window else here.event.frame
        steps = [one for one in self.run.occurrences if first <= one.at <= last]
        if worded.when == "before":
            known = pools.held(frame, first - 1)
            known.add(text for one in steps[:-1] for text in one.event.changed.values())
        else:
            known = pools.held(frame, last)
            known.add(text for one in steps for text in one.event.changed.values())
        return None if known.has(worded.value) else (NOT_CHECKABLE, None)
