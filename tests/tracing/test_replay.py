"""Compares the states of a replayed run with those of a debugger in plain Python."""

import sys
from itertools import pairwise

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay, moments

PROGRAMS = {
    "loops and deletions": """\
def f(n):
    total = 0
    seen = []
    for i in range(n):
        if i % 2:
            total += i
            seen.append(i)
        else:
            spare = i
            del spare
    return total, seen
""",
    "recursion": """\
def f(n):
    if n == 0:
        return 1
    below = f(n - 1)
    above = n * below
    return above
""",
    "a comprehension's variable is none of the frame's": """\
def f(n):
    i = 7
    squares = [i * i for i in range(n)]
    return i, squares
""",
    "a generator beside its caller": """\
def g(n):
    k = 0
    while k < n:
        yield k
        k += 1

def f(n):
    got = 0
    for each in g(n):
        got += each
    return got
""",
}


def states_in_python(program, call):
    """Returns (line, the frame's variables as text before it) of every line, as in a debugger."""
    seen = []

    def watch(frame, kind, _):
        if frame.f_code.co_filename != "<plain>" or frame.f_code.co_name.startswith("<"):
            return None
        again = seen and seen[-1][0] == frame.f_lineno  # from 3.12 on, a comprehension's turns
        if kind == "line" and not again:
            seen.append((frame.f_lineno, {n: repr(v) for n, v in frame.f_locals.items()}))
        return watch

    namespace = {}
    exec(compile(program, "<plain>", "exec"), namespace)
    sys.settrace(watch)
    try:
        eval(call, namespace)
    finally:
        sys.settrace(None)
    return seen


@pytest.mark.parametrize("name", PROGRAMS)
def test_states_are_those_that_python_has(name):
    trace = trace_call(PROGRAMS[name], "f(4)")
    lines = [m for m in moments(trace) if m.event.kind == "line"]
    # What a line did stands at its start, so its nested calls come between: before, not after.
    told = [(m.event.line, dict(m.before)) for m in lines]
    assert told == states_in_python(PROGRAMS[name], "f(4)")
    for frame in {m.event.frame for m in lines}:
        own = [m for m in moments(trace) if m.event.frame == frame]
        assert all(one.after == other.before for one, other in pairwise(own))


def test_a_header_knows_the_turn_it_is_about_to_begin():
    loops = "    while n < 2:\n        n += 1\n    for c in 'ab':\n        n += 1\n"
    trace = trace_call(f"def f():\n    n = 0\n{loops}", "f()")
    turns = [(m.event.line, m.turn) for m in moments(trace) if m.event.branch is not None]
    assert turns == [(3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (5, 3)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_value_is_looked_up_where_it_was(name):
    run = Replay(trace_call(PROGRAMS[name], "f(4)"))
    lines = [(at, event) for at, event in enumerate(run.events) if event.kind == "line"]
    states = states_in_python(PROGRAMS[name], "f(4)")
    for (at, event), (line, state) in zip(lines, states, strict=True):
        assert event.line == line
        for variable in run.names:
            assert run.value(event.frame, variable, at - 1) == state.get(variable)
            positions, texts = run.history(event.frame, variable)
            earlier = [text for place, text in zip(positions, texts, strict=True) if place < at]
            assert (earlier or [None])[-1] == state.get(variable)
