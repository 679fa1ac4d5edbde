"""What a step says of a test by a pronoun, a count or values; outcomes are worked out by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

SORTING = """\
def sort_letters(text, mark):
    kept = []
    for sign in text:
        if sign.isdigit():
            continue
        if sign == mark or sign == mark.upper():
            kept.insert(0, sign)
        elif sign.isupper():
            kept.append(sign.lower())
    count = text.count(mark)
    return "".join([sign * 2 for sign in kept])
"""
# The turns: '4' is a digit; 'z' and 'Z' equal the mark, or the mark in upper case; 'Q' is upper
# case; 'u' is neither.
CALL = "sort_letters('4zQu', 'z')"
TURNS = {"4": "First", "z": "Second", "Q": "Third", "u": "Fourth"}
# sign of the turn, sentence, verdict on the line
TOLD = [
    ("Q", "It is not a digit.", "confirmed"),
    ("Q", "It is a digit.", "contradicted"),
    ("Q", "The character is uppercase.", "confirmed"),
    ("u", "It is not uppercase.", "confirmed"),
    ("u", "It is not uppercase (`isupper()` returns `False`).", "confirmed"),
    ("u", "It is not uppercase (`isupper()` returns `True`).", "contradicted"),
    ("Q", "`isdigit()` returns `False`.", "confirmed"),
    ("z", "Since they are equal, `kept` becomes `['z']`.", "confirmed"),
    ("z", "Since they are not equal, `kept` becomes `['z']`.", "contradicted"),
    ("u", "They do not match.", "confirmed"),
    ("u", "None of the conditions is met.", "confirmed"),
    ("u", "No condition is met.", "confirmed"),
    ("Q", "None of the conditions is met.", "contradicted"),
    ("Q", "All of the conditions are met.", "contradicted"),
    ("4", "It skips to the next iteration.", "confirmed"),
    ("u", "The condition checks if `'u'` is equal to `'z'` or `'Z'`.", "confirmed"),
    ("4", "The `continue` statement is executed, skipping the rest of the loop.", "confirmed"),
    ("Q", "The uppercase letter `'Q'` is converted to lowercase.", "confirmed"),
]
NEVER_CONFIRMED = [
    ("4", "It is uppercase."),  # its turn ends before that is tested
    ("4", "They are equal."),
    ("Q", "It is a letter."),  # no test says so
    ("u", "The character is uppercase."),
    ("u", "The condition checks if `'u'` is equal to `'z'` or `'Q'`."),
    ("u", "The condition checks if `'Q'` is equal to `'z'` or `'Z'`."),
    ("u", "The condition checks if `'u'` is less than `'z'` or `'Z'`."),
    ("u", "`islower()` returns `True`."),
    ("u", "It skips to the next iteration."),  # by no `continue`
    ("Q", "The lowercase letter `'Q'` is converted to lowercase."),
    ("Q", "The uppercase letter `'u'` is converted to lowercase."),
    ("Q", "The first condition is met."),
    ("z", "The third condition is false."),
]


def verdict(sentence: str, heading: str = "") -> str:
    lines = ["### Execution Simulation", *([heading] if heading else []), sentence]
    claims = verify_trace(trace_call(SORTING, CALL), "\n".join(lines))
    return line_verdicts(claims).get(len(lines), "unchecked")


def in_turn(sign: str, sentence: str) -> str:
    return verdict(f"     - {sentence}", f"   - **{TURNS[sign]} Iteration** (`sign = {sign!r}`):")


@pytest.mark.parametrize(("sign", "sentence", "expected"), TOLD)
def test_unnamed_tests_are_judged_in_their_turn(sign, sentence, expected):
    assert in_turn(sign, sentence) == expected


@pytest.mark.parametrize(("sign", "sentence"), NEVER_CONFIRMED)
def test_what_no_test_of_the_turn_shows_is_not_confirmed(sign, sentence):
    assert in_turn(sign, sentence) != "confirmed"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ('The list comprehension results in the list `["zz", "qq"]`.', "confirmed"),
        ('The list comprehension results in the list `["zz", "qq", "uu"]`.', "contradicted"),
        ('The resulting string from the list comprehension is `"zzqq"`.', "confirmed"),
        ("[L14]: Here, `count` is `1`, since `'z'` appears once in `text`.", "confirmed"),
        ("[L14]: Here, `count` is `1`, since `'z'` appears twice in `text`.", "contradicted"),
        ("[L14]: Here, `count` is `1`, since `'u'` appears only once in `text`.", "confirmed"),
    ],
)
def test_comprehensions_and_counts_have_the_values_of_the_run(sentence, expected):
    assert verdict(sentence) == expected


COUNTDOWN = (
    "def total(n):\n    s = 0\n    for i in range(n + 1, 0, -1):\n        s += i\n    return s\n"
)


@pytest.mark.parametrize(
    ("sentence", "confirmed"),
    [
        ("It then enters a loop that runs from `n + 1` down to `1`.", True),
        ("It then enters a loop that runs from `n + 1` down to `0`.", False),
    ],
)
def test_both_bounds_of_a_loop_are_read(sentence, confirmed):
    lines = f"### Understanding the Function\n{sentence}"
    claims = verify_trace(trace_call(COUNTDOWN, "total(3)"), lines)
    assert (line_verdicts(claims).get(2) == "confirmed") == confirmed
