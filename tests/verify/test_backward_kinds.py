"""Tests that lines of backward monologues about the witness and its run are judged on that run.

The truths are worked out by hand from the programs below.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts, verify_trace
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.backward.goal import restated_goal

DOUBLED = """\
def weigh(marks, least):
    total = 0
    for mark in marks:
        if mark > least:
            total += mark
    return total * 2
"""
STOCK = """\
def restock(stock, first):
    shelf = {}
    rows = list(stock.items())
    for row in rows[first:]:
        shelf[row] = None
    half = len(rows) // 2
    return rows + list(shelf)
"""
# `shelf` ends as {("nail", 4): None}; rows: [("bolt", 9), ("nail", 4)]; half: 1
WEIGH, RESTOCK = "weigh([2, 6, 7], 5)", "restock({'bolt': 9, 'nail': 4}, 1)"


def verdicts(program, call, line, goal=None):
    run = Replay(trace_call(program, call))
    reading = read_backward(run, "reverse deduction", line, goal=goal or run.trace.result)
    return {claim.verdict for claim in reading.claims}, reading.unread


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("Checking `weigh([2, 6, 7], 5)` forwards gives 26.", "26 24"),
        ("So `weigh([2, 6, 7], 5)` is a witness: it returns 26.", "26 25"),
        ("`weigh([2, 6, 7], 5)` meets all this and returns 26.", "26 13"),
        ("Only the `return` of `total * 2` can give the output, so its value must be 26.", "26 6"),
        ("For `total * 2` to be 26, `total` must be 13.", "13 6"),
        ("`total * 2` is 26 only if `total` is 13.", "13 0"),
        ("We choose `marks` = [2, 6, 7] and `least` = 5.", "[2, 6, 7] [2, 6]"),
        ("One choice is `marks` = [2, 6, 7] and `least` = 5.", "[2, 6, 7] [7]"),
        ("We use a simple list `[2, 6, 7]` with `least = 5`.", "[2, 6, 7] [1, 6, 7]"),
    ],
)
def test_lines_about_the_result_and_the_choice(true, false):
    old, _, new = false.rpartition(" ") if "]" not in false else false.partition("] ")
    old = old + "]" if "]" in false else old
    assert verdicts(DOUBLED, WEIGH, true) == ({CONFIRMED}, ())
    assert CONTRADICTED in verdicts(DOUBLED, WEIGH, true.replace(old, new))[0]


@pytest.mark.parametrize(
    "line",
    [
        "The dictionary must contain the key-value pairs `('bolt', 9)` and `('nail', 4)`.",
        "The second element in the output is `('nail', 4)`, which means `stock` must contain this"
        " key-value pair.",
        "The third element is `('nail', 4)`, indicating that `('nail', 4)` was added to `shelf`.",
        "`first` must be such that the first element in `rows` is `('bolt', 9)`.",
        "The `half` must be between `0` and `1` (inclusive).",
        "- `first = 1` (or any other index)",
        "- `('nail', 4)`",
    ],
)
def test_true_lines_about_items(line):
    assert verdicts(STOCK, RESTOCK, line) == ({CONFIRMED}, ())


@pytest.mark.parametrize(
    "line",
    [
        "The dictionary must contain the key-value pairs `('bolt', 9)` and `('nail', 5)`.",
        "`('bolt', 9)` was added to `shelf`.",
        "The first element in `rows` is `('nail', 4)`.",
        "The `half` must be between `2` and `5` (inclusive).",
        "- `first = 0` (or any other index)",
    ],
)
def test_false_lines_about_items(line):
    assert verdicts(STOCK, RESTOCK, line)[0] == {CONTRADICTED}


def test_an_aside_about_bounds_is_judged():
    confirmed = ({CONFIRMED}, ())
    assert verdicts(DOUBLED, WEIGH, "`(7 % 4) - 1 = 2` (valid index)") == confirmed
    assert verdicts(DOUBLED, WEIGH, "`(7 % 4) + 1 = 4` (out of bounds)") == confirmed
    assert CONFIRMED not in verdicts(DOUBLED, WEIGH, "`(7 % 4) - 1 = 2` (out of bounds)")[0]


TOLD = """\
### Understanding the Function

### Reverse Deduction
- Checking `weigh([2, 6, 7], 5)` forwards gives 26.
- `total` gets the value 0.
- Iteration 1: `mark` is 2.
- `mark > least` is `2 > 5`, which is False.
- With `mark` = 6, `total` goes from 0 to 6.
- With `mark` = 7, `total` goes from 6 to 13.
- The loop over `marks` ends after 3 iterations.
- `total * 2` is `13 * 2`; the function returns 26.

### Conclusion
[/MONOLOGUE]

[ANSWER]
assert weigh([2, 6, 7], 5) == 26
[/ANSWER]
"""


def line_of(text, words):
    verdict = line_verdicts(verify_trace(trace_call(DOUBLED, WEIGH), text))
    return verdict.get(next(n for n, row in enumerate(text.split("\n"), 1) if words in row))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("gets the value 0", "gets the value 4"),
        ("Iteration 1: `mark` is 2", "Iteration 1: `mark` is 3"),
        ("`2 > 5`, which is False", "`2 > 5`, which is True"),
        ("goes from 0 to 6", "goes from 0 to 7"),
        ("the function returns 26", "the function returns 27"),
    ],
)
def test_lines_that_tell_the_run_of_the_witness(line, wrong):
    assert line_of(TOLD, line) == CONFIRMED
    assert line_of(TOLD.replace(line, wrong), wrong) != CONFIRMED


@pytest.mark.parametrize(
    ("line", "goal"),
    [
        ("- **Final output constraint**: The function returns `30`, which is even.", "30"),
        ('- **Final output constraint**: The output is "ab".', '"ab"'),
        ("The output is `30`.", None),
    ],
)
def test_the_goal_is_the_output_that_the_monologue_restates(line, goal):
    assert restated_goal(line) == goal
