"""Tests what is said of a program for any input: true and false by hand, tried by plain Python."""

import functools

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import (
    CONFIRMED,
    CONTRADICTED,
    example_calls,
    line_verdicts,
    verify_trace,
)

PROGRAMS = {
    "rank": ("""\
def rank(points, mark):
    if points.count(0):
        return -1
    if points.count(mark) >= 2:
        return points.index(mark)
    return len(points)
""", "rank([5, 3, 8], 3)"),
    "tail": ("""\
def tail(word, start):
    if word.startswith(start):
        return word[len(start):]
    return word
""", "tail('lantern', 'lan')"),
    "shout": ("""\
def shout(line):
    if line.isupper():
        return line.lower()
    elif line.isdigit():
        return line[::-1]
    return line
""", "shout('Tea 4')"),
    "digits": ("""\
def digits(line):
    n = 0
    for c in line:
        if c.isdigit():
            n += 1
    return n
""", "digits('a1b22')"),
    "merge": ("""\
def merge(left, right):
    out = dict(left)
    out.update(right)
    return out
""", "merge({'a': 1, 'b': 2}, {'b': 5})"),
    "swap": ("""\
def swap(items):
    if len(items) % 2 == 1:
        return items[::-1]
    return items
""", "swap([4, 6, 9])"),
    "low": ("""\
def low(line):
    return all(c.islower() for c in line)
""", "low('tea')"),
    "letters": ("""\
def letters(line):
    return ''.join(c for c in line if c.isalpha())
""", "letters('a1b c')"),
    "both": ("""\
def both(x, y):
    if x.isnumeric() and y.isnumeric():
        return x + y
    return x
""", "both('4', '17')"),
    "evens": ("""\
def evens(nums):
    return [n for n in nums if n % 2 == 0]
""", "evens([1, 2, 3, 4])"),
    "words": ("""\
def words(line):
    if not line:
        return None
    return len([w for w in line.split() if w.isupper()])
""", "words('AB cd EF')"),
    "cut": ("""\
def cut(text, mark):
    if mark not in text:
        return ''
    return text.rpartition(mark)[0]
""", "cut('a-b-c', '-')"),
}  # fmt: skip
TRUE = [
    ("rank", "If the list contains any zeros, it returns `-1`."),
    ("rank", "If `mark` appears two or more times, it returns the index of the first occurrence."),
    ("rank", "If the number of occurrences of `mark` is at least 2, it returns the index of the "
     "first occurrence of `mark`."),
    ("tail", "It checks if `word` starts with `start`. If it does, the function returns the rest "
     "of `word` after the prefix `start`."),
    ("tail", "It checks if `word` starts with `start`. If it does not, the function returns the "
     "original `word`."),
    ("shout", "If neither condition is met, it simply returns the original string."),
    ("digits", "Finally, it returns the total count of digits found in the string."),
    ("digits", "The output is an integer representing the number of digits in the input string."),
    ("digits", "If there are no digits in the string, the function returns `0`."),
    ("merge", "If there are duplicate keys, the value from the second dictionary is used."),
    ("swap", "If the list has an odd length, it returns the reversed list."),
    ("swap", "If the list has an even number of elements, the list remains unchanged."),
    ("swap", "The output will always be a list of the same length as the input list."),
    ("low", "If any character in the string is not lowercase, it returns `False`."),
    ("letters", "If the string contains only digits, the output will be an empty string."),
    ("letters", "The output is a string that consists only of alphabetic characters."),
    ("both", "If both `x` and `y` are numeric, it returns the concatenation of `x` and `y`."),
    ("both", "If either `x` or `y` is not numeric, it returns `x`."),
    ("cut", "If `mark` is found, it returns the part of `text` before the last occurrence of "
     "`mark`."),
    ("evens", "If there are no even numbers in the list, it returns an empty list."),
    ("evens", "If the list contains only odd numbers, the output will be an empty list."),
    ("evens", "The output is a list that contains only even numbers."),
    ("words", "The function returns the number of words that are in uppercase."),
]  # fmt: skip
FALSE = [
    ("rank", "If the list contains any zeros, it returns `0`."),
    ("rank", "If `mark` appears two or more times, it returns the index of the last occurrence of "
     "`mark`."),
    ("tail", "It checks if `word` starts with `start`. If it does, the function returns the "
     "original `word`."),
    ("shout", "If neither condition is met, it returns an empty string."),
    ("digits", "The output is an integer representing the number of letters in the input string."),
    ("digits", "If there are no digits in the string, the function returns `1`."),
    ("merge", "If there are duplicate keys, the value from the first dictionary is used."),
    ("merge", "The output is a new dictionary that contains all key-value pairs from both "
     "dictionaries."),
    ("swap", "If the list has an even length, it returns the reversed list."),
    ("low", "If any character in the string is not lowercase, it returns `True`."),
    ("letters", "The output will always be a string of the same length as the input string."),
    ("both", "If either `x` or `y` is not numeric, it returns `y`."),
    ("cut", "If `mark` is found, it returns the part of `text` before the first occurrence of "
     "`mark`."),
    ("evens", "If there are no odd numbers in the list, it returns an empty list."),
    ("words", "The function returns the number of words in the string."),
    ("words", "The function returns the number of lowercase words in the string."),
]  # fmt: skip
# What stays open: unknown words, steps on the way, and rules that odd inputs alone break.
OPEN = [
    ("rank", "If the list is promising, it returns `-1`."),
    ("rank", "It counts how many times `mark` appears in the list."),
    ("tail", "If the word is good, it returns the rest of it."),
    ("cut", "If `mark` is found, it finds the index of the last occurrence of `mark`."),
]


@functools.cache
def _run(name):
    program, call = PROGRAMS[name]
    space: dict = {}
    exec(program, space)
    return trace_call(program, call), space


def _verdict(name: str, text: str) -> str:
    trace, space = _run(name)
    monologue = f"### Key Properties\n{text}"

    def outcome(call: str) -> str:
        try:
            return repr(eval(call, dict(space)))
        except (ValueError, IndexError, TypeError) as error:
            return f"raises {type(error).__name__}: {error}"

    outcomes = {call: outcome(call) for call in example_calls(trace, monologue)}
    return line_verdicts(verify_trace(trace, monologue, outcomes)).get(2, "unchecked")


@pytest.mark.parametrize(("name", "text"), TRUE)
def test_what_is_true_is_not_contradicted(name, text):
    assert _verdict(name, text) != CONTRADICTED


def test_most_that_is_true_is_confirmed():
    missed = [text for name, text in TRUE if _verdict(name, text) != CONFIRMED]
    assert len(missed) <= len(TRUE) // 6, missed


@pytest.mark.parametrize(("name", "text"), FALSE)
def test_what_is_false_is_not_confirmed(name, text):
    assert _verdict(name, text) != CONFIRMED


def test_most_that_is_false_is_contradicted():
    missed = [text for name, text in FALSE if _verdict(name, text) != CONTRADICTED]
    assert len(missed) <= len(FALSE) // 4, missed


@pytest.mark.parametrize(("name", "text"), OPEN)
def test_what_is_not_decided_is_not_contradicted(name, text):
    assert _verdict(name, text) != CONTRADICTED


def test_without_runs_of_other_inputs_nothing_false_is_confirmed():
    for name, text in FALSE:
        verdicts = line_verdicts(verify_trace(_run(name)[0], f"### Key Properties\n{text}"))
        assert verdicts.get(2) != CONFIRMED, text
