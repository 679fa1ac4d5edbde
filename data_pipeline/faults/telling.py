"""Describes a buggy run step by step, in words that a reader can check against the program."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_pipeline.faults.alignment import INSIDE
from data_pipeline.tracing import Event, Trace

MAX_VALUE = 120
"""Maximum characters of a value; of longer ones only the length is shown."""

_HEAD, _BEFORE, _AFTER, _TAIL = 6, 7, 2, 3  # steps to show of a long run


@dataclass(frozen=True)
class Step:
    """Holds a described step. number: from 1; index: of its event in the trace."""

    number: int
    index: int
    text: str


class StepNarrator:
    """Writes the steps of a run.

    Attributes:
      steps: every step with a visible effect, in order.
    """

    def __init__(self, trace: Trace):
        self.trace = trace
        self.source = trace.program.split("\n")
        self.statements: dict[int, ast.stmt] = {}
        for node in ast.walk(ast.parse(trace.program)):
            if isinstance(node, ast.stmt):
                self.statements.setdefault(node.lineno, node)
        self.steps: list[Step] = []
        self.raising_lines = _raising_lines(trace.events)
        for index in in_time(trace.events):
            event = trace.events[index]
            text = None if index in self.raising_lines else self._describe(event)
            if text is not None:
                number = len(self.steps) + 1
                self.steps.append(Step(number, index, f"{self.line(event.line)}: {text}."))

    def line(self, number: int) -> str:
        """Returns "Line 4 (`x += 1`)"."""
        return f"Line {number} ({self.code(number)})"

    def code(self, number: int) -> str:
        return f"`{self.source[number - 1].strip()}`"

    def at(self, index: int) -> Step | None:
        """Returns the step of an event; None if it is not described."""
        return next((step for step in self.steps if step.index == index), None)

    def before(self, index: int) -> Step | None:
        """Returns the last described step that is over when the event at `index` comes."""
        over = set(in_time(self.trace.events[:index], self.trace.events[index].depth))
        return next((step for step in reversed(self.steps) if step.index in over), None)

    def around(self, index: int) -> list[str]:
        """Returns the numbered steps.

        Includes all steps of a short run; of a long one the first, those around the event at
        `index`, and the last.
        """
        here = self.at(index) or self.before(index)
        middle = here.number - 1 if here is not None else 0
        count = len(self.steps)
        shown = {
            *range(min(_HEAD, count)),
            *range(max(middle - _BEFORE, 0), min(middle + _AFTER + 1, count)),
            *range(max(count - _TAIL, 0), count),
        }
        lines: list[str] = []
        left_out = 0
        for number, step in enumerate(self.steps):
            if number in shown:
                if left_out == 1:  # omitting one step saves nothing
                    lines.append(f"{number}. {self.steps[number - 1].text}")
                elif left_out:
                    lines.append(f"(Steps {number - left_out + 1} to {number} are left out.)")
                lines.append(f"{number + 1}. {step.text}")
                left_out = 0
            else:
                left_out += 1
        return lines

    # ---- one step

    def _describe(self, event: Event) -> str | None:
        """Describes a step, without period; returns None if it is not worth a line."""
        statement = self.statements.get(event.line)
        if event.kind == "call":
            who = "the call" if event.depth == 0 else f"a call of {name_of(event)}"
            return f"{who} binds {values(event.changed)}" if event.changed else f"{who} begins"
        if event.kind == "exception":
            return f"it raises {describe_exception(event)}"
        if event.kind == "return":
            ends = event.value == "None" and not isinstance(statement, ast.Return)
            return f"{name_of(event)} {'ends and ' * ends}returns {value(event.value)}"
        if event.kind == "yield":
            return f"it hands out {value(event.value)}"
        if event.kind == "resume":
            return f"it goes on, {values(event.changed)}" if event.changed else None
        if event.kind != "line":
            return None
        told = describe_branch(event, statement)
        changes = describe_changes(event)
        if isinstance(statement, ast.For) and told and event.branch and changes:
            return f"{told} with {changes}"
        if told:
            return ", ".join(part for part in (told, changes) if part)
        if changes:
            return changes
        if isinstance(statement, ast.Return | ast.FunctionDef | ast.Try) or (
            event.branch is None and isinstance(statement, ast.If | ast.While | ast.For)
        ):
            return None
        if isinstance(statement, ast.Break | ast.Continue):
            return "the loop is left" if isinstance(statement, ast.Break) else "on to the next turn"
        return "no variable changes"


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


def _raising_lines(events: Sequence[Event]) -> set[int]:
    """Returns indices of lines that only raise: the exception describes them."""
    latest: dict[int, int] = {}  # frame -> index of its latest event
    cut = set()
    for index, event in enumerate(events):
        if event.kind == "step":
            continue
        before = latest.get(event.frame)
        if event.kind == "exception" and before is not None:
            line = events[before]
            if line.kind == "line" and not line.changed and not line.gone and line.branch is None:
                cut.add(before)
        latest[event.frame] = index
    return cut


def name_of(event: Event) -> str:
    """Returns the function's own name."""
    return event.function.rpartition(".")[2]


def describe_branch(event: Event, statement: ast.stmt | None) -> str:
    """Describes the branch taken on a header line; "" on other lines."""
    if event.branch is None:
        return ""
    match statement:
        case ast.For():
            return f"iteration {event.iteration} begins" if event.branch else "the loop ends"
        case ast.While():
            if event.branch:
                return f"the condition is true, iteration {event.iteration} begins"
            return "the condition is false, the loop ends"
        case ast.If():
            return f"the condition is {'true' if event.branch else 'false'}"
    return "its block is entered" if event.branch else "its block is passed by"


def describe_changes(event: Event) -> str:
    parts = [values(event.changed)] if event.changed else []
    return ", ".join([*parts, *(f"{name} is deleted" for name in event.gone)])


def values(texts: Mapping[str, str], names: Sequence[str] | None = None) -> str:
    """Returns "x = 1, y = 2"."""
    return ", ".join(
        f"{name} = {value(texts[name])}" for name in (texts if names is None else names)
    )


def value(text: str | None) -> str:
    text = text or ""
    if len(text) <= MAX_VALUE and "\n" not in text:
        return text
    return f"a value of {len(text)} characters"


def describe_exception(event: Event) -> str:
    assert event.raised is not None
    text = " ".join(str(event.raised).split())
    return text if len(text) <= MAX_VALUE else event.raised.type
