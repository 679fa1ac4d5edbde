"""Chooses what a forward monologue tells: lines, turns of loops and calls, and what is left out.

A loop is told by its first turns, then by turns that take another path; the turns between are
summarized with the values that they leave behind. Calls are told in the first activations of each
function; later ones by their result.
"""

import ast
import dataclasses
from collections.abc import Sequence

from data_pipeline.claims import Claim, Place
from data_pipeline.monologue.expressions import header_parts
from data_pipeline.monologue.program import Program
from data_pipeline.monologue.speech import Join, Part, Sentence, join
from data_pipeline.monologue.steps import LineNarrator
from data_pipeline.tracing.replay import Occurrence, Replay

_MOST_SERIES = 10  # turns whose values are listed one by one
_MOST_STATE = 6  # variables shown after steps are left out


@dataclasses.dataclass(frozen=True)
class Detail:
    """Sets the level of detail.

    head:   first turns narrated per loop
    calls:  calls narrated per function
    values: characters per value
    steps:  maximum number of steps
    """

    head: int
    calls: int
    values: int
    steps: int


class Untold(Exception):
    """Signals that steps cannot be left out without losing the state after them."""


class Simulation:
    """Collects the sentences of the lines of a run, with called frames in their place."""

    def __init__(self, run: Replay, program: Program, narrator: LineNarrator, detail: Detail):
        self.run, self.program, self.narrator, self.detail = run, program, narrator, detail
        self.say = narrator.say
        self.by_frame: dict[int, list[Occurrence]] = {}
        for here in run.occurrences:
            self.by_frame.setdefault(here.event.frame, []).append(here)
        self.by_frame = {f: program.merge_lines(found) for f, found in self.by_frame.items()}
        self.told_calls: dict[str, int] = {}
        self.told_frames: dict[int, bool] = {}
        self.out: list[tuple[Occurrence | None, Sentence]] = []

    def steps(self) -> list[Sentence]:
        self.add(None, self.narrator.entry(0))
        self.block(self.by_frame.get(0, []))
        most = self.detail.steps
        if len(self.out) > most:
            return self._without_middle(most * 2 // 3, most - most * 2 // 3)
        return [sentence for _, sentence in self.out]

    def _without_middle(self, head: int, tail: int) -> list[Sentence]:
        """Leaves out steps, and states the variables at the step where the telling resumes."""
        for start in range(len(self.out) - tail, len(self.out)):
            here = self.out[start][0]
            if here is not None and here.event.frame == 0:
                resumed = self._state_before(here)
                kept = [sentence for _, sentence in self.out]
                return [*kept[:head], resumed, *kept[start:]]
        raise Untold

    def _state_before(self, here: Occurrence) -> Sentence:
        names = list(self.run.moments[here.at].before)
        claims = [self.narrator.before(here, name) for name in names]
        values = self.narrator.speaker.words.value
        shown = [claim for claim in claims if claim is not None and values(claim.value)]
        stated = join([self.say("resumption", *shown)], self.program.first_line(here.event))
        if stated is None or len(shown) < len(names) or len(names) > 2 * _MOST_STATE:
            raise Untold
        return stated

    def add(self, here: Occurrence | None, sentence: Sentence | None) -> None:
        if sentence is not None:
            self.out.append((here, sentence))

    # ---- calls

    def calls(self, here: Occurrence) -> None:
        """Tells the frames that a line runs: calls, and generators that continue."""
        told = False
        at = here.at + 1
        while at < min(here.end, len(self.run.events)):
            event = self.run.events[at]
            if event.frame == here.event.frame and event.kind == "yield":
                return  # what follows runs when the generator continues
            segment = self._segment(at) if event.kind in ("call", "resume") else at
            wanted = event.kind in ("call", "resume") and self._is_told(event.frame, event.kind)
            if wanted and segment <= here.end:
                if event.kind == "call":
                    if not told:
                        sentence = self._calls_sentence(here, event.function)
                        self.add(None, sentence)
                        told = sentence is not None
                    self.add(None, self.narrator.entry(event.frame))
                else:
                    self.add(None, self._resumes_sentence(at))
                self.block([o for o in self.by_frame.get(event.frame, ()) if at <= o.at <= segment])
                at = segment + 1
            elif event.kind == "call" and self.program.definition(event) is not None:
                at = segment + 1
            else:
                at += 1

    def _is_told(self, frame: int, kind: str) -> bool:
        event = self.run.events[self.run.frames[frame][0]]
        function = self.program.definition(event)
        if function is None:
            return False
        if kind == "resume":
            return self.told_frames.get(frame, False)
        times = self.told_calls.get(event.function, 0)
        self.told_calls[event.function] = times + 1
        self.told_frames[frame] = times < self.detail.calls
        return times < self.detail.calls

    def _segment(self, at: int) -> int:
        """Returns the index at which a frame that starts or continues at `at` stops again."""
        frame = self.run.events[at].frame
        for index in range(at + 1, len(self.run.events)):
            event = self.run.events[index]
            if event.frame == frame and event.kind in ("return", "unwind", "yield"):
                return index
        return len(self.run.events)

    def _calls_sentence(self, here: Occurrence, function: str) -> Sentence | None:
        name = function.rpartition(".")[2]
        number = sum(
            event.kind == "call"
            and event.depth > here.event.depth
            and event.function.rpartition(".")[2] == name
            for event in self.run.events[here.at + 1 : here.end]
        )
        claim = self.narrator.claim("calls", here, name, str(number))
        told = self.say("calls", claim) if self._names(here, name) else None
        parts = [*self.narrator.arguments(here, name), Join.SEMICOLON, told]
        return join(parts, self.program.first_line(here.event))

    def _names(self, here: Occurrence, name: str) -> bool:
        """Returns whether a line names what it calls: it does not if it makes an object."""
        statement = self.program.statement(here.event)
        parts = header_parts(statement) if statement is not None else ()
        return self.narrator.labels and any(
            name in (getattr(node, "id", None), getattr(node, "attr", None))
            for part in parts
            for node in ast.walk(part)
        )

    def _resumes_sentence(self, at: int) -> Sentence | None:
        event = self.run.events[at]
        name = event.function.rpartition(".")[2]
        place = Place(event.line, at, event.frame)
        return join([self.say("resumes", Claim("resumes", place, name))], event.line)

    # ---- lines and loops

    def block(self, occurrences: Sequence[Occurrence]) -> None:
        index = 0
        while index < len(occurrences):
            here = occurrences[index]
            if self._is_loop(here):
                end = self._loop_end(occurrences, index)
                self.loop(occurrences[index:end])
                index = end
            else:
                self.line(here)
                index += 1

    def _is_loop(self, here: Occurrence) -> bool:
        return here.event.line in self.run.loops and not here.event.part

    def _loop_end(self, occurrences: Sequence[Occurrence], start: int) -> int:
        """Returns the index past the last occurrence of the loop that begins at `start`."""
        line = occurrences[start].event.line
        first, last = self.run.loops[line]
        if not occurrences[start].event.branch:
            return start + 1
        end = start + 1
        while end < len(occurrences):
            event = occurrences[end].event
            header = event.line == line and self._is_loop(occurrences[end])
            if (header and event.iteration == 1) or not (header or first <= event.line <= last):
                break
            end += 1
            if header and not event.branch:
                break
        return end

    def line(self, here: Occurrence) -> None:
        self.calls(here)
        self.add(here, self.narrator.line(here))

    def loop(self, occurrences: Sequence[Occurrence]) -> None:
        """Tells one execution of a loop, or the part of one that runs between two yields."""
        turns: list[list[Occurrence]] = []
        for here in occurrences:
            if self._is_loop(here) and here.event.line == occurrences[0].event.line:
                turns.append([])
            turns[-1].append(here)
        exits = turns.pop() if not turns[-1][0].event.branch else None
        told = self._chosen(turns)
        for number, turn in enumerate(turns):
            if number in told:
                self.calls(turn[0])
                self.add(turn[0], self.narrator.turn(turn[0]))
                self.block(turn[1:])
            elif number - 1 in told:  # a gap begins
                end = min([n for n in told if n > number], default=len(turns))
                self._summarize(turns, number, end, told)
        if exits:
            self.calls(exits[0])
            self.add(exits[0], self.narrator.turn(exits[0]))
            self.block(exits[1:])

    def _chosen(self, turns: Sequence[Sequence[Occurrence]]) -> set[int]:
        """Returns the turns to tell: the first ones, and those that take another path."""
        head = self.detail.head
        if len(turns) <= head + 1:
            return set(range(len(turns)))
        told = set(range(head))
        if _leaves_early(turns[-1], self.run):
            told.add(len(turns) - 1)
        paths = {_path(turns[number]) for number in told}
        for number, turn in enumerate(turns):
            if len(told) <= 2 * head and _path(turn) not in paths:
                paths.add(_path(turn))
                told.add(number)
        return told

    def _summarize(
        self, turns: Sequence[Sequence[Occurrence]], start: int, end: int, told: set[int]
    ) -> None:
        """Summarizes the turns from `start` up to `end`, with the values that they leave behind."""
        here, last = turns[start][0], turns[end - 1][0]
        first_number, last_number = here.event.iteration or 0, last.event.iteration or 0
        single = first_number == last_number
        span = f"{first_number}" if single else f"{first_number}-{last_number}"
        claim = self.narrator.claim
        paths = [_path(turn) for turn in turns[start:end]]
        known = {_path(turns[number]) for number in told if number < start}
        once = " once" if single else ""
        ranged = claim("range", here, "", span)
        if set(paths) <= known:
            joined = "|".join(dict.fromkeys(",".join(map(str, path)) for path in paths))
            opening = self.say(f"alike{once}", ranged, claim("alike", here, span, joined))
        else:
            opening = self.say(f"left out{once}", ranged)
        state = self._state_after(turns, start, end, span)
        line = self.program.first_line(here.event)
        self.add(None, join([opening, Join.STOP, *state], line))

    def _state_after(
        self, turns: Sequence[Sequence[Occurrence]], start: int, end: int, span: str
    ) -> list[Part]:
        here, final = turns[start][0], turns[end - 1][-1]
        frame = here.event.frame
        changed = dict.fromkeys(n for t in turns[start:end] for o in t for n in o.event.changed)
        parts: list[Part] = []
        rest = []
        for name in list(changed)[:_MOST_STATE]:
            texts = [self.run.value(frame, name, turn[-1].end - 1) for turn in turns[start:end]]
            if 1 < len(texts) <= _MOST_SERIES and all(t and len(t) <= 8 for t in texts):
                series = self.narrator.claim(
                    "series", here, f"{name}@{span}", ", ".join(map(str, texts))
                )
                parts += [Join.SEMICOLON, self.say("series", series)]
            else:
                rest.append(self.narrator.after(final, name))
        wide = self.narrator.speaker.wider()
        shown = [c for c in rest if c and wide.words.value(c.value) is not None]
        if shown:
            ranged = self.narrator.claim("range", here, "", span)
            parts += [
                Join.STOP if parts else Join.SEMICOLON,
                wide.say("after turns", ranged, *shown),
            ]
        return parts[1:]


def _path(turn: Sequence[Occurrence]) -> tuple[int, ...]:
    return tuple(here.event.line for here in turn[1:])


def _leaves_early(turn: Sequence[Occurrence], run: Replay) -> bool:
    """Returns whether the turn ends the loop, by `break`, `return` or an exception."""
    end = turn[-1].end
    return end >= len(run.events) or run.events[end].line != turn[0].event.line
