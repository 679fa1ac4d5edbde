"""Lines about the program and how often its parts run; truths counted by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONFIRMED, CONTRADICTED
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.backward.general import read_general

HIVE = """\
def hive(bees, least):
    kept, wings, weight = [], 2, 0
    for bee in bees:
        if bee > least:
            kept.append(bee)
            weight += bee
        wings += 4
    bees.sort()
    while len(kept) > 3:
        kept.pop()
    if weight < 0:
        raise ValueError(weight)
    return kept, weight, wings
"""
CALL = "hive([5, 1, 7, 2], 2)"  # ([5, 7], 12, 18): two bees are kept, four turns


@pytest.fixture(scope="module")
def run():
    return Replay(trace_call(HIVE, CALL))


LINES = [  # true, false
    ("So the loop over `bees` must make exactly {} turns.", "4", "2"),
    ("So the condition `bee > least` must hold exactly {}.", "twice", "once"),
    ("For that, `weight < 0` has to be {}.", "false", "true"),
    ("`wings += 4` must run exactly {} times.", "4", "3"),
    ("So the condition `weight < 0` must {}.", "never hold", "hold exactly once"),
    ("The values of `bee` that are appended must be {}, in this order.", "[5, 7]", "[7, 5]"),
    ("The loop over `bees` builds it up by `kept.append({})`.", "bee", "least"),
    ("`weight` comes out of the loop over `bees`, which updates it by `+= {}`.", "bee", "wings"),
    ("We choose the way that ends with the `return` of `kept, {}, wings`.", "weight", "least"),
]


@pytest.mark.parametrize(("line", "right", "wrong"), LINES)
def test_how_often_parts_run_is_held_against_the_run_of_the_answer(run, line, right, wrong):
    for told, verdict in ((right, CONFIRMED), (wrong, CONTRADICTED)):
        reading = read_backward(run, "reverse deduction", line.replace("{}", told))
        assert {claim.verdict for claim in reading.claims} == {verdict}, told


GENERAL = [
    ("- The function tests `bee > {}`.", "least", "kept"),
    ("- One loop takes `bee` from `{}`.", "bees", "kept"),
    ("- A loop goes on as long as `len(kept) > {}` holds.", "3", "4"),
    ("- The argument `{}` is changed in place.", "bees", "least"),
]


@pytest.mark.parametrize(("line", "right", "wrong"), GENERAL)
def test_parts_of_the_program_are_held_against_it(run, line, right, wrong):
    for told, verdict in ((right, CONFIRMED), (wrong, CONTRADICTED)):
        reading = read_general(run, line.replace("{}", told), "([5, 7], 12, 18)")
        assert [claim.verdict for claim in reading.claims] == [verdict], told


@pytest.mark.parametrize(
    ("line", "goal", "is_read"),
    [
        ("- The output is a string of length 3.", "'abc'", True),
        ("- The output is an empty list.", "[]", True),
        ("- The output is a dict with 2 keys.", "{1: 2, 3: 4}", True),
        ("- The output is a truth value.", "False", True),
        ("- The output is a string of length 4.", "'abc'", False),
        ("- The output is always a string of length 3.", "'abc'", False),
        ("- The output is a dict with 2 keys.", "{1: 2}", False),
    ],
)
def test_the_output_given_is_described(run, line, goal, is_read):
    reading = read_general(run, line, goal)
    verdicts = [] if reading is None else [claim.verdict for claim in reading.claims]
    assert (verdicts == [CONFIRMED]) == is_read and (is_read or CONFIRMED not in verdicts)


@pytest.mark.parametrize(
    "line",
    [
        "`bees.sort()` is run, and `bees` is now [1, 2, 5, 7].",
        "`bees` is set to [1, 2, 5, 7].",
        "`bees[0]` is 1, and the loop is over.",
    ],
)
def test_what_an_argument_becomes_is_not_denied_for_what_it_was(run, line):
    reading = read_backward(run, "reverse deduction", line)
    assert CONTRADICTED not in {claim.verdict for claim in reading.claims}
    denied = read_backward(run, "reverse deduction", "The input `bees` must be [1, 2, 5, 7].")
    assert CONTRADICTED in {claim.verdict for claim in denied.claims}
