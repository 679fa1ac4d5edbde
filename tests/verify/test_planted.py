"""Errors planted into the narrator's monologues of real functions are caught, nearly all."""

import random
from collections import Counter

import pytest

from data_pipeline.monologue.forward import NarrationError, forward_monologue
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONTRADICTED, verify_trace
from tests.monologue.test_forward import PROGRAM, cruxeval_traces
from tests.support.planting import planted


def caught_of(traces, seed, errors=3):
    rng = random.Random(seed)
    made, caught, missed = Counter(), Counter(), []
    for number, trace in enumerate(traces):
        try:
            told = forward_monologue(trace, seed=number)
        except NarrationError:
            continue
        for kind, line, broken in planted(told, rng, errors):
            made[kind] += 1
            if any(claim.verdict == CONTRADICTED for claim in verify_trace(trace, broken)):
                caught[kind] += 1
            else:
                missed.append((kind, broken.split("\n")[line - 1]))
    return made, caught, missed


def test_an_error_is_planted_in_one_line_and_is_caught():
    trace = trace_call(PROGRAM, "outer(['2', 'x', '9', '5'])")
    told = forward_monologue(trace)
    assert not [c for c in verify_trace(trace, told) if c.verdict == CONTRADICTED]
    for seed in range(10):
        for _, line, broken in planted(told, random.Random(seed), 4):
            pairs = zip(told.split("\n"), broken.split("\n"), strict=True)
            assert [i for i, (a, b) in enumerate(pairs, 1) if a != b] == [line]
            assert any(c.verdict == CONTRADICTED for c in verify_trace(trace, broken)), broken


def test_planted_errors_of_two_hundred_functions(shared_data):
    made, caught, missed = caught_of(cruxeval_traces(shared_data, count=200, start=200), seed=1)
    assert made.total() > 300
    assert min(made.values()) > 20, made  # values, branches, turns and counts
    assert caught.total() >= 0.99 * made.total(), (caught, made, missed)


@pytest.mark.slow
def test_planted_errors_of_all_functions(shared_data):
    made, caught, missed = caught_of(cruxeval_traces(shared_data), seed=2, errors=4)
    assert caught.total() >= 0.99 * made.total(), (caught, made, missed)
