"""Records a run with Python's own `sys.settrace`, apart from the project's tracer.

`Recording.lines[frame, line]` lists the executions of a line: the names before it, the frame's
globals, and the names when the frame's next event comes. Frames are numbered by their start, as in
a trace; those that Python 3.11 makes for comprehensions are left out. For programs whose statements
stand on lines of their own.
"""

import copy
import sys
from dataclasses import dataclass, field

_FILE = "<recorded>"
_FOLDED = ("<listcomp>", "<setcomp>", "<dictcomp>")


@dataclass
class LineRun:
    """One execution of a line; `after` is filled when the frame's next event comes."""

    line: int
    before: dict
    scope: dict = field(repr=False)
    after: dict = field(default_factory=dict)
    following: int | None = None
    returned: object = None
    did_return: bool = False


@dataclass
class Recording:
    result: object = None
    lines: dict = field(default_factory=dict)  # (frame, line) -> [LineRun]
    orders: dict = field(default_factory=dict)  # frame -> [LineRun]
    arguments: dict = field(default_factory=dict)  # frame -> names at its start
    names: dict = field(default_factory=dict)  # frame -> name of its function


def _copied(names):
    found = {}
    for name, value in names.items():
        try:
            found[name] = copy.deepcopy(value)
        except Exception:
            found[name] = value
    return found


def record_plainly(program: str, call: str) -> Recording:
    """Runs the call and records every line of the program that runs in it."""
    scope: dict = {"__name__": "recorded"}
    exec(compile(program, _FILE, "exec"), scope)
    out, numbers, latest = Recording(), {}, {}

    def close(frame, number, line):
        run = latest.get(number)
        if run is not None:
            run.after, run.following = _copied(frame.f_locals), line

    def local(frame, event, argument):
        number = numbers[id(frame)]
        repeats = number in latest and latest[number].line == frame.f_lineno
        if event == "line" and repeats:  # from Python 3.12 on, a turn of a comprehension
            return local
        if event == "line":
            close(frame, number, frame.f_lineno)
            run = LineRun(frame.f_lineno, _copied(frame.f_locals), frame.f_globals)
            latest[number] = run
            out.lines.setdefault((number, frame.f_lineno), []).append(run)
            out.orders.setdefault(number, []).append(run)
        elif event == "return":
            close(frame, number, None)
            if number in latest:
                latest[number].did_return = True
                latest[number].returned = copy.deepcopy(argument)
        return local

    kept = []  # frames stay alive, so that their ids stay theirs

    def trace(frame, event, argument):
        if frame.f_code.co_filename != _FILE or frame.f_code.co_name in _FOLDED:
            return None
        if id(frame) not in numbers:
            kept.append(frame)
            numbers[id(frame)] = len(numbers)
            number = numbers[id(frame)]
            out.arguments[number] = _copied(frame.f_locals)
            out.names[number] = frame.f_code.co_name
        return local

    target = eval(f"lambda: {call}", scope)
    target.__code__ = target.__code__.replace(co_filename="<call>")
    sys.settrace(trace)
    try:
        out.result = target()
    finally:
        sys.settrace(None)
    return out
