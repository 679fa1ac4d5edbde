"""Writes forward monologues in the release's form from a trace.

Parts: the function's purpose, its key properties, a numbered execution whose steps cite lines as
[L7], a conclusion, and the asserted answer. Every statement is read off the trace or the syntax
tree, or is quoted. Long loops show their first turns and their last; repeated calls only their
result.

The level of detail depends on size: the richest narration that stays under TARGET tokens, else a
leaner one; the leanest states which steps it leaves out.
"""

import dataclasses
import re

from data_pipeline.monologue.inline import NarrationError, direct_answer
from data_pipeline.monologue.introduction import introduction
from data_pipeline.monologue.steps import LineNarrator, label
from data_pipeline.monologue.wording import Words, shorten_value
from data_pipeline.tracing import Trace
from data_pipeline.tracing.replay import Occurrence, Replay

TARGET = 1200
"""Preferred maximum length of a monologue, in tokens (estimated, see `tokens`)."""
MOST = 1900
_LEFT_OUT = "The steps up to the last part of the run are left out here."
_PIECE = re.compile(r"\d|[A-Za-z]+|[^\sA-Za-z\d]")


@dataclasses.dataclass(frozen=True)
class _Detail:
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


_DETAILS = (
    _Detail(head=3, calls=3, values=100, steps=70),
    _Detail(head=2, calls=2, values=70, steps=60),
    _Detail(head=2, calls=1, values=50, steps=50),
    _Detail(head=1, calls=1, values=60, steps=36),
    _Detail(head=1, calls=0, values=40, steps=16),
)


def forward_monologue(trace: Trace, *, seed: int = 0) -> str:
    """Returns the response of a forward row: monologue, tags and completed assertion.

    The same trace and seed give the same text; another seed gives other words for the same facts.
    Raises NarrationError, with a short reason, if the run raised or was cut, or if its call and
    result are too long to narrate.
    """
    if trace.raised is not None or trace.result is None:
        raise NarrationError(f"the call raised {trace.raised}"[:200])
    if trace.truncated is not None:
        raise NarrationError(f"the trace is cut: {trace.truncated}")
    if "…⟨+" in trace.result or trace.result.startswith("<"):
        raise NarrationError("the result is too long or no literal")
    run = Replay(trace)
    text = ""
    for detail in _DETAILS:
        text = _narrate(run, detail, seed)
        if tokens(text) <= TARGET and _LEFT_OUT not in text:
            return text
    if tokens(text) > MOST:
        raise NarrationError(f"too long to be told: about {tokens(text)} tokens")
    return text


