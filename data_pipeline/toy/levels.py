"""Generates functions in three levels of difficulty, smaller than the quickstart's.

A function takes one or two integers, assigns sums and differences, and returns a variable:

- easy: one to three assignments in a straight line;
- medium: also one branch, one loop of up to three turns, or both, one after the other;
- hard: a loop with a branch or a second loop in it. Its runs have more steps and more turns than
  any run of the other levels, but no longer programs, so that line labels are known from those.

Values stay from 0 to MAX_VALUE, and no count in a hard run exceeds MAX_VALUE: a model that is
trained on the other levels knows every number that it has to write.
"""

import ast
import dataclasses
import random
from collections.abc import Mapping, Sequence

from data_pipeline.toy.corpus import ToyProgram
from data_pipeline.tracing import Trace, trace_call

MAX_VALUE = 19
MAX_LINES = 8
_MAX_ARGUMENT = 9
_ARGUMENTS = ("a", "b")
_NAMES = ("a", "b", "c", "d")
_INDENT = "    "


@dataclasses.dataclass(frozen=True)
class Level:
    """Bounds the functions and runs of one difficulty.

    Args:
      name: key in LEVELS.
      steps: least and most executed lines of the body.
      turns: least and most turns of all loops of a run together.
      is_trained: whether functions of this level may be trained on.
      shapes: sequences of blocks to draw from; a block is a method `_write_…` of the writer.
    """

    name: str
    steps: tuple[int, int]
    turns: tuple[int, int]
    is_trained: bool
    shapes: tuple[tuple[str, ...], ...]


_EASY_SHAPES = (("assignment",), ("assignment",) * 2, ("assignment",) * 3)
_MEDIUM_SHAPES = (
    ("branch",),
    ("assignment", "branch"),
    ("branch", "assignment"),
    ("loop",),
    ("assignment", "loop"),
    ("loop", "assignment"),
    ("branch", "loop"),
    ("loop", "branch"),
)
_HARD_SHAPES = (
    ("loop_of_branch",),
    ("assignment", "loop_of_branch"),
    ("loop_of_branch", "assignment"),
    ("loop_of_loop",),
    ("assignment", "loop_of_loop"),
)
LEVELS: Mapping[str, Level] = {
    level.name: level
    for level in (
        Level("easy", (2, 4), (0, 0), True, _EASY_SHAPES),
        Level("medium", (3, 10), (0, 3), True, _MEDIUM_SHAPES),
        Level("hard", (11, 14), (4, 9), False, _HARD_SHAPES),
    )
}


def draw_run(level: Level, rng: random.Random) -> Trace | None:
    """Draws a function and a call of a level and runs it; None if the run is not of the level."""
    program = _Writer(rng).write(level)
    if program.code.count("\n") >= MAX_LINES:
        return None
    trace = trace_call(program.code, program.call)
    return trace if is_of_level(trace, level) else None


def is_of_level(trace: Trace, level: Level) -> bool:
    """Tells whether a run has a level's steps and turns, and values within the bounds."""
    if trace.raised is not None or trace.result is None:
        return False
    values = {text for event in trace.events for text in event.changed.values()} | {trace.result}
    return (
        level.steps[0] <= count_steps(trace) <= level.steps[1]
        and level.turns[0] <= count_turns(trace) <= level.turns[1]
        and all(_is_in_bounds(text) for text in values)
    )


def count_steps(trace: Trace) -> int:
    """Counts the executed lines, loop headers at each visit."""
    return sum(event.kind == "line" for event in trace.events)


def count_turns(trace: Trace) -> int:
    """Counts the turns of all loops together."""
    return sum(loop.iterations for loop in trace.loops)


def _is_in_bounds(text: str) -> bool:
    value = ast.literal_eval(text)
    return type(value) is int and 0 <= value <= MAX_VALUE


class _Writer:
    """Writes one function, block by block; `names` holds the variables set on every path."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.names: list[str] = list(_ARGUMENTS[: rng.randint(1, 2)])
        self.lines: list[str] = []
        self.latest = self.names[0]

    def write(self, level: Level) -> ToyProgram:
        arguments = list(self.names)
        for block in self.rng.choice(level.shapes):
            getattr(self, f"_write_{block}")(_INDENT)
        result = self.latest if self.rng.random() < 0.9 else self.rng.choice(self.names)
        header = f"def f({', '.join(arguments)}):"
        code = "\n".join([header, *self.lines, f"{_INDENT}return {result}"])
        values = (f"{name}={self.rng.randint(0, _MAX_ARGUMENT)}" for name in arguments)
        return ToyProgram(code, f"f({', '.join(values)})")

    def _write_assignment(self, indent: str, target: str = "", read: Sequence[str] = ()) -> None:
        """Writes a sum or difference; `read`: variables to prefer as second operand."""
        rng = self.rng
        target = target or rng.choice(_NAMES)
        first = target if target in self.names and rng.random() < 0.5 else self._some()
        others = [name for name in (*read, *self.names) if name != first]
        operand = str(rng.randint(1, 5))
        if others and rng.random() < 0.4:
            operand = rng.choice(others)
        self.lines.append(f"{indent}{target} = {first} {rng.choice('+-')} {operand}")
        if target not in self.names:
            self.names.append(target)
        self.latest = target

    def _write_branch(self, indent: str) -> None:
        """Writes an `if`, half of the time with an `else`, that sets an existing variable."""
        target = self._some()
        self._open_branch(indent)
        self._write_assignment(indent + _INDENT, target)
        if self.rng.random() < 0.5:
            self.lines.append(f"{indent}else:")
            self._write_assignment(indent + _INDENT, target)

    def _write_loop(self, indent: str) -> None:
        name = self.rng.choice("ij")
        self._open_loop(indent, name, self.rng.randint(1, 3))
        self._write_accumulation(indent + _INDENT, (name,))

    def _write_loop_of_branch(self, indent: str) -> None:
        self._open_loop(indent, "i", self.rng.randint(3, 5))
        target = self._some()
        self._open_branch(indent + _INDENT)
        self._write_accumulation(indent + 2 * _INDENT, ("i",), target)
        if self.rng.random() < 0.5:
            self._write_accumulation(indent + _INDENT, ("i",))

    def _write_loop_of_loop(self, indent: str) -> None:
        self._open_loop(indent, "i", self.rng.randint(2, 3))
        self._open_loop(indent + _INDENT, "j", self.rng.randint(2, 3))
        self._write_accumulation(indent + 2 * _INDENT, ("i", "j"))

    def _open_branch(self, indent: str) -> None:
        operator, limit = self.rng.choice("<>"), self.rng.choice((3, 5, 7))
        self.lines.append(f"{indent}if {self._some()} {operator} {limit}:")

    def _open_loop(self, indent: str, name: str, turns: int) -> None:
        self.lines.append(f"{indent}for {name} in range({turns}):")

    def _write_accumulation(self, indent: str, loops: Sequence[str], target: str = "") -> None:
        """Writes a change of an existing variable, often by a loop's variable."""
        rng = self.rng
        target = target or self._some()
        others = [name for name in self.names if name != target]
        operands = [*loops * 2, str(rng.randint(1, 3)), *others[:1]]
        self.lines.append(f"{indent}{target} = {target} {rng.choice('++-')} {rng.choice(operands)}")
        self.latest = target

    def _some(self) -> str:
        """Chooses a variable, the latest one in half of the cases."""
        return self.latest if self.rng.random() < 0.5 else self.rng.choice(self.names)
