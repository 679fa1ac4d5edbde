"""Tells a failing run step by step, with the sentences of the forward narrator."""

import ast
import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from data_pipeline.claims import Claim, Place
from data_pipeline.faults.alignment import INSIDE
from data_pipeline.faults.forms import FAULT_FORMS
from data_pipeline.faults.proof import TwoRuns
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.speech import Part, Sentence, Speaker, join
from data_pipeline.monologue.steps import LineNarrator
from data_pipeline.monologue.wording import Words
from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.replay import Occurrence, replay_of

MAX_VALUE = 120
"""Maximum characters of a value."""

_HEAD, _BEFORE, _AFTER, _TAIL = 6, 7, 2, 3  # steps to show of a long run
_MOST_STATE = 12


class Untold(ValueError):
    """Reports a step that has no words; the message is a reason to count by."""


class _LineNarrator(LineNarrator):
    """Tells lines only; that a function runs off its end is a step of its own."""

    def _end(self, here: Occurrence) -> Sequence[Part]:
        return []

    def end(self, here: Occurrence, value: str) -> Sentence | None:
        line, name = self.program.first_line(here.event), here.event.function.rpartition(".")[2]
        if self.program.is_generator(here.event.frame):
            returns = self.claim("returns", here, name, value)
            return join([self.say("generator ends", returns)], line)
        return join([self.run_off(here, value)], line)


class Side:
    """One of the two runs: its states, its program, and a narrator of its lines."""

    def __init__(self, trace: Trace, speaker: Speaker):
        self.trace, self.run = trace, replay_of(trace)
        self.program = Program(self.run)
        self.narrator = _LineNarrator(self.run, self.program, speaker)
        self.source = trace.program.split("\n")
        starts = (*self.run.entries, *self.run.occurrences)
        self.starts = {here.at: here for here in starts}
        self.of_frame: dict[int, list[int]] = {}
        for at, event in enumerate(trace.events):
            self.of_frame.setdefault(event.frame, []).append(at)

    def occurrence(self, index: int) -> Occurrence | None:
        """Returns the line or call that an event belongs to."""
        own = self.of_frame[self.run.events[index].frame]
        for at in reversed(own[: bisect.bisect_right(own, index)]):
            if at in self.starts:
                return self.starts[at]
        return None

    def code(self, line: int) -> str:
        return self.source[line - 1].strip()

    def place(self, here: Occurrence) -> Place:
        return self.narrator.place(here)


@dataclass(frozen=True)
class Step:
    """Holds a told step.

    number: from 1
    here:   its line, or its call
    at:     index of the event that it tells: of the line, the call, or the end of the function
    """

    number: int
    here: Occurrence
    at: int


