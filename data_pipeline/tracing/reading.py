"""Turns a recording into a trace: changed locals, branches taken, turns of loops.

Standard library only: this file also runs inside the sandbox.
"""

import marshal
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.tracing.events import Event, Loop, Raised
from data_pipeline.tracing.markers import MarkedProgram, Marker
from data_pipeline.tracing.recorder import (
    CALL,
    EXCEPTION,
    RESUME,
    RETURN,
    UNWIND,
    YIELD,
    Recording,
    Snapshot,
    Text,
)
from data_pipeline.tracing.rendering import clip, render, render_instance

_FOLDED = ("<listcomp>", "<setcomp>", "<dictcomp>")  # frames of their own on 3.11 only
_GENERATOR, _LAMBDA = "<genexpr>", "<lambda>"
_KINDS = {RETURN: "return", YIELD: "yield", RESUME: "resume", EXCEPTION: "exception",
          UNWIND: "unwind"}  # fmt: skip
_SCALARS = frozenset({int, str, bool, bytes, type(None), Text})
_CONTAINERS = (list, tuple, dict)
_NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Step:
    """An event under construction; the fields are those of `Event`."""

    kind: str
    line: int
    function: str
    frame: int
    depth: int
    part: int
    changed: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    value: str | None = None
    raised: Raised | None = None
    branch: bool | None = None
    iteration: int | None = None

    def event(self) -> Event:
        return Event(
            self.kind, self.line, self.function, self.frame, self.depth, self.changed,
            tuple(self.gone), self.value, self.raised, self.branch, self.iteration,
            self.part,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Instance:
    """An instance recorded by its attributes. data: the marshalled attributes."""

    name: str
    data: bytes
    attributes: dict[str, Any]


@dataclass(slots=True)
class _Turns:
    """A loop that is running; the fields are those of `Loop`."""

    line: int
    kind: str
    function: str
    frame: int
    iterations: int = 0


@dataclass(slots=True, eq=False)
class _Frame:
    """The state of a running frame.

    owner:     for the frame that Python 3.11 makes for a comprehension, the frame around it, to
               which its steps belong; else None
    values, texts: the latest locals
    waiting:   the step whose effect comes with the next snapshot
    on_line:   the last "line", "resume" or "exception" step
    reached:   the line on which its statement starts, or 0 after a marker or an exception
    header:    the "line" step of a header whose branch is still open
    header_at: its line
    clause:    line of the running clause of a comprehension, or 0
    loops:     by header
    comprehensions: by line of the clause
    """

    number: int
    function: str
    depth: int
    owner: "_Frame | None" = None
    values: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    latest: dict[str, Any] = field(default_factory=dict)
    waiting: _Step | None = None
    on_line: _Step | None = None
    reached: int = 0
    header: _Step | None = None
    header_at: int = 0
    clause: int = 0
    loops: dict[int, _Turns] = field(default_factory=dict)
    comprehensions: dict[int, _Turns] = field(default_factory=dict)
    raised_at: int | None = None
    is_lambda: bool = False
    is_class: bool = False
    is_generator_expression: bool = False

    @property
    def step_frame(self) -> "_Frame":
        """The frame that this frame's steps belong to."""
        return self.owner or self


class Reader:
    """Reads one recording: `read` returns the events and loops, `clipped` counts the cut texts.

    limit: maximum characters of a value's text.
    """

    def __init__(self, program: MarkedProgram, recording: Recording, limit: int):
        self.program = program
        self.recording = recording
        self.limit = limit
        self.clipped = 0
        self.starts, self.headers = program.starts, program.headers
        self.places = {line: (real, program.part[line]) for line, real in program.real.items()}
        self.steps: list[_Step] = []
        self.turns: list[_Turns] = []
        self.frames: dict[int, _Frame] = {}
        self.stack: list[_Frame] = []
        self.numbered = 0

    def read(self) -> tuple[tuple[Event, ...], tuple[Loop, ...]]:
        markers = self.program.markers
        for record in self.recording.records:
            if len(record) == 5:
                self.read_transfer(*record)
            elif record[2] is None:
                self.read_marker(self.frames[record[0]], markers[record[1]])
            else:
                self.read_line(*record)
        if self.recording.truncated:  # the recording does not show whether open headers branch
            for frame in self.frames.values():
                if frame.header is not None:
                    frame.header.branch = None
        loops = tuple(Loop(t.line, t.kind, t.function, t.frame, t.iterations) for t in self.turns)
        return tuple(step.event() for step in self.steps), loops

    # ---- records

    def read_line(self, key: int, line: int, snapshot: Snapshot) -> None:
        frame = self.frames[key]
        clause = self.program.clauses.get(line)
        if clause is not None:
            self.settle(frame, snapshot, clause.hidden)
            self.read_turn(frame, line)
            return
        if frame.clause and self.program.clauses[frame.clause].header == line:
            # The comprehension continues; its statement's effect belongs to the statement's line.
            self.settle(frame, snapshot, self.program.clauses[frame.clause].hidden)
            frame.waiting = frame.step_frame.on_line
            return
        if frame.owner is not None or frame.is_generator_expression:
            return
        self.settle(frame, snapshot)
        frame.clause = 0
        frame.comprehensions.clear()
        start = self.starts.get(line, line)
        if start == frame.reached or (frame.is_lambda and frame.on_line):
            # Another line of the same statement, or, from Python 3.12 on, the same line again:
            # `return f() or g()`. A statement that really runs again, in a loop, has a marker in
            # between.
            frame.waiting = frame.on_line
            return
        frame.reached = start
        step = self.add(frame, "line", start)
        frame.waiting = frame.on_line = step
        frame.header = None
        if start in self.headers:
            step.branch = False
            frame.header, frame.header_at = step, start

    def read_marker(self, frame: _Frame, marker: Marker) -> None:
        if marker.kind == "end":
            frame.reached = 0
            return
        frame.clause = frame.reached = 0
        frame.comprehensions.clear()
        header, frame.header = frame.header, None
        if marker.kind == "enter":
            turns = _Turns(
                self.real(marker.header), marker.loop or "", frame.function, frame.number
            )
            frame.loops[marker.header] = turns
            self.turns.append(turns)
            return
        iteration = None
        if marker.loop is not None:
            turns = frame.loops[marker.header]
            turns.iterations += 1
            iteration = turns.iterations
        if header is not None and frame.header_at == marker.header:
            header.branch = True
            header.iteration = iteration

    def read_turn(self, frame: _Frame, line: int) -> None:
        """Reads one turn of a comprehension's clause."""
        clause = self.program.clauses[line]
        step_frame = frame.step_frame
        turns = step_frame.comprehensions.get(line)
        if turns is None:
            real = self.real(clause.header)
            turns = _Turns(real, "comprehension", step_frame.function, step_frame.number)
            step_frame.comprehensions[line] = turns
            self.turns.append(turns)
        for inner in clause.inner:
            step_frame.comprehensions.pop(inner, None)
        turns.iterations += 1
        frame.waiting = self.add(step_frame, "step", line)
        frame.waiting.iteration = turns.iterations
        frame.clause = line

    def read_transfer(self, key: int, line: int, snapshot: Snapshot, kind: int, extra: Any) -> None:
        """Reads a call, return, yield, resume, exception or unwinding."""
        if kind == CALL:
            self.read_call(key, line, snapshot, extra)
            return
        frame = self.frames[key]
        frame.reached = 0
        if frame.is_class and kind == RETURN:
            frame.clause = 0  # the comprehension that ended the body is over
        clause = self.program.clauses.get(frame.clause)
        hidden = clause.hidden if clause is not None else _NOTHING
        if kind == RESUME:
            frame.depth = self.stack[-1].depth + 1 if self.stack else 0
            self.stack.append(frame)
            step = self.add(frame, "resume", line)
            frame.waiting = frame.on_line = step
            frame.reached = self.starts.get(line, line)
            self.settle(frame, snapshot, hidden)
            return
        self.settle(frame, snapshot, hidden)
        frame.waiting = None
        if frame.owner is not None:
            if kind == EXCEPTION:
                frame.owner.raised_at = self.real(line)
        else:
            if line in self.program.markers and frame.on_line:  # after the end of a `finally`
                line = frame.on_line.line
            step = self.add(frame, _KINDS[kind], line)
            if kind == EXCEPTION:
                at, frame.raised_at = frame.raised_at or step.line, None
                step.line = at
                step.raised = Raised(*extra, at)
                if frame.header is not None:
                    frame.header.branch = None
                    frame.header = None
                frame.waiting = step
                start = self.starts.get(line, line)
                if start not in self.program.exits:  # else nothing of the statement runs any more
                    frame.reached, frame.on_line = start, step
            elif kind != UNWIND:
                step.value = self.text(_value(extra))
                if frame.is_lambda and frame.on_line:  # versions differ
                    step.line, step.part = frame.on_line.line, frame.on_line.part
        if kind != EXCEPTION and frame in self.stack:
            while self.stack.pop() is not frame:
                pass

    def read_call(self, key: int, line: int, snapshot: Snapshot, name: str) -> None:
        parent = self.stack[-1] if self.stack else None
        last_name = name.rpartition(".")[2]
        if parent is not None and last_name in _FOLDED:
            step_frame = parent.step_frame
            frame = _Frame(step_frame.number, name, step_frame.depth, owner=step_frame)
        else:
            frame = _Frame(self.numbered, name, parent.depth + 1 if parent else 0)
            self.numbered += 1
            frame.is_lambda = last_name == _LAMBDA
            frame.is_class = last_name in self.program.classes
            frame.is_generator_expression = last_name == _GENERATOR
            frame.waiting = self.add(frame, "call", line)
            self.settle(frame, snapshot)
            frame.waiting = None
        self.frames[key] = frame
        self.stack.append(frame)

    # ---- parts

    def real(self, line: int) -> int:
        return self.program.real.get(line, line)

    def add(self, frame: _Frame, kind: str, line: int) -> _Step:
        real, part = self.places.get(line, (line, 0))
        step = _Step(kind, real, frame.function, frame.number, frame.depth, part)
        self.steps.append(step)
        return step

    def settle(self, frame: _Frame, snapshot: Snapshot, hidden: frozenset[str] = _NOTHING) -> None:
        """Adds the changes since the previous snapshot to the waiting step.

        hidden: names of comprehensions' variables, which are not locals of the frame.
        """
        step = frame.waiting
        if frame.owner is not None and not frame.clause:
            return  # a comprehension's own frame before its first turn
        # `==` of dicts ignores types, so always compare their values one by one.
        if type(snapshot) is dict or snapshot != frame.snapshot:
            frame.snapshot = snapshot
            frame.latest = _values(snapshot)
            # What a turn of a comprehension changes around it is an effect of its statement.
            turns = step is not None and step.kind == "step"
            if not (frame.is_class and hidden):  # Python 3.13 shows no others meanwhile
                self.add_changes(frame, frame.step_frame.on_line if turns else step, hidden)
        if step is not None and step.kind == "step" and frame.clause:
            for name in sorted(self.program.clauses[frame.clause].bound):
                if name in frame.latest:
                    step.changed[name] = self.text(frame.latest[name])

    def add_changes(self, frame: _Frame, step: _Step | None, hidden: frozenset[str]) -> None:
        step_frame = frame.step_frame
        values, texts = step_frame.values, step_frame.texts
        latest = frame.latest
        for name, value in latest.items():
            if name in hidden:
                continue
            if name in values:
                if _same(values[name], value):
                    continue
                text = self.text(value)
                values[name] = value
                if texts[name] == text and "…⟨+" not in text:
                    continue  # a set in another order
            else:
                text = self.text(value)
                values[name] = value
            texts[name] = text
            if step is not None:
                step.changed[name] = text
        if len(values) > len(latest) - len(hidden) and frame.owner is None:
            for name in [n for n in values if n not in latest and n not in hidden]:
                del values[name], texts[name]
                if step is not None:
                    step.changed.pop(name, None)
                    step.gone.append(name)

    def text(self, value: Any) -> str:
        if type(value) is Text:
            text = str(value)
        elif type(value) is _Instance:
            text = render_instance(value.name, value.attributes, self.limit)
        elif type(value) in _CONTAINERS and not _holds_set(value):
            try:
                text = clip(repr(value), self.limit)
            except (ValueError, RecursionError):  # too long an int, too deep a nesting
                text = render(value, self.limit)
        else:
            text = render(value, self.limit)
        if text.endswith("⟩") and "…⟨+" in text:
            self.clipped += 1
        return text


def _holds_set(value: Any) -> bool:
    """Returns whether a recorded value may hold a set, whose order its text must not show."""
    data = marshal.dumps(value, 2)
    return b"<" in data or b">" in data


def _values(snapshot: Snapshot) -> dict[str, Any]:
    if type(snapshot) is bytes:
        return marshal.loads(snapshot)
    return {name: _value(note) for name, note in snapshot.items()}


def _value(note: Any) -> Any:
    if type(note) is not tuple:
        return note
    value = marshal.loads(note[0])
    return value if len(note) == 1 else _Instance(note[1], note[0], value)


def _same(one: Any, other: Any) -> bool:
    """Returns whether two values are identical: 1 is not True, 0.0 is not -0.0, NaN is itself."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _SCALARS:
        return one == other
    if kind is _Instance:
        return one.name == other.name and one.data == other.data
    return marshal.dumps(one, 2) == marshal.dumps(other, 2)
