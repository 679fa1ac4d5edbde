"""Conditions told in words as reasons; every outcome is worked out by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

SHELF = """\
def take(stock, wanted, label):
    if wanted in stock:
        return stock.pop(wanted)
    if not label.startswith("box"):
        return label.find(",")
    return "none"
"""
# 'nuts' is no key; the label begins with "box" and has a comma, no dot and no digit.
CALL = "take({'rice': 4}, 'nuts', 'box,7a')"
TOLD = [
    ("2. [L6]: Since `'nuts'` is not a key in the dictionary, the condition is `False`.", True),
    ("2. [L6]: Since `'nuts'` does not exist in `stock`, the condition is `False`.", True),
    ("2. [L6]: Since `'nuts'` is a key in the dictionary, the condition is `False`.", False),
    ("2. [L6]: Since `'rice'` is not a key in the dictionary, the condition is `False`.", False),
    ("2. [L10]: Since `label` starts with `\"box\"`, the function returns `'none'`.", True),
    ("2. [L10]: Since `\"box\"` is at the start of `label`, the function returns `'none'`.", True),
    (
        '2. [L10]: Since `"box"` was not found at the beginning of `label`, the function returns'
        " `'none'`.",
        False,
    ),
    ("The function returns `'none'` because `'nuts'` is not present in the dictionary.", True),
    ("The function returns `'none'` because `'nuts'` is present in the dictionary.", False),
    ("If `'nuts'` is not present in the dictionary, it returns 3.", False),
    ("2. [L10]: It returns `'none'`, as `3` does not appear in the list `[1, 2]`.", True),
    (
        "2. [L10]: It returns `'none'`, as `2` does not appear in the list `[1, 2]`.",
        False,
    ),
]


def verdict_of(program, call, line):
    told = f"### Execution Simulation\n{line}"
    return line_verdicts(verify_trace(trace_call(program, call), told)).get(2)


@pytest.mark.parametrize(("line", "holds"), TOLD)
def test_reasons_in_words(line, holds):
    assert (verdict_of(SHELF, CALL, line) == "confirmed") is holds


@pytest.mark.parametrize(
    ("text", "line", "holds"),
    [
        ("a,b", "Since there is a comma in the string, the condition is `True`.", True),
        ("a,b", "Since there are no commas in the string, the condition is `True`.", False),
        ("ab", "Since there are no commas in the string, the condition is `False`.", True),
        ("ab", "Since there is a comma in the string, the condition is `False`.", False),
    ],
)
def test_characters_by_their_names(text, line, holds):
    program = "def cut(text):\n    if ',' in text:\n        return 1\n    return 2\n"
    told = verdict_of(program, f"cut({text!r})", f"1. [L6]: {line}")
    assert (told == "confirmed") is holds


@pytest.mark.parametrize(("kind", "holds"), [("list", True), ("string", False)])
def test_called_with_an_empty_container(kind, holds):
    program = "def size(xs):\n    return len(xs)\n"
    told = verdict_of(program, "size([])", f"1. The function is called with an empty {kind}.")
    assert (told == "confirmed") is holds


ELSE = """\
def sign(n):
    if n < 0:
        return "-"
    else:
        return "+"
"""


@pytest.mark.parametrize(("n", "verdict"), [(3, "confirmed"), (-3, "contradicted")])
def test_the_label_of_an_else(n, verdict):
    told = "1. [L6]: The condition is checked.\n2. [L8]: The function proceeds to the `else` block."
    text = f"### Execution Simulation\n{told}"
    verdicts = line_verdicts(verify_trace(trace_call(ELSE, f"sign({n})"), text))
    assert verdicts[3] == verdict
