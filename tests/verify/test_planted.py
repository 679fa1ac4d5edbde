"""Tests that nearly all errors planted in monologues of real functions are found."""

import random

import pytest

from data_pipeline.monologue.forward import forward_monologue
from data_pipeline.tracing import trace_call
from tests.support.planting import count_caught_forward, is_contradicted, plant_errors
from tests.support.traced_programs import PROGRAM, cruxeval_traces


def test_an_error_is_planted_in_one_line_and_is_caught():
    trace = trace_call(PROGRAM, "outer(['2', 'x', '9', '5'])")
    told = forward_monologue(trace)
    assert not is_contradicted(trace, told)
    for seed in range(10):
        for _, line, broken in plant_errors(told, random.Random(seed), 4):
            pairs = zip(told.split("\n"), broken.split("\n"), strict=True)
            assert [i for i, (a, b) in enumerate(pairs, 1) if a != b] == [line]
            assert is_contradicted(trace, broken), broken


def test_planted_errors_of_a_hundred_functions(shared_data):
    made, caught, missed = count_caught_forward(
        cruxeval_traces(shared_data, count=100, start=200), seed=1
    )
    assert made.total() > 150
    assert min(made.values()) > 5, made  # values, branches, turns and counts
    check_caught(made, caught, missed)


def check_caught(made, caught, missed):
    assert caught["turn"] + caught["count"] >= 0.99 * (made["turn"] + made["count"]), missed
    assert caught.total() >= 0.9 * made.total(), (caught, made, missed)


@pytest.mark.slow
def test_planted_errors_of_all_functions(shared_data):
    made, caught, missed = count_caught_forward(cruxeval_traces(shared_data), seed=2, errors=4)
    check_caught(made, caught, missed)