def tokens(text: str) -> int:
    """Estimates DeepSeekCoder's token count, from above.

    Counts each digit and punctuation mark as one token, and words as one or more by their length.
    """
    return sum(1 + (len(piece) - 1) // 6 for piece in _PIECE.findall(text))


def _narrate(run: Replay, detail: _Detail, seed: int) -> str:
    words = Words(f"{seed}/{run.trace.program}/{run.trace.call}", detail.values)
    opening = introduction(run, words)
    steps = _Simulation(run, LineNarrator(run, words), detail).steps()
    result = shorten_value(run.trace.result or "", 3 * detail.values)
    ending = "The function returns here with the value below."
    if result is not None:
        ending = words.choose(
            (
                f"The function returns {result}.",
                f"After these steps the function returns {result}.",
                f"The return value is {result}.",
            )
        )
    told = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    answer = f"assert {run.trace.call} == {run.trace.result}\n[/ANSWER]"
    return (
        f"{opening}\n### Execution Simulation\n{told}\n\n### Conclusion\n{ending}\n"
        f"[/MONOLOGUE]\n\n[ANSWER]\n{answer}"
    )


class _Simulation:
    """Collects the numbered steps: lines of the outer frame, with called frames nested."""

    def __init__(self, run: Replay, teller: LineNarrator, detail: _Detail):
        self.run, self.teller, self.detail = run, teller, detail
        self.by_frame: dict[int, list[Occurrence]] = {}
        for occurrence in run.occurrences:
            self.by_frame.setdefault(occurrence.event.frame, []).append(occurrence)
        self.told_calls: dict[str, int] = {}
        self.out: list[str] = []

    def steps(self) -> list[str]:
        self.entry(0)
        self.block(self.by_frame.get(0, []))
        most = self.detail.steps
        if len(self.out) > most:
            head, tail = most * 2 // 3, most - most * 2 // 3
            return [*self.out[:head], _LEFT_OUT, *self.out[-tail:]]
        return self.out

    def add_step(self, line: int, sentence: str | None) -> None:
        if sentence:
            self.out.append(f"{label(line)} {sentence}.")

    def entry(self, frame: int) -> None:
        event = self.run.events[self.run.frames[frame][0]]
        name = event.function.rpartition(".")[2]
        function = self.run.functions.get(name)
        if function is None or event.kind != "call":
            return
        values = ((n, self.teller.words.value(text)) for n, text in event.changed.items())
        told = [f"`{n}` = {value}" for n, value in values if value is not None][:6]
        with_ = f" with {', '.join(told)}" if told else ""
        self.add_step(function.lineno, f"`{name}` is entered{with_}")

    def block(self, occurrences: list[Occurrence]) -> None:
        index = 0
        while index < len(occurrences):
            here = occurrences[index]
            line = here.event.line
            if line in self.run.loops and not here.event.part:
                end = index + 1
                first, last = self.run.loops[line]
                while end < len(occurrences) and (
                    occurrences[end].event.iteration != 1
                    if _is_header(occurrences[end], line)
                    else first <= occurrences[end].event.line <= last
                ):
                    end += 1
                    if (
                        _is_header(occurrences[end - 1], line)
                        and not occurrences[end - 1].event.branch
                    ):
                        break
                self.loop(line, occurrences[index:end] if here.event.branch else [here])
                index = end if here.event.branch else index + 1
                continue
            self.line(here)
            index += 1

    def loop(self, header: int, occurrences: list[Occurrence]) -> None:
        """Narrates one execution of a loop: its first turns, its last, and how it ends."""
        turns: list[list[Occurrence]] = []
        for here in occurrences:
            if _is_header(here, header):
                turns.append([])
            turns[-1].append(here)
        exits = turns.pop() if not turns[-1][0].event.branch else None
        told = self.choose_turns(turns)
        for number, turn in enumerate(turns):
            if number in told:
                self.add_step(header, self.teller.turn(turn[0]))
                self.calls(turn[0])
                self.block(turn[1:])
            elif number - 1 in told:  # a gap begins
                following = min(n for n in told if n > number)
                self.add_step(header, self.summarize_gap(turns, number, following, told))
        if exits:
            self.add_step(header, self.teller.turn(exits[0]))
            self.block(exits[1:])

    def choose_turns(self, turns: list[list[Occurrence]]) -> set[int]:
        """Returns the turns to narrate: the first, the last, and those on other paths."""
        head = self.detail.head
        if len(turns) <= head + 2:
            return set(range(len(turns)))
        told = {*range(head), len(turns) - 1}
        paths = {_line_path(turns[number]) for number in told}
        for number, turn in enumerate(turns):
            if len(told) <= 2 * head and _line_path(turn) not in paths:
                paths.add(_line_path(turn))
                told.add(number)
        return told

    def summarize_gap(
        self, turns: list[list[Occurrence]], start: int, following: int, told: set[int]
    ) -> str:
        """Summarizes skipped turns, with the state that the next turn starts from."""
        which = f"Iterations {start + 1} to {following}"
        same = {_line_path(turn) for turn in turns[start:following]} <= {
            _line_path(turns[n]) for n in told
        }
        if following == start + 1:
            alike = "goes the way of one told here" if same else "is left out"
            text = f"Iteration {following} {alike}"
        else:
            ways = {_line_path(turn) for turn in turns[start:following]}
            alike = "run through the same lines" if len(ways) == 1 else "go the ways told here"
            text = f"{which} {alike if same else 'are left out'}"
        final = turns[following][0]
        changed = {
            name for turn in turns[start:following] for o in turn[1:] for name in o.event.changed
        }
        notes = []
        for name in sorted(changed):
            value = self.teller.words.value(self.run.value(final.event.frame, name, final.at - 1))
            if value is not None and len(notes) < 3:
                notes.append(f"`{name}` is {value}")
        if notes:
            text += f". Before iteration {following + 1}, {' and '.join(notes)}"
        return text

    def line(self, here: Occurrence) -> None:
        self.calls(here)
        self.add_step(here.event.line, self.teller.line(here))

    def calls(self, here: Occurrence) -> None:
        """Narrates the frames that a line calls, the first ones of each function."""
        told = False
        number = here.at + 1
        while number < min(here.end, len(self.run.events)):
            event = self.run.events[number]
            last = self.run.frames[event.frame][1]
            name = event.function.rpartition(".")[2]
            if event.kind == "call" and name in self.run.functions and last <= here.end:
                times = self.told_calls.get(name, 0)
                self.told_calls[name] = times + 1
                if times < self.detail.calls:
                    if not told:
                        self.add_step(here.event.line, f"This line calls `{name}`")
                    told = True
                    self.entry(event.frame)
                    self.block(self.by_frame.get(event.frame, []))
                number = last + 1
            else:
                number += 1


def _is_header(here: Occurrence, line: int) -> bool:
    return here.event.line == line and not here.event.part  # its body may stand on the same line


def _line_path(turn: list[Occurrence]) -> tuple[int, ...]:
    return tuple(here.event.line for here in turn)


__all__ = ["NarrationError", "direct_answer", "forward_monologue", "tokens"]
