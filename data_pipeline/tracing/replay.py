"""Replays a run: gives the variables before and after each event.

`moments` yields the states in order; `Replay` indexes a whole run by line, turn, variable and
frame. Narrators and verifiers of a run both read its states here.
"""

import ast
import bisect
import dataclasses
import functools
import threading
from collections.abc import Iterator, Mapping

from data_pipeline.tracing import Event, Trace
from data_pipeline.tracing.layout import layout_of
from data_pipeline.tracing.parts import Part


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """An event with the variables of its frame before and after it, name -> text.

    index: position of the event in the trace
    turn:  on a loop's header, the number of the turn it may begin next, from 1
    """

    index: int
    event: Event
    before: Mapping[str, str]
    after: Mapping[str, str]
    turn: int


def moments(trace: Trace) -> Iterator[Moment]:
    """Yields every event with its states.

    The variables of a comprehension's turn ("step") are not those of its frame: only that event's
    `changed` holds them.
    """
    variables: dict[int, Mapping[str, str]] = {}  # frame -> after its latest event
    turns: dict[tuple[int, int], int] = {}  # frame and header -> turns begun
    for index, event in enumerate(trace.events):
        before = variables.get(event.frame, {})
        after = before if event.kind == "step" else _apply_changes(event, before)
        variables[event.frame] = after
        turn = 1
        if event.kind == "line" and not event.part:  # a header starts its line
            turn = turns.get((event.frame, event.line), 0) + 1
            turns[event.frame, event.line] = turn if event.branch else 0
        yield Moment(index, event, before, after, turn)


def _apply_changes(event: Event, before: Mapping[str, str]) -> Mapping[str, str]:
    if not event.changed and not event.gone:
        return before
    after = {**before, **event.changed}
    for name in event.gone:
        after.pop(name, None)
    return after


@dataclasses.dataclass(frozen=True, slots=True)
class Occurrence:
    """One execution of a line.

    at:     index of its event
    end:    index of its frame's next line, or of the frame's end; events at+1 … end-1 are those
            that the line called or raised
    turns:  header line -> turn, for the loops around the line, and for itself if it is a header (0
            if it does not enter its body)
    totals: header line -> [number of turns of this execution of the loop]
    """

    at: int
    end: int
    event: Event
    turns: Mapping[int, int]
    totals: Mapping[int, list[int]]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Watched:
    """A trace as it is seen by one thread; a key that compares traces by identity.

    Each thread gets its own replay, since readers of a run keep notes on it.
    """

    trace: Trace
    thread: int

    def __hash__(self) -> int:
        return hash((id(self.trace), self.thread))

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Watched) and self.trace is other.trace
        return same and self.thread == other.thread  # type: ignore[union-attr]


MOST_REPLAYS = 32


def replay_of(trace: Trace) -> "Replay":
    """Returns the replay of a trace, which its narrators and verifiers share.

    The replays of the last `MOST_REPLAYS` traces are kept; nobody changes one.
    """
    return _replay(_Watched(trace, threading.get_ident()))


@functools.lru_cache(maxsize=MOST_REPLAYS)
def _replay(watched: _Watched) -> "Replay":
    return Replay(watched.trace)