class StepTeller:
    """Numbers the steps of a failing run, and tells those that are shown.

    Attributes:
      steps: every step with an effect, in the order in which the effects are known.
      told:  sentences of the steps that have been shown.
    """

    def __init__(self, trace: Trace, runs: TwoRuns, seed: str):
        self.source = trace.program.split("\n")
        words = Words(seed, MAX_VALUE)
        self.speaker = Speaker(runs, words, FAULT_FORMS, self.cite)
        self.side = Side(trace, self.speaker)
        self.runs = runs
        self.steps: list[Step] = []
        self.told: list[Sentence] = []
        for index in in_time(trace.events):
            here = self.side.occurrence(index)
            if here is not None and self._is_step(here, index):
                self.steps.append(Step(len(self.steps) + 1, here, index))
                runs.steps.append(self.side.place(here))

    def cite(self, line: int) -> str:
        """Returns "line 4 (`x += 1`)"; "" for a line that only the right program has."""
        if line > len(self.source):
            return ""
        return f"line {line} (`{self.source[line - 1].strip()}`)"

    def _is_step(self, here: Occurrence, index: int) -> bool:
        if index != here.at:
            is_made = here.event.function.endswith("__init__")
            return self._runs_off(index, here) and not is_made
        statement = self.side.program.statement(here.event)
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        silent = isinstance(statement, ast.Try | ast.Global | ast.Nonlocal) or is_text
        return here.event.kind == "call" or not silent

    def _tell(self, step: Step) -> Sentence:
        narrator, here = self.side.narrator, step.here
        if step.at != here.at:
            told = narrator.end(here, self.side.run.events[step.at].value or "")
        elif here.event.kind == "call":
            told = narrator.entry(here.event.frame)
        elif here.event.line in self.side.run.loops and not here.event.part:
            told = narrator.turn(here)
        else:
            told = narrator.line(here)
        if told is None:
            raise Untold("a step that cannot be told")
        self.told.append(told)
        return told

    def teller_of(self, index: int) -> int:
        """Returns the index of the event with which an event is told: itself or its line."""
        here = self.side.occurrence(index) if index < len(self.side.run.events) else None
        if here is None or self._runs_off(index, here):
            return index
        return here.at

    def _runs_off(self, index: int, here: Occurrence) -> bool:
        """Returns whether a function ends at an event without a `return`."""
        statement = self.side.program.statement(here.event)
        ends = self.side.run.events[index].kind == "return"
        return ends and not isinstance(statement, ast.Return)

    def at(self, index: int) -> Step | None:
        """Returns the step that tells an event; None if it is not told."""
        at = self.teller_of(index)
        return next((step for step in self.steps if step.at == at), None)

    def before(self, index: int) -> Step | None:
        """Returns the last told step that is over when the event at `index` comes."""
        events = self.side.run.events
        depth = events[index].depth if index < len(events) else 0
        over = set(in_time(events[:index], depth))
        return next((step for step in reversed(self.steps) if step.at in over), None)

    def shown(self, step: Step) -> list[str]:
        """Returns the lines of the telling, with the numbers of the steps.

        All steps of a short run; of a long one the first, those around `step`, and the last.
        """
        count, middle = len(self.steps), step.number - 1
        chosen = {
            *range(min(_HEAD, count)),
            *range(max(middle - _BEFORE, 0), min(middle + _AFTER + 1, count)),
            *range(max(count - _TAIL, 0), count),
        }
        lines: list[str] = []
        latest = -1
        for number in sorted(chosen):
            if number - latest == 2:  # omitting one step saves nothing
                lines.append(self._numbered(self.steps[number - 1]))
            elif number - latest > 2:
                lines.append(f"({self._left_out(latest + 2, number)})")
            lines.append(self._numbered(self.steps[number]))
            latest = number
        return lines

    def _numbered(self, step: Step) -> str:
        told = self._tell(step)
        line = self.cite(told.line)
        return f"{step.number}. {line[0].upper()}{line[1:]}: {told.text}"

    def _left_out(self, first: int, last: int) -> str:
        """Words that steps are left out, and the variables before the next one."""
        here = self.steps[last].here
        skipped = Claim("skipped", Place(0), "", f"{first}-{last}")
        state: Sequence[Claim | None] = []
        if here.event.kind == "line":
            names = list(self.side.run.moments[here.at].before)[:_MOST_STATE]
            state = [self.side.narrator.before(here, name) for name in names]
        shown = [c for c in state if c and self.speaker.words.value(c.value) is not None]
        told = self.speaker.say("skipped", skipped, *shown) if shown else None
        sentence = join([told or self.speaker.say("skipped bare", skipped)])
        assert sentence is not None
        self.told.append(sentence)
        return sentence.text


def in_time(events: Sequence[Event], depth: int = 0) -> list[int]:
    """Returns the indices of the events in the order of their effects.

    A trace records a line's effect at its start, but it is known only when the calls that it makes
    are over. Leaves out steps of lambdas and generator expressions (`INSIDE`), and unfinished lines
    of frames above `depth`.
    """
    order: list[int] = []
    lines: list[int] = []  # lines that may still be making calls, outermost first
    for index, event in enumerate(events):
        if event.function.endswith(INSIDE):
            continue
        while event.kind != "step" and lines and events[lines[-1]].depth >= event.depth:
            order.append(lines.pop())
        if event.kind == "line":
            lines.append(index)
        else:
            order.append(index)
    return order + [index for index in reversed(lines) if events[index].depth >= depth]
