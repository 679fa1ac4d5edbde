"""Compares the forward narrator with monologues written by hand."""

import pytest

from data_pipeline.monologue.inline import NarrationError, direct_answer, inline_monologue
from data_pipeline.tracing import trace_call

PROGRAM = """\
def f(s, a):
    for x in s:
        if x > 1:
            a += x
    s.append(a)
    while a > 2:
        a = a - 3
    return a > 3"""

MONOLOGUE = """\
### Understanding the Function
The function computes its result with a branch and a loop.

### Key Properties and Constraints
It is deterministic and may change a list in place.

### Execution Simulation
1. [L6] iteration 1 of s=[1, 2] gives x=1.
2. [L7] x=1 > 1 is False.
3. [L6] iteration 2 of s=[1, 2] gives x=2.
4. [L7] x=2 > 1 is True.
5. [L8] a=1 + x=2 gives a=3.
6. [L6] iteration 3 of s=[1, 2] does not start.
7. [L9] s=[1, 2].append(a=3) gives s=[1, 2, 3].
8. [L10] a=3 > 2 is True.
9. [L11] a=3 - 3 gives a=0.
10. [L10] a=0 > 2 is False.
11. [L12] return a=0 > 3, which is False.

### Conclusion
The function returns False.
[/MONOLOGUE]

[ANSWER]
assert f(s=[1, 2], a=1) == False
[/ANSWER]"""


def test_monologue_written_by_hand():
    assert inline_monologue(trace_call(PROGRAM, "f(s=[1, 2], a=1)")) == MONOLOGUE


def test_direct_answer():
    trace = trace_call("def f(s):\n    return s[::-1]", "f('ab')")
    assert direct_answer(trace) == "assert f('ab') == 'ba'\n[/ANSWER]"


def test_tuple_targets_and_unused_calls():
    program = "def f(a, b):\n    a, b = b, a\n    len([])\n    pass\n    return"
    steps = inline_monologue(trace_call(program, "f(1, 2)")).split("### ")[3].splitlines()[1:-1]
    assert steps == [
        "1. [L6] (b=2, a=1) gives a=2, b=1.",
        "2. [L7] len([]) is done.",
        "3. [L8] pass.",
        "4. [L9] return None.",
    ]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def f(a):\n    return 1 // a", "raised ZeroDivisionError"),
        ("def f(a):\n    g = lambda x: x\n    return g(a)", "nested frames"),
        ("def f(a):\n    import math\n    return a", "line 2: no words for Import"),
    ],
)
def test_runs_without_words_are_refused(program, expected):
    with pytest.raises(NarrationError, match=expected):
        inline_monologue(trace_call(program, "f(0)"))
