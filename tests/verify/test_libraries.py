"""Tests narrator and verifier on functions of real libraries, with the calls of their doctests."""

import re

import pytest

from data_pipeline.execution.service import TraceLimits, call_job
from data_pipeline.monologue.forward import NarrationError, forward_monologue
from data_pipeline.seeds import Seed, read_unit, units
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONTRADICTED, mark_claims, verify_trace
from data_pipeline.verify.masking import is_literal
from tests.support.planting import count_caught_forward, is_contradicted
from tests.support.sandboxes import open_sandbox

_COUNT = re.compile(r"\[L(\d+)\].*?(?:after|makes) (\d+) iterations?")
_TURN = re.compile(r"\[L(\d+)\] Iteration (\d+)(?=: | begins)")


def library_runs(package):
    """Yields a traced run for each of the first calls that a library's doctests make."""
    for unit in units(package):
        for found in read_unit(unit):
            if isinstance(found, Seed):
                for call in found.calls[:3]:
                    yield call_job(found.code, call, trace=TraceLimits())


def library_traces(package, most=200):
    """Returns narrated runs; made in the sandbox, because a call may neither end nor fit memory."""
    pytest.importorskip(package)
    with open_sandbox(workers=2) as sandbox:
        traces = [result.trace for result in sandbox.map(library_runs(package)) if result.trace]
    return [t for t in traces if is_literal(t.result or "") and is_narrated(t)][:most]


def is_narrated(trace):
    try:
        return bool(forward_monologue(trace))
    except NarrationError:
        return False


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
    # Objects that are told by a `repr` of their own, such as deque([2]), are compared in part.
    assert found.total() >= 0.95 * planted.total(), (found, planted, left)
