"""Records a call with `sys.settrace` as a debugger does: no marker, no code of the tracer.

`differences` compares the record with a trace, frame by frame: the lines that run, the variables
before each, exceptions, and the value with which the frame ends.
"""

import ast
import contextlib
import io
import opcode
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

from data_pipeline.tracing import Event, Trace

FILE = "<plain>"
_OWN_FRAMES = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>")
_HIDDEN = {"__module__", "__qualname__", "__class__", "__classdict__", "__firstlineno__",
           "__static_attributes__", "__annotations__", "__classcell__"}  # fmt: skip
# While an exception leaves a `finally`, Python 3.11 visits its last line once more, for these.
_CLEANUP = [opcode.opmap[name] for name in ("COPY", "POP_EXCEPT", "RERAISE")]
# Statements without effect: compilers drop or keep their lines.
_SILENT = ast.Pass | ast.Break | ast.Continue | ast.Try | ast.TryStar | ast.Global | ast.Nonlocal


class PlainFrame:
    """What a debugger saw of one activation.

    steps: (line, variables before it); raised: types of exceptions; value: text of the value
    returned at the end
    """

    def __init__(self, function: str):
        self.function = function
        self.steps: list[tuple[int, dict[str, str | None]]] = []
        self.raised: list[str] = []
        self.value: str | None = None


def record_plainly(program: str, call: str) -> list[PlainFrame]:
    """Runs a call and returns its frames in order of their start."""
    frames: list[PlainFrame] = []
    numbers: dict[types.FrameType, PlainFrame] = {}  # holds the frames, so that none is reused

    def watch(frame: types.FrameType, kind: str, argument: Any) -> Any:
        code = frame.f_code
        if code.co_filename != FILE or code.co_name in _OWN_FRAMES:
            return None
        if frame not in numbers:
            numbers[frame] = PlainFrame(code.co_name)
            frames.append(numbers[frame])
        seen = numbers[frame]
        if kind == "line" and not is_cleanup(frame):
            seen.steps.append((frame.f_lineno, state_of(frame)))
        elif kind == "exception" and was_raised_in(frame, *argument):
            seen.raised.append(argument[0].__name__)
        elif kind == "return":
            seen.value = text_of(argument)
        return watch

    module = types.ModuleType("program")
    sys.modules["program"] = module
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(program, FILE, "exec", dont_inherit=True), vars(module))
            sys.settrace(watch)
            with contextlib.suppress(Exception):
                eval(call, vars(module))
        finally:
            sys.settrace(None)
            del sys.modules["program"]
    return frames


def is_cleanup(frame: types.FrameType) -> bool:
    """Returns whether the next instruction raises the exception again, after a `finally`."""
    operations = list(frame.f_code.co_code[frame.f_lasti :: 2][:3])
    return operations[0] == _CLEANUP[-1] or operations == _CLEANUP


def was_raised_in(
    frame: types.FrameType, kind: type, _: BaseException, traceback: types.TracebackType | None
) -> bool:
    """Returns False for the StopIteration with which an iterator tells a loop its end.

    The loop consumes it, so that it gets no traceback through the loop's frame.
    """
    return kind is not StopIteration or (traceback is not None and traceback.tb_frame is frame)


def state_of(frame: types.FrameType) -> dict[str, str | None]:
    values = dict(frame.f_locals)
    return {n: text_of(v) for n, v in values.items() if n not in _HIDDEN and n[0] != "."}


def text_of(value: Any) -> str | None:
    """Returns the text of plain values, None for those with another form in a trace."""
    match value:
        case list() | tuple():
            parts = [text_of(part) for part in value]
            if None in parts or len(parts) > 200:
                return None
            inside = ", ".join(parts)  # type: ignore[arg-type]
            if type(value) is list:
                return f"[{inside}]"
            return f"({inside},)" if len(parts) == 1 else f"({inside})"
        case dict():
            pairs = [(text_of(key), text_of(part)) for key, part in value.items()]
            if any(None in pair for pair in pairs):
                return None
            return "{" + ", ".join(f"{key}: {part}" for key, part in pairs) + "}"
        case set():
            if not all(type(part) is int for part in value):
                return None
            return "{" + ", ".join(map(str, sorted(value))) + "}" if value else "set()"
        case int() | str() | float() | None:
            return repr(value)
        case _ if type(value).__module__ == "program" and type(value).__name__ == "Box":
            inside = ", ".join(f"{name}={text_of(part)}" for name, part in vars(value).items())
            return None if "None" in inside else f"Box({inside})"
    return None


# ---- comparison


def differences(trace: Trace, plain: list[PlainFrame]) -> Iterator[str]:
    """Yields how the trace differs from what a debugger saw."""
    layout = _Layout(trace.program)
    own: dict[int, list[Event]] = {}
    for event in trace.events:
        if event.kind != "step" and event.function.rpartition(".")[2] not in _OWN_FRAMES:
            own.setdefault(event.frame, []).append(event)
    if len(own) != len(plain):
        yield f"{len(own)} frames, {len(plain)} in truth"
    for events, seen in zip(own.values(), plain, strict=False):
        yield from _compare_frame(layout, events, seen)


