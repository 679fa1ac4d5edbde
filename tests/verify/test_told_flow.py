"""Where a step says that the run goes; the way of this run is worked out by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

PROGRAM = """\
def drop(text, marks):
    signs = list(text)
    for mark in marks:
        if mark in signs:
            signs.remove(mark)
    while len(signs) > 5:
        signs.pop()
    if text.isidentifier():
        return "name"
    else:
        return "".join(signs)
"""
CALL = "drop('81c', 'c+')"  # 'c' is removed, '+' is not there; nothing is popped; no name
FIRST = "- **First Iteration** (`mark = 'c'`):"
SECOND = "- **Second Iteration** (`mark = '+'`):"
# heading before the sentence, sentence, verdict on its line
STEPS = [
    ("", "The function enters the `for` loop to go through each mark in `marks`.", "confirmed"),
    ("", "[L12]: The condition is `False`, so the function proceeds to the `else` block.",
     "confirmed"),
    ("", "[L15]: Since the condition is `False`, it moves to the `else` block.", "confirmed"),
    (FIRST, "The `remove` method is not called.", "contradicted"),
    (SECOND, "Since the condition is `False`, the `remove` method is not executed.", "confirmed"),
    ("", "The function returns `'81'`, since the input string does not start with `\"c+\"`.",
     "confirmed"),
    ("", "The function returns `'81'`, since the input string starts with `\"c+\"`.",
     "contradicted"),
]  # fmt: skip
NEVER_CONFIRMED = [
    ("", "The function enters the `while` loop."),
    (FIRST, "Since the condition is `True`, the `remove` method is not executed."),
    (SECOND, "Since the condition is `False`, the `insert` method is not executed."),
    (FIRST, "The function proceeds to the `else` block."),
]


def verdict(heading: str, sentence: str) -> str:
    lines = ["### Execution Simulation", *([heading] if heading else []), f"  {sentence}"]
    claims = verify_trace(trace_call(PROGRAM, CALL), "\n".join(lines))
    return line_verdicts(claims).get(len(lines), "unchecked")


@pytest.mark.parametrize(("heading", "sentence", "expected"), STEPS)
def test_the_way_of_the_run_is_judged(heading, sentence, expected):
    assert verdict(heading, sentence) == expected


@pytest.mark.parametrize(("heading", "sentence"), NEVER_CONFIRMED)
def test_another_way_is_never_confirmed(heading, sentence):
    assert verdict(heading, sentence) != "confirmed"


GUARDED = """\
def read(d, key):
    try:
        n = d[key]
    except KeyError:
        n = 0
    return n + 2
"""


@pytest.mark.parametrize(
    ("call", "sentence", "expected"),
    [
        ("read({}, 'a')", "[L8]: The `except KeyError` block is executed.", "confirmed"),
        ("read({'a': 1}, 'a')", "The `except` block is triggered.", "contradicted"),
        ("read({'a': 1}, 'a')", "[L10]: It returns `n + 2`, which is `1 + 2 = 3`.", "confirmed"),
        ("read({'a': 1}, 'a')", "[L10]: It returns `n + 2`, so `2 + 2 = 4`.", "contradicted"),
    ],
)
def test_handlers_and_sums_are_those_of_the_run(call, sentence, expected):
    lines = f"### Execution Simulation\n- {sentence}"
    claims = verify_trace(trace_call(GUARDED, call), lines)
    assert line_verdicts(claims).get(2, "unchecked") == expected


SUM = """\
def f(n):
    t = 0
    for i in range(n):
        if i == 1:
            t += 5
        if t > 50:
            return "too much"
    return t
"""


@pytest.mark.parametrize(
    "told",
    [
        "As soon as `t` is above 50, 'too much' is returned.",
        "It returns 'too much' as soon as `t` exceeds 50.",
        "In case `t` is above 50, the function returns 'too much'.",
        "L9 was executed in one pass only.",
        "`t += 5` runs in one iteration.",
        "The statement on L9 is executed once.",
    ],
)
def test_a_case_and_the_count_of_a_line_are_not_held_against_the_run_and_its_loop(told):
    """f(3) makes three turns, runs L9 in one of them and returns 5."""
    assert line_verdicts(verify_trace(trace_call(SUM, "f(3)"), told)).get(1) != "contradicted"


def test_turns_of_the_loop_still_count():
    for told, verdict in (("`for i in range(n)` runs 2 times.", "contradicted"),
                          ("The `for` loop runs 4 times.", "contradicted"),
                          ("The `for` loop runs 3 times.", "confirmed")):  # fmt: skip
        assert line_verdicts(verify_trace(trace_call(SUM, "f(3)"), told)).get(1) == verdict, told
