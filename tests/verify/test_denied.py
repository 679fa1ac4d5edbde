"""Tests sentences that deny a value, say no more than a turn's number, or lack a number's sign."""

import pytest

from data_pipeline.verify import line_verdicts, trace_of, verify_trace

KEEP = """def f(xs):
    out = []
    for x in xs:
        if x > 2:
            out.append(x)
    return out
"""
SIGN = """def f(n):
    if n > 0:
        return 1
    if n < 0:
        return -1
    return 0
"""
POP = "def f(d):\n    d.pop('a')\n    return sorted(d)\n"


def verdict(program, call, sentence):
    return line_verdicts(verify_trace(trace_of(program, call), sentence)).get(1)


# f([1, 5, 2, 7]) returns [5, 7]; the turns of 1 and 2 append nothing, that of 5 appends it.
@pytest.mark.parametrize(
    ("program", "call", "true", "false"),
    [
        (KEEP, "f([1, 5, 2, 7])", "[5] is not returned.", "[5, 7] is not returned."),
        (KEEP, "f([1, 5, 2, 7])", "[5] isn't returned.", "[5, 7] isn't returned."),
        (KEEP, "f([1, 5, 2, 7])", "2 is not appended to out.", "5 is not appended to out."),
        (POP, "f({'a': 1, 'b': 2})", "'b' is not removed from d.", "'a' is not removed from d."),
        (KEEP, "f([1, 5, 2, 7])", "In iteration 2, a number is appended.",
         "In iteration 1, a number is appended."),
        (KEEP, "f([1, 5, 2, 7])", "Iteration 1 leaves out empty.", "Iteration 2 leaves out empty."),
        (SIGN, "f(-4)", "If n is negative, it returns -1.", "If n is negative, it returns 1."),
        (SIGN, "f(-4)", "If n < 0, it returns -1.", "If n < 0, it returns 1."),
    ],
)  # fmt: skip
def test_the_false_one_is_not_confirmed_and_the_true_one_not_contradicted(
    program, call, true, false
):
    assert verdict(program, call, true) != "contradicted"
    assert verdict(program, call, false) != "confirmed"


def test_a_heading_of_a_turn_stays_whole():
    told = "### Execution Simulation\n1. [L7] Iteration 1: `x` is 1.\n2. **Second iteration:**"
    found = line_verdicts(verify_trace(trace_of(KEEP, "f([1, 5, 2, 7])"), told))
    assert (found[2], found[3]) == ("confirmed", "confirmed")


CAUGHT = """def f(s):
    try:
        return int(s)
    except ValueError:
        return -1
"""


@pytest.mark.parametrize("who", ["The function", "It", "`f`", "The call"])
def test_what_is_caught_does_not_end_the_call(who):
    assert verdict(CAUGHT, "f('x')", f"{who} raises a ValueError.") != "confirmed"
    told = "def f(s):\n    return int(s)\n"
    assert verdict(told, "f('x')", f"{who} raises a ValueError.") == "confirmed"


def test_a_line_raises_what_is_caught():
    assert verdict(CAUGHT, "f('x')", "[L7] `int(s)` raises a ValueError.") == "confirmed"
