"""What texts are said to be made of, inputs that a line writes out, and needs that others refute.

The verdicts are by hand: each line is held against what plain Python gives for the program.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.backward.general import read_general
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED, NOT_CHECKABLE

PROGRAMS = {
    "whole": """\
def whole(text):
    return not text.isdecimal()
""",
    "yes": """\
def yes(text):
    if text.isdecimal():
        return "yes"
    return "no"
""",
    "low": """\
def low(text):
    if text.istitle():
        return text.lower()
    return text
""",
    "tab": """\
def tab(text, width):
    return text.replace("\\t", width * " ").replace("_", "\\n")
""",
    "keys": """\
def keys(items):
    found = {}
    for item in items:
        found = found.fromkeys(item, None)
    return found
""",
    "digits": """\
def digits(text):
    return "".join(c for c in text if c.isdigit())
""",
    "turn": """\
def turn(line):
    words = line.split()
    words[1] = words[1][::-1]
    return " ".join(words)
""",
    "cut": """\
def cut(text):
    head, sep, tail = text.rpartition("|")
    return head, tail
""",
    "find": """\
def find(text):
    return any(c.isdigit() for c in text)
""",
    "split": """\
def split(text):
    left, right = text.split(".")
    return right + left
""",
    "drop": """\
def drop(stock):
    kept = dict(stock)
    del kept["b"]
    return kept
""",
    "pairs": """\
def pairs(stock):
    items = iter(stock.items())
    return next(items), next(items)
""",
}
T, F, U = CONFIRMED, CONTRADICTED, None
N = NOT_CHECKABLE  # holds of the call, but another input without it gives the output too
GENERAL = (
    ("whole('abc')", "If `text` contains only decimal digits (i.e., `text.isdecimal()` is `True`),"
     " the function returns `False`.", T),
    ("whole('abc')", "The function returns `True` if the string consists solely of digits.", F),
    ("whole('abc')", "It will return `True` if the string contains any characters that are not"
     " digits (e.g., letters, symbols).", T),
    ("yes('abc')", 'The output will be "no" if `text` contains any non-digit characters or is'
     " empty.", T),
    ("low('')", "The function returns an empty string if the input is an empty string or if it"
     " contains only non-alphabetic characters.", F),
    ("low('')", "The input `text` can be any string, including empty strings.", T),
    ("low('')", "The length of the output string will be equal to the length of the input"
     " string.", T),
    ("tab('a\\tb', 3)", "The output string must not contain any newline characters.", F),
    ("keys(['a', 'b'])", "The output is a dictionary where each unique item from the input is a"
     " key, and all values are `None`.", F),
    ("split('a.b')", "The input can be any string.", U),
    ("cut('|ab')", '`head`: the part before the last occurrence of the separator "|".', T),
    ("cut('|ab')", '`head`: the part after the last occurrence of the separator "|".', F),
    ("cut('|ab')", '`sep`: the separator "|".', T),
)  # fmt: skip
DEDUCED = (
    ("whole('abc')", 'A string like `"123abc"` would return `True` because it contains a letter.',
     T),
    ("whole('abc')", 'A string like `"12"` would return `True` because it is not a digit.', F),
    ("find('ab1')", "The string must contain at least one digit.", T),
    ("find('ab1')", "The string must contain at least one letter.", N),
    ("yes('abc')", "The input string must be empty or consist solely of letters.", N),
    ("yes('abc')", 'The input can also be an empty string `""`, which would return `"no"`.', T),
    ("yes('abc')", '`"   "` (string with spaces)', T),
    ("yes('abc')", 'We can use the string `"abc"`, which contains letters.', T),
    ("yes('abc')", 'We can use the string `"abc"`, which contains digits.', F),
    ("keys(['a', 'b'])", "The input must not contain any duplicates.", N),
    ("digits('a3b2')", "The digits `3` and `2` must appear in the input string in the same order.",
     T),
    ("digits('a3b2')", "The digits `2` and `3` must appear in the input string in the same order.",
     F),
    ("turn('Kay zBK')", 'The output has two words: `"Kay"` and `"KBz"`.', T),
    ("turn('Kay zBK')", 'The output has two words: `"Kay"` and `"zBK"`.', F),
    ("turn('Kay zBK')", 'This input will split into the words `["Kay", "zBK"]`, where the second'
     ' word will be reversed to form `"KBz"`.', T),
    ("drop({'a': 1, 'b': 2})", 'After processing, the dictionary must only contain the key `"a"`'
     " with the value `1`.", U),
    ("pairs({'a': 1, 'b': 2})", 'The dictionary must contain at least the keys `"a"` and `"b"` with'
     " corresponding values `1` and `2`, respectively.", T),
    ("pairs({'a': 1, 'b': 2})", 'The dictionary must contain at least the keys `"a"` and `"b"` with'
     " corresponding values `2` and `1`, respectively.", F),
)  # fmt: skip


def judged(call, read):
    """Returns the verdict of the claims that `read` makes of the run of a call."""
    program = PROGRAMS[call.partition("(")[0]]

    def run_call(other):
        trace = trace_call(program, other)
        return trace.result if trace.raised is None else f"raises {trace.raised}"

    reading = read(Replay(trace_call(program, call)), run_call)
    if reading is None or (not reading.claims and reading.unread):
        return None
    found = {claim.verdict for claim in reading.claims}
    return CONTRADICTED if CONTRADICTED in found else None if reading.unread else found.pop()


@pytest.mark.parametrize(("call", "line", "verdict"), GENERAL)
def test_a_statement_on_any_input_is_tried(call, line, verdict):
    def read(run, run_call):
        return read_general(run, line, run.trace.result, run_call)

    assert judged(call, read) == verdict


@pytest.mark.parametrize(("call", "line", "verdict"), DEDUCED)
def test_a_line_of_the_deduction_is_tried(call, line, verdict):
    def read(run, run_call):
        return read_backward(run, "reverse deduction", line, run_call=run_call)

    assert judged(call, read) == verdict


def test_a_conclusion_that_promises_the_output_is_false_of_a_call_that_misses_it():
    run = Replay(trace_call(PROGRAMS["turn"], "turn('a bc')"))
    line = "When the second word is reversed, we will eventually reach the desired output."
    for goal, expected in (("'a bc'", {CONTRADICTED}), ("'a cb'", set())):
        reading = read_backward(run, "conclusion", line, goal=goal)
        assert {one.verdict for one in reading.claims} == expected


@pytest.mark.parametrize(
    "line",
    [
        "The second word of `'Kay zBK'` is reversed, which gives `'Kay zBK'`.",
        "The text `'Kay KBz'` becomes `'Kay zBK'`.",
        "The word `'KBz'` is reversed into `'KBz'`.",
    ],
)
def test_values_of_the_run_in_another_order_are_not_confirmed(line):
    def read(run, run_call):
        return read_backward(run, "conclusion", line, run_call=run_call)

    assert judged("turn('Kay zBK')", read) != CONFIRMED
