"""Tests what descriptions say of the result and of counters; the truths are computed by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONFIRMED, CONTRADICTED
from data_pipeline.verify.descriptions import read_description

PICK = """\
def pick(lines):
    kept = []
    for line in lines:
        for mark in line:
            if mark.isalpha():
                kept.append(mark)
    return kept
"""
TALLY = """\
def tally(names, wanted):
    found = {}
    for name in names:
        if name in found:
            found[name] += 1
        else:
            found[name] = 1
    return found.get(wanted, 0)
"""
TABLE = """\
def table(names, ages):
    rows = dict.fromkeys(names, ages)
    return rows
"""
LAST = """\
def last(text, mark):
    while text.count(mark) > 1:
        text = text[1:]
    return text
"""
FLIP = """\
def flip(xs):
    out = []
    for i, x in enumerate(xs):
        if i % 2 == 0:
            out.append(-x)
    return out
"""
DRAIN = """\
def drain(jars):
    full = 0
    while jars:
        jar = jars.pop()
        if jar.isupper():
            full += 1
    return full
"""
MIRROR = """\
def mirror(text):
    out = ""
    for mark in text:
        out = mark + out
    return out
"""
CUT = "def cut(text, head):\n    return text.removeprefix(head)\n"
RUN = {
    "mirror": (MIRROR, "mirror('abc')"),  # 'cba'
    "cut": (CUT, "cut('abcd', 'ab')"),  # 'cd'
    "drain": (DRAIN, "drain(['A', 'b', 'C'])"),  # 2, jars is []
    "pick": (PICK, "pick(['a1', '2b'])"),  # ['a', 'b']
    "tally": (TALLY, "tally(['u', 'v', 'u'], 'u')"),  # 2
    "table": (TABLE, "table(['u', 'v'], [1, 2])"),  # {'u': [1, 2], 'v': [1, 2]}
    "last": (LAST, "last('oxoxy', 'x')"),  # 'xy': one 'x' left, the 'o' before it too
    "flip": (FLIP, "flip([4, 5, 6])"),  # [-4, -6]
}


def read(name, sentence):
    run = Replay(trace_call(*RUN[name]))
    reading = read_description(run, sentence)
    return {claim.verdict for claim in reading.claims}, reading.unread


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pick", "It returns the `kept` list containing all alphabetic characters from the input."),
        ("pick", "The function returns a list that contains only the characters that are letters."),
        ("pick", "The order of the characters in the result is preserved."),
        ("tally", "It counts the occurrences of each unique name in the list."),
        ("tally", "It returns an integer representing the number of occurrences of `wanted`."),
        ("tally", "For each name, it checks if it already exists in `found`. "
                  "If it does, it increments the count."),
        ("table", "Each name in `names` is a key."),
        ("last", "The result starts with a lowercase letter."),
        ("drain", "The function modifies the list, which means that `jars` will be empty after "
                  "the function executes."),
        ("drain", "The function is case-sensitive, meaning 'a' and 'A' are different jars."),
        ("drain", "The function will always return an integer, regardless of the input."),
        ("drain", "It counts how many jars are uppercase."),
        ("flip", "If the index is even, the element is negated."),
        ("flip", "The function returns a new list containing the transformed elements."),
    ],
)  # fmt: skip
def test_true_of_the_result(name, sentence):
    assert read(name, sentence) == ({CONFIRMED}, ())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("table", "The corresponding element in `ages` is the value."),
        ("tally", "It returns the number of occurrences of `wanted` in `wanted`."),
        ("last", "The output will always start with an uppercase letter."),
        ("last", "The function removes all occurrences of `mark` from `text`."),
        ("mirror", "It iterates over `text`, appending characters to `out`."),
        ("cut", "It removes the prefix from the beginning of `head`."),
        ("table", "If they match, each name in `names` is a key, and the corresponding element "
                  "in `ages` is the value."),
        ("flip", "The result will have one more element than the input list."),
    ],
)  # fmt: skip
def test_false_of_the_result(name, sentence):
    assert CONTRADICTED in read(name, sentence)[0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pick", "It returns the `kept` list containing all digits from the input."),
        ("pick", "The function returns the modified string."),
        ("pick", "The function returns a new list containing the modified characters."),
        ("drain", "It counts how many jars are lowercase."),
        ("drain", "It iterates over each word in the string."),
        ("last", "The function will always return a list, regardless of the input."),
        ("pick", "It iterates over the characters of the dictionary."),
        ("tally", "If `wanted` is missing, the output starts with an uppercase letter."),
        ("flip", "If the index is odd, the element is negated."),
    ],
)
def test_what_does_not_fit_is_not_confirmed_whole(name, sentence):
    verdicts, unread = read(name, sentence)
    assert unread or CONFIRMED not in verdicts