def _compare_frame(layout: "_Layout", events: list[Event], seen: PlainFrame) -> Iterator[str]:
    told = layout.visits([(event.line, state) for event, state in _line_states(events)])
    true = layout.visits(seen.steps)
    for (line, state), (true_line, true_state) in zip(told, true, strict=False):
        if line != true_line:
            yield f"{seen.function}: line {line} told, line {true_line} runs"
            return
        wrong = [
            name
            for name in {*state, *true_state}
            if (name in state) != (name in true_state) or not _same(state[name], true_state[name])  # type: ignore[arg-type]
        ]
        if wrong:
            name = min(wrong)
            yield (
                f"{seen.function}: before line {line} {name} is {state.get(name)}, "
                f"truly {true_state.get(name)}"
            )
            return
    if len(told) != len(true):
        yield f"{seen.function}: {len(told)} visits, truly {len(true)}"
    raised = [event.raised.type for event in events if event.raised is not None]
    if raised != seen.raised:
        yield f"{seen.function}: raises {raised}, truly {seen.raised}"
    last = events[-1]
    if last.kind not in ("return", "unwind", "yield"):  # a generator may not be run to its end
        yield f"{seen.function}: ends with {last.kind}"
    elif not _same(last.value or "None", seen.value):
        yield f"{seen.function}: ends with {last.value}, truly {seen.value}"


def _line_states(events: list[Event]) -> Iterator[tuple[Event, dict[str, str | None]]]:
    state: dict[str, str | None] = {}
    for event in events:
        if event.kind == "line":
            yield event, dict(state)
        state.update(event.changed)
        for name in event.gone:
            state.pop(name, None)


def _same(told: str | None, true: str | None) -> bool:
    return told is None or true is None or told == true or "…⟨+" in told


class _Layout:
    """Folds the lines that a debugger visits into visits of whole statements and headers."""

    def __init__(self, program: str):
        tree = ast.parse(program)
        self.starts: dict[int, int] = {}
        self.silent: set[int] = set()
        starting: dict[int, list[ast.stmt]] = {}
        for node in ast.walk(tree):
            lines = self._own_lines(node)
            for line in lines:
                self.starts[line] = min(self.starts.get(line, line), lines.start)
            if isinstance(node, ast.stmt):
                starting.setdefault(node.lineno, []).append(node)
            if isinstance(node, ast.Match):
                self._place_cases(node, program.split("\n"))
        for line, nodes in starting.items():
            if all(isinstance(node, _SILENT) or _is_text(node) for node in nodes):
                self.silent.add(line)
        while any(self.starts[self.starts[line]] != self.starts[line] for line in self.starts):
            # A statement that starts where another ends: both are one visit here.
            self.starts = {line: self.starts[start] for line, start in self.starts.items()}

    def _own_lines(self, node: ast.AST) -> range:
        if isinstance(node, ast.ExceptHandler):
            end = node.type.end_lineno if node.type else node.lineno
        elif not isinstance(node, ast.stmt):
            return range(0)
        elif not hasattr(node, "body") and not isinstance(node, ast.Match):
            end = node.end_lineno
        else:
            inside = [getattr(node, name, None) for name in ("test", "iter", "target", "subject")]
            inside += [part for item in getattr(node, "items", ()) for part in ast.walk(item)]
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inside += [
                    *ast.walk(getattr(node, "args", ast.Pass())),
                    *getattr(node, "bases", ()),
                ]
                for decorator in node.decorator_list:
                    inside += ast.walk(decorator)
            end = max([getattr(part, "end_lineno", None) or 0 for part in inside] + [node.lineno])
            first = [part.lineno for part in getattr(node, "decorator_list", ())]
            return range(min([node.lineno, *first]), end + 1)
        return range(node.lineno, (end or 0) + 1)

    def _place_cases(self, match: ast.Match, lines: list[str]) -> None:
        for case in match.cases:
            first = case.pattern.lineno
            while not lines[first - 1].lstrip().startswith("case"):
                first -= 1
            last = (case.guard or case.pattern).end_lineno or 0
            for line in range(first, max(last, case.pattern.end_lineno or 0) + 1):
                self.starts[line] = first

    def visits(
        self, steps: list[tuple[int, Mapping[str, str | None]]]
    ) -> list[tuple[int, Mapping[str, str | None]]]:
        """Returns the first step of each visit, without statements that have no effect."""
        found: list[tuple[int, Mapping[str, str | None]]] = []
        for line, state in steps:
            start = self.starts.get(line, line)
            if start in self.silent:
                continue
            if not found or found[-1][0] != start:
                found.append((start, state))
        return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