class Replay:
    """Indexes the states of a trace: `value(frame, name, at)` is the text after event `at`.

    statements and its like: see `Layout`; `statement_of` tells several of a line apart
    by_line:    line -> executions of all its parts, in order
    """

    def __init__(self, trace: Trace):
        self.trace = trace
        self.events = trace.events
        layout = layout_of(trace.program)
        self.tree, self.nodes, self.parts = layout.tree, layout.nodes, layout.parts
        self.statements, self.starts = layout.statements, layout.starts
        self.loops, self.functions = layout.loops, layout.functions
        self.moments = tuple(moments(trace))
        self.names = {name for e in self.events if e.kind != "step" for name in e.changed}
        self._events_of: dict[int, list[int]] = {}  # frame -> its events
        self.frames: dict[int, tuple[int, int]] = {}  # frame -> first and last event
        self.occurrences: list[Occurrence] = []
        self.entries: list[Occurrence] = []  # calls, at the `def` lines
        self.by_line: dict[int, list[Occurrence]] = {}
        self._read()

    def _read(self) -> None:
        open_line: dict[int, tuple[int, Event, dict[int, int], dict[int, list[int]]]] = {}
        turns: dict[int, dict[int, int]] = {}
        totals: dict[int, dict[int, list[int]]] = {}
        found = []

        def close(frame: int, at: int) -> None:
            if frame in open_line:
                start, event, inside, total = open_line.pop(frame)
                found.append(Occurrence(start, at, event, inside, total))

        for at, event in enumerate(self.events):
            first, _ = self.frames.get(event.frame, (at, at))
            self.frames[event.frame] = (first, at)
            self._events_of.setdefault(event.frame, []).append(at)
            if event.kind == "call":
                self._calls_at(event, at)
            elif event.kind == "line":
                close(event.frame, at)
                own = turns.setdefault(event.frame, {})
                all_turns = totals.setdefault(event.frame, {})
                for header in [h for h in own if not self._inside(event.line, h)]:
                    del own[header], all_turns[header]
                if event.line in self.loops and not event.part:
                    turn = (event.iteration or 0) if event.branch else 0
                    if event.line not in own or turn == 1:
                        all_turns[event.line] = [0]
                    own[event.line] = turn
                    all_turns[event.line][0] = max(turn, all_turns[event.line][0])
                open_line[event.frame] = (at, event, dict(own), dict(all_turns))
            elif event.kind in ("return", "unwind"):
                close(event.frame, at)
        for frame in list(open_line):
            close(frame, len(self.events))
        self.occurrences = sorted(found, key=lambda occurrence: occurrence.at)
        for occurrence in sorted([*found, *self.entries], key=lambda occurrence: occurrence.at):
            self.by_line.setdefault(occurrence.event.line, []).append(occurrence)

    def _calls_at(self, event: Event, at: int) -> None:
        """Records a call as an execution of its function's `def` line."""
        function = self.functions.get(event.function.rpartition(".")[2])
        if function is not None:
            entry = dataclasses.replace(event, line=function.lineno)
            self.entries.append(Occurrence(at, at + 1, entry, {}, {}))

    def _inside(self, line: int, header: int) -> bool:
        first, last = self.loops[header]
        return line == header or first <= line <= last

    def part_of(self, event: Event) -> Part | None:
        """Returns the statement, `except` or `case` clause or lambda whose step the event is."""
        parts = self.parts.get(event.line, ())
        return parts[event.part] if event.part < len(parts) else None

    def statement_of(self, event: Event) -> ast.stmt | None:
        """Returns the statement whose step the event is; None for clauses and lambda bodies."""
        part = self.part_of(event)
        return part if isinstance(part, ast.stmt) else None

    def value(self, frame: int, name: str, at: int) -> str | None:
        """Returns the text of a local after event `at`, or None if it has no value."""
        events = self._events_of.get(frame, ())
        place = bisect.bisect_right(events, at)
        return self.moments[events[place - 1]].after.get(name) if place else None

    def history(self, frame: int, name: str) -> tuple[list[int], list[str | None]]:
        """Returns the events that set a local, and its texts after them."""
        return self._histories.get((frame, name), ([], []))

    @functools.cached_property
    def _histories(self) -> dict[tuple[int, str], tuple[list[int], list[str | None]]]:
        histories: dict[tuple[int, str], tuple[list[int], list[str | None]]] = {}
        for moment in self.moments:
            event = moment.event
            for name in () if event.kind == "step" else (*event.changed, *event.gone):
                positions, texts = histories.setdefault((event.frame, name), ([], []))
                positions.append(moment.index)
                texts.append(moment.after.get(name))
        return histories

    def state(self, frame: int, at: int) -> "State":
        return State(self, frame, at)

    def line_end(self, occurrence: Occurrence) -> Event | None:
        """Returns the "return" or "yield" event in which the line ended, if it did."""
        for event in self.events[occurrence.at + 1 : occurrence.end + 1]:
            if event.frame == occurrence.event.frame and event.kind in ("return", "yield"):
                return event
        return None

    def frame_result(self, frame: int) -> str | None:
        last = self.events[self.frames[frame][1]]
        return last.value if last.kind == "return" else None

    def calls_of(self, function: str) -> list[int]:
        """Returns the frames of a function of the program in order; `function` is its last name."""
        return self._calls.get(function, [])

    @functools.cached_property
    def _calls(self) -> dict[str, list[int]]:
        calls: dict[str, list[int]] = {}
        for event in self.events:
            if event.kind == "call":
                calls.setdefault(event.function.rpartition(".")[2], []).append(event.frame)
        return calls

    @functools.cached_property
    def constants(self) -> dict[str, str]:
        """Returns name -> literal for names bound only once at module level."""
        bound: dict[str, list[ast.expr]] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        bound.setdefault(target.id, []).append(node.value)
        plain = ast.Constant | ast.UnaryOp
        return {
            name: ast.unparse(values[0])
            for name, values in bound.items()
            if len(values) == 1 and isinstance(values[0], plain)
        }


class State:
    """Looks up a frame's locals, and the program's constants, after one event."""

    def __init__(self, run: Replay, frame: int, at: int):
        self.run, self.frame, self.at = run, frame, at

    def get(self, name: str) -> str | None:
        text = self.run.value(self.frame, name, self.at)
        return self.run.constants.get(name) if text is None else text
