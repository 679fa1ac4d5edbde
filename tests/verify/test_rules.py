"""Tests rules about other inputs, each judged by runs of variations, true and false by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import (
    CONFIRMED,
    CONTRADICTED,
    example_calls,
    line_verdicts,
    verify_trace,
)

CUT = """\
def f(text, part):
    if part not in text:
        return text
    if not part:
        raise ValueError(part)
    return text[text.index(part):]
"""
SIGN = """\
def g(n, xs):
    if n < 0 or not xs:
        return 'none'
    return xs * n
"""
ASCII = """\
def h(s):
    for c in s:
        if not c.isascii():
            return False
    return True
"""
RUNS = {
    "cut": (CUT, "f('banana', 'n')"),
    "sign": (SIGN, "g(2, [5])"),
    "ascii": (ASCII, "h('abc')"),
}
TRUE = [
    ("cut", "If `part` is not found in `text`, the function returns the original string."),
    ("cut", "If `part` is not found in `text`, it returns `text` unchanged."),
    ("cut", "- If `text` does not contain `part`, the original string is returned unchanged."),
    ("cut", "If `part` is an empty string, it will raise a `ValueError`."),
    ("sign", "If `n` is negative, it returns 'none'."),
    ("sign", "If the list is empty, the function will return the string 'none'."),
    ("sign", "If `n` is zero, the output will be an empty list."),
    ("ascii", "If all characters are ASCII, it returns `True`."),
    ("ascii", "If any character is found to be non-ASCII, the function returns `False`."),
    ("ascii", "If the string is empty, it returns `True`."),
]
FALSE = [
    ("cut", "If `part` is found in `text`, the function returns the original string."),
    ("cut", "If `part` is an empty string, it returns `text`."),
    ("sign", "If `n` is negative, it returns an empty list."),
    ("sign", "If the list is empty, it returns an empty list."),
    ("ascii", "If all characters are ASCII, it returns `False`."),
    ("ascii", "If any character is not ASCII, it returns `True`."),
]
# What the variations do not decide, or what is no rule.
OPEN = [
    ("cut", "If `part` is rare, it returns `text`."),
    ("sign", "If `n` is large, the result is long."),
]


def _verdict(name: str, text: str) -> str:
    program, call = RUNS[name]
    trace, space = trace_call(program, call), {}
    exec(program, space)
    monologue = f"### Key Properties\n{text}"

    def outcome(other: str) -> str:
        try:
            return repr(eval(other, space))
        except ValueError as error:
            return f"raises ValueError: {error}"

    outcomes = {other: outcome(other) for other in example_calls(trace, monologue)}
    return line_verdicts(verify_trace(trace, monologue, outcomes)).get(2, "unchecked")


@pytest.mark.parametrize(("name", "text"), TRUE)
def test_a_true_rule_is_confirmed(name, text):
    assert _verdict(name, text) == CONFIRMED


@pytest.mark.parametrize(("name", "text"), FALSE)
def test_a_false_rule_is_not_confirmed(name, text):
    assert _verdict(name, text) != CONFIRMED


def test_most_false_rules_are_contradicted():
    assert sum(_verdict(name, text) == CONTRADICTED for name, text in FALSE) >= 4


@pytest.mark.parametrize(("name", "text"), OPEN)
def test_what_is_not_decided_stays_open(name, text):
    assert _verdict(name, text) not in (CONFIRMED, CONTRADICTED)
