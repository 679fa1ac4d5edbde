"""Compares a trace with what the second recorder saw of the same call.

Every statement that ran, the variables before it, every branch and turn, every returned value: a
difference means that the tracer is wrong (or, in a program that depends on time or addresses, that
the two runs differ). Names the line at fault.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from data_pipeline.execution.guest import second_recorder
from data_pipeline.execution.job import Job, function_job
from data_pipeline.tracing.events import Event, Trace
from data_pipeline.tracing.parts import Part, parse_parts

_NO_HOOKS = ("<lambda>", "<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")
_CUT = "…⟨+"
_NOTHING_HAPPENS = ast.Try | ast.TryStar | ast.Pass | ast.Break | ast.Continue
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Differs(Exception):
    """The trace and the second record differ; says where and how."""


@cache
def _recorder_source() -> str:
    return Path(second_recorder.__file__).read_text(encoding="utf-8")


def second_record_job(program: str, call: str, **options: Any) -> Job:
    """Makes a job that returns the second record of a call as JSON text."""
    return function_job(_recorder_source(), "record_text", program, call, **options)


def first_difference(trace: Trace, record: str | Mapping[str, Any]) -> str | None:
    """Returns the first difference between a trace and a second record, or None.

    Texts that the tracer cut are compared up to the cut; after either recorder stopped early, only
    what both saw.
    """
    try:
        seen: Mapping[str, Any] = json.loads(record) if isinstance(record, str) else record
        _Comparison(trace, seen).compare()
    except _Differs as difference:
        return str(difference)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "the second record is malformed: the program may have changed it"
    return None


class _Comparison:
    def __init__(self, trace: Trace, seen: Mapping[str, Any]):
        self.trace, self.seen = trace, seen
        self.partial = bool(trace.truncated or seen["full"])
        tree = ast.parse(trace.program)
        self.parts = parse_parts(tree, trace.program)
        places = {_place(node): node for node in ast.walk(tree) if isinstance(node, _Placed)}
        self.nodes = [places[line, column] for line, column in seen["nodes"]]

    def compare(self) -> None:
        frames = self.frames_of_trace()
        records: dict[int, list[list[Any]]] = {}
        for record in self.seen["records"]:
            records.setdefault(record[0], []).append(record)
        turns = records.pop(-1, [])
        for number in range(max(len(frames), len(records))):
            if number >= min(len(frames), len(records)):
                self.compare_ends(frames, records)
                break
            _FrameComparison(self, frames[number], records[number]).compare()
        self.compare_turns(turns)
        self.compare_outcomes()

    def compare_ends(self, frames: list[list[Event]], records: Mapping[int, Any]) -> None:
        if not self.partial:
            raise _Differs(f"the trace has {len(frames)} calls, the run made {len(records)}")

    def frames_of_trace(self) -> list[list[Event]]:
        """Returns the events of each frame with hooks, in order of the calls."""
        frames: dict[int, list[Event]] = {}
        for event in self.trace.events:
            if event.kind == "step" or event.function.rpartition(".")[2] in _NO_HOOKS:
                continue
            frames.setdefault(event.frame, []).append(event)
        return list(frames.values())

    def node_of(self, event: Event) -> Part | None:
        parts = self.parts.get(event.line, ())
        return parts[event.part] if event.part < len(parts) else None

    def compare_turns(self, turns: Sequence[list[Any]]) -> None:
        steps = [event for event in self.trace.events if event.kind == "step"]
        for step, (_, _, _, texts, _, _) in zip(steps, turns, strict=False):
            compare_states(step.changed, texts, f"line {step.line}: in a turn of the comprehension")
        if len(steps) != len(turns) and not self.partial:
            raise _Differs(
                f"the trace has {len(steps)} turns of comprehensions, the run {len(turns)}"
            )

    def compare_outcomes(self) -> None:
        result, raised = self.seen["result"], self.seen["raised"]
        if (raised is None) != (self.trace.raised is None) and self.trace.result is None:
            raise _Differs(f"the trace ends with {self.trace.raised}, the run with {raised}")
        if self.trace.result is not None and not same_text(self.trace.result, result):
            raise _Differs(f"the trace returns {self.trace.result}, the run {result}")


class _FrameComparison:
    """Walks the events of one frame along the records of the same frame."""

    def __init__(self, whole: _Comparison, events: list[Event], records: list[list[Any]]):
        self.whole, self.records = whole, records
        self.steps = list(_line_steps(events))
        self.events = events
        self.at = 0  # the first step not yet compared
        self.entered = True  # the last header's body, or there is none
        self.turns: dict[Part, int] = {}

    def compare(self) -> None:
        state: dict[str, str | None] = {}
        for _, kind, number, changed, gone, value in self.records:
            state = {n: text for n, text in {**state, **changed}.items() if n not in gone}
            node = self.whole.nodes[number] if self.whole.nodes else None
            match kind:
                case "call":
                    self.compare_call(value, state)
                case "start":
                    self.turns[node] = 0  # type: ignore[index]
                case "before":
                    self.compare_statement(node, state)
                case "enter":
                    self.compare_entry(node)
                case "leave":
                    self.compare_end(state)
        self.compare_rest()

    def compare_call(self, name: str, state: Mapping[str, str | None]) -> None:
        first = self.events[0]
        if first.function.rpartition(".")[2] != name:
            raise _Differs(f"line {first.line}: the trace calls {first.function}, the run {name}")
        # A class gets its docstring before the first hook.
        given = {n: text for n, text in state.items() if n in first.changed or n != "__doc__"}
        compare_states(first.changed, given, f"line {first.line}: on entry")

    def compare_statement(self, node: Any, state: Mapping[str, str | None]) -> None:
        if not self.advance_to(node):
            return
        step, before = self.steps[self.at]
        at = self.steps[self.at - 1][0].line if self.at else self.events[0].line
        compare_states(before, state, f"line {at}: before the next step, line {step.line},")
        self.at += 1

    def advance_to(self, node: Any) -> bool:
        """Passes by steps without a record of their own; returns whether the node's step is next.

        Raises _Differs for a step that did not run, or a statement that the trace lacks.
        """
        at = self.at
        while at < len(self.steps):
            step = self.steps[at][0]
            found = self.whole.node_of(step)
            if found is node:
                self.check_not_entered(at)
                self.at = at
                return True
            if isinstance(node, _NOTHING_HAPPENS):
                break
            if not self.is_extra(step, found):
                raise _Differs(
                    f"line {step.line}: the trace says that it runs; the run was at line "
                    f"{_place(node)[0]}"
                )
            at += 1
        if isinstance(node, _NOTHING_HAPPENS) or self.whole.partial:
            return False
        raise _Differs(f"line {_place(node)[0]} ran, and the trace has no step for it")

    def is_extra(self, step: Event, node: Part | None) -> bool:
        """Returns whether a step may have no record: a block is left, a clause does not match."""
        match node:
            case ast.With() | ast.AsyncWith():
                return True
            case ast.ExceptHandler() | ast.match_case():
                return not step.branch
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                # Decorators run again, and a class starts with its header.
                return True
            case ast.Expr(value=ast.Constant()) | ast.AnnAssign(value=None):
                return True
        return isinstance(node, _NOTHING_HAPPENS)

    def check_not_entered(self, until: int) -> None:
        """Raises _Differs if the trace enters a body before step `until`, and the run did not."""
        for step, _ in self.steps[max(self.at - 1, 0) : until]:
            if step.branch and not self.entered:
                raise _Differs(f"line {step.line}: the trace says that it enters its body")
        self.entered = False

    def compare_entry(self, node: Any) -> None:
        last = self.steps[self.at - 1][0] if self.at else None
        if last is None or self.whole.node_of(last) is not node:
            if not self.advance_to(node):
                return
            last = self.steps[self.at][0]
            self.at += 1
        self.entered = True
        if not last.branch and not self.whole.partial:
            raise _Differs(f"line {last.line}: the run enters its body, the trace does not")
        if node in self.turns:
            self.turns[node] += 1
            if last.branch and last.iteration != self.turns[node]:
                raise _Differs(
                    f"line {last.line}: turn {self.turns[node]} is number {last.iteration} in the "
                    "trace"
                )

    def compare_end(self, state: Mapping[str, str | None]) -> None:
        last = self.events[-1]
        if last.kind in ("return", "unwind"):  # from 3.13 on, `close` need not resume a generator
            compare_states(_state_after(self.events), state, f"line {last.line}: at its end")

    def compare_rest(self) -> None:
        if self.whole.partial:
            return
        self.check_not_entered(len(self.steps))
        for step, _ in self.steps[self.at :]:
            if not self.is_extra(step, self.whole.node_of(step)):
                raise _Differs(f"line {step.line}: the trace says that it runs; it did not")
        last = self.events[-1]
        returned = [record[5] for record in self.records if record[1] == "return"]
        if last.kind == "return" and last.value != "None":
            value = returned[-1] if returned else "None"
            if not same_text(last.value or "", value):
                raise _Differs(f"line {last.line}: it returns {value}, in the trace {last.value}")


# ---- parts

_Placed = ast.stmt | ast.ExceptHandler | ast.match_case


def _place(node: Any) -> tuple[int, int]:
    at = node.pattern if isinstance(node, ast.match_case) else node
    return at.lineno, at.col_offset


def _line_steps(events: Sequence[Event]) -> Iterator[tuple[Event, Mapping[str, str]]]:
    """Yields the steps of a frame with the variables before them."""
    state: dict[str, str] = {}
    for event in events:
        if event.kind == "line":
            yield event, dict(state)
        _apply(event, state)


def _state_after(events: Sequence[Event]) -> dict[str, str]:
    state: dict[str, str] = {}
    for event in events:
        _apply(event, state)
    return state


def _apply(event: Event, state: dict[str, str]) -> None:
    state.update(event.changed)
    for name in event.gone:
        state.pop(name, None)


def compare_states(told: Mapping[str, str], true: Mapping[str, str | None], where: str) -> None:
    """Raises _Differs unless the trace's variables are those of the run."""
    for name in sorted({*told, *true}):
        if name not in true:
            raise _Differs(f"{where} `{name}` is {told[name]} in the trace; it has no value")
        if name not in told:
            raise _Differs(f"{where} `{name}` is {true[name]}; the trace has no value")
        if not same_text(told[name], true[name]):
            raise _Differs(f"{where} `{name}` is {true[name]}, in the trace {told[name]}")


def same_text(told: str, true: str | None) -> bool:
    """Compares texts, up to where the tracer cut its own. None: not known."""
    if true is None:
        return True
    shown, cut, _ = told.partition(_CUT)
    return true.startswith(shown) if cut else told == true
