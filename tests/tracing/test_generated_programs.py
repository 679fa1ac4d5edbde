"""Compares traces of random programs with two records that share nothing with the tracer.

One is a debugger in plain Python (`tests.support.plain_recorder`), the other the recorder that
`recheck` uses, which compiles hooks into the program.
"""

import dataclasses
import itertools

import pytest

from data_pipeline.execution.guest.second_recorder import record
from data_pipeline.execution.second_opinion import first_difference
from data_pipeline.tracing import Event, Trace, trace_call
from tests.support.generated_programs import write_program
from tests.support.plain_recorder import differences, record_plainly

DEFAULT = 60
SLOW = 1075, 1200  # 1074 goes over a list that grows with each turn, without end


def programs(first: int, last: int):
    for seed in range(first, last):
        program, call = write_program(seed)
        if not compiles(program):
            continue
        trace = trace_call(program, call, max_lines=3000)
        if trace.truncated is None:  # too long, or no run that this Python can trace
            yield seed, program, call, trace


def compiles(program: str) -> bool:
    """Whether Python accepts it; one in a thousand has a nonlocal name that nothing binds."""
    try:
        compile(program, "<generated>", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def check(first: int, last: int) -> int:
    compared = 0
    for seed, program, call, trace in programs(first, last):
        assert (seed, first_difference(trace, record(program, call))) == (seed, None)
        assert (seed, *differences(trace, record_plainly(program, call))) == (seed,)
        compared += 1
    return compared


def test_traces_are_what_two_other_recorders_see():
    assert check(0, DEFAULT) > 0.8 * DEFAULT


@pytest.mark.slow
def test_traces_of_many_programs_are_what_two_other_recorders_see():
    assert check(*SLOW) > 0.8 * (SLOW[1] - SLOW[0])


# ---- the comparison finds what a faulty tracer would do


def faults(trace: Trace):
    """Yields (name, trace with one fault) for several events of each kind."""
    lines = [at for at, e in enumerate(trace.events) if e.kind == "line"]

    def with_event(at: int, *events: Event) -> Trace:
        return dataclasses.replace(
            trace, events=(*trace.events[:at], *events, *trace.events[at + 1 :])
        )

    for at in lines[::7]:
        event = trace.events[at]
        for name, text in itertools.islice(event.changed.items(), 1):
            other = {**event.changed, name: text + "1"}
            yield "another value", with_event(at, dataclasses.replace(event, changed=other))
            fewer = {n: t for n, t in event.changed.items() if n != name}
            yield "a change is lost", with_event(at, dataclasses.replace(event, changed=fewer))
        if event.branch is not None:
            turned = dataclasses.replace(event, branch=not event.branch)
            yield "the other branch", with_event(at, turned)
        if event.iteration is not None:
            later = dataclasses.replace(event, iteration=event.iteration + 1)
            yield "another turn", with_event(at, later)
    for at, event in enumerate(trace.events):
        if event.kind == "return" and event.value != "None" and "<lambda>" not in event.function:
            yield "another result", with_event(at, dataclasses.replace(event, value="'no'"))
            break


def test_the_second_recorder_finds_planted_faults():
    found: dict[str, int] = {}
    for seed, program, call, trace in programs(0, 12):
        seen = record(program, call)
        for name, faulty in faults(trace):
            assert (seed, name, first_difference(faulty, seen)) != (seed, name, None)
            found[name] = found.get(name, 0) + 1
    assert set(found) == {
        "another value", "a change is lost", "the other branch", "another turn", "another result",
    }  # fmt: skip


def test_a_second_record_of_a_step_left_out_or_told_twice():
    program = "def f(n):\n    a = n; b = a\n    while b: b -= 1\n    return g(a)\ndef g(x):\n"
    program += "    return x + 1\n"
    trace, seen = trace_call(program, "f(2)"), record(program, "f(2)")
    assert first_difference(trace, seen) is None
    lines = [at for at, event in enumerate(trace.events) if event.kind == "line"]
    for at in lines:
        without = (*trace.events[:at], *trace.events[at + 1 :])
        twice = (*trace.events[: at + 1], *trace.events[at:])
        for events in (without, twice):
            difference = first_difference(dataclasses.replace(trace, events=events), seen)
            assert difference is not None and difference.startswith("line "), trace.events[at]
