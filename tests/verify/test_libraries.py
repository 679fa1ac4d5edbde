"""Tests narrator and verifier on functions of real libraries, with the calls of their doctests."""

import re

import pytest

from data_pipeline.monologue.forward import NarrationError, forward_monologue
from data_pipeline.seeds import Seed, read_unit, units
from data_pipeline.source.calls import CallError
from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONTRADICTED, mark_claims, verify_trace
from data_pipeline.verify.masking import is_literal
from tests.support.planting import count_caught_forward, is_contradicted

_COUNT = re.compile(r"\[L(\d+)\].*?(?:after|makes) (\d+) iterations?")
_TURN = re.compile(r"\[L(\d+)\] Iteration (\d+)(?=: | begins)")


def library_traces(package, most=200):
    pytest.importorskip(package)
    traces = []
    for unit in units(package):
        for found in read_unit(unit):
            if not isinstance(found, Seed):
                continue
            for call in found.calls[:3]:
                try:
                    trace = trace_call(found.code, call)
                    told = forward_monologue(trace)
                except (CallError, NarrationError):
                    continue
                if told and is_literal(trace.result or "") and len(traces) < most:
                    traces.append(trace)
    return traces


def neighbours(trace, told):
    """(line, monologue) with one count or turn off by one, none of them true of the run.

    A count beside the true one is false unless the loop makes it in another of its executions; a
    turn beside the true one is false where the rest of the step, its values, does not fit it.
    """
    loops, run = trace.loops, Replay(trace)
    lines = told.split("\n")
    for number, line in enumerate(lines):
        for pattern in (_COUNT, _TURN):
            match = pattern.search(line)
            if match is None:
                continue
            source, value = int(match[1]) - 4, int(match[2])
            for new in (value - 1, value + 1):
                made = [loop.iterations for loop in loops if loop.line == source]
                if pattern is _COUNT and (new in made or new < 0):
                    continue
                if pattern is _TURN and (new < 1 or len(made) != 1 or not _differs(run, source)):
                    continue
                broken = line[: match.start(2)] + str(new) + line[match.end(2) :]
                yield broken, "\n".join([*lines[:number], broken, *lines[number + 1 :]])


def _differs(run, header):
    """Whether the loop's turns all begin with other values of what its header binds."""
    seen = [
        tuple(sorted(here.event.changed.items()))
        for here in run.by_line.get(header, ())
        if here.turns.get(header)
    ]
    return all(seen) and len(set(seen)) == len(seen)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["toolz", "boltons"])
def test_functions_of_a_library(package):
    traces = library_traces(package)
    assert len(traces) > 20
    made = caught = 0
    missed = []
    for number, trace in enumerate(traces):
        told = forward_monologue(trace, seed=number)
        claims = verify_trace(trace, told)
        wrong = [claim for claim in claims if claim.verdict == CONTRADICTED]
        assert not wrong, f"{trace.program}\n{trace.call}\n{mark_claims(told, claims)}"
        for line, broken in neighbours(trace, told):
            made += 1
            if is_contradicted(trace, broken):
                caught += 1
            else:
                missed.append((trace.call, line))
    assert caught >= 0.99 * made, (caught, made, missed)
    planted, found, left = count_caught_forward(traces, seed=3, errors=4)
    assert found.total() >= 0.99 * planted.total(), (found, planted, left)
