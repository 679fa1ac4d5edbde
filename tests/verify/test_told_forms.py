"""Tests how narrators tell questions, elements taken up, values put in, calls; judged by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import (
    CONFIRMED,
    CONTRADICTED,
    PARTLY,
    RUNS,
    UNCHECKED,
    line_verdicts,
    verify_trace,
)

GROUPS = """\
def f(groups):
    seen = []
    for key in groups:
        for name in groups[key]:
            if name not in seen:
                seen.append(name)
    return sorted(seen)
"""
TWINS = """\
def f(xs):
    i = len(xs) - 1
    while i > 0:
        if xs[i] == xs[i - 1]:
            xs.remove(xs[i])
        i -= 1
    return xs
"""
MARKS = """\
def f(words, marks):
    out = ''
    for mark in marks:
        if mark in out:
            out = out.replace(mark, '')
        else:
            out = mark.join(words)
    return out
"""
TAILS = """\
def f(s, k):
    if k and s[-1] == 'a':
        return f(s[:-1], k - 1)
    return s
"""
TALLY = """\
def f(nums):
    counts = {}
    for n in nums:
        counts[n] = counts.get(n, 0) + 1
    best = 0
    for n in counts:
        if counts[n] > best:
            best = counts[n]
    return best
"""
RUN = {
    "tally": (TALLY, "f([2, 5, 2])"),  # {2: 1}, {2: 1, 5: 1}, {2: 2, 5: 1}; best 2
    # seen [], ['p'], ['p', 'q'], ['p', 'q', 'x']
    "groups": (GROUPS, "f({'x': ['p', 'q'], 'y': ['x', 'p']})"),
    "twins": (TWINS, "f([4, 7, 7])"),  # i 2, 7 == 7, xs [4, 7]; i 1, 7 != 4; i 0
    "marks": (MARKS, "f(['a', 'b'], ['-', '+', '-'])"),  # 'a-b', 'a+b', 'a-b'
    "tails": (TAILS, "f('baa', 3)"),  # f('ba', 2), f('b', 1)
}
YES, NO, OPEN = {CONFIRMED}, {CONTRADICTED}, {PARTLY, RUNS, UNCHECKED}
NOT_NO = YES | OPEN

LINES = [
    # The answer to "checks if …" answers the question, not the program's test.
    ("groups", "[L9]: It checks if `'p'` is in `seen`. It is not, so:", YES),
    ("groups", "[L9]: It checks whether `'q'` is in `seen`. It is not.", YES),
    ("groups", "[L9]: It checks whether `'z'` is in `seen`. It is not.", OPEN),  # no name is 'z'
    ("groups", "[L9]: It checks if `'z'` is in `seen`. It is already present.", NO),
    ("marks", "[L8]: It checks if `'*'` is in `out`. It is not, so nothing goes.", NOT_NO),
    ("marks", "[L8]: It checks if `'*'` is in `out`. It is.", NO),
    # What a loop takes up.
    ("groups", "[L7]: The outer loop begins with `key` set to `'x'`.", YES),
    ("groups", "[L7]: The outer loop begins with `key` set to `'z'`.", NO),
    ("groups", "[L7]: The outer loop starts with the first key `'x'`.", YES),
    ("groups", "[L7]: The outer loop starts with the first key `'p'`.", NO),
    ("groups", "[L8]: The inner loop begins to iterate over each name in `['p', 'q']`.", YES),
    ("groups", "[L8]: The inner loop begins, iterating over `groups['x']`.", YES),
    ("groups", "[L8]: The inner loop iterates over `['p', 'x']`.", NO),
    ("marks", "[L7]: The loop starts with the first mark, `'-'`.", YES),
    ("marks", "[L7]: The loop starts with the first mark, `'+'`.", NO),
    ("twins", "[L8]: `xs[2]` (which is 7) is equal to `xs[1]`.", YES),
    ("twins", "[L8]: `xs[2]` (which is 8) is equal to `xs[1]`.", NO),
    ("marks", "- The second mark is `'+'`.", YES),
    ("marks", "- The third mark is `'+'`.", NO),
    ("marks", "- The last mark is `'-'`.", YES),
    # Values put in behind code.
    ("twins", "[L7]: The condition `i > 0` (2 > 0) is `True`.", YES),
    ("twins", "[L7]: The condition `i > 0` (5 > 0) is `True`.", NO),
    ("twins", "[L8]: We compare `xs[2]` (7) and `xs[1]` (7). They are equal.", YES),
    ("twins", "[L8]: We compare `xs[1]` (7) and `xs[0]` (4). They are equal.", NO),
    ("twins", "[L8]: We compare `xs[2]` (8) and `xs[1]` (7).", NO),
    ("tails", "[L6]: Check if the last character of `s` (`'a'`) is a vowel.", YES),
    ("tails", "[L6]: Check if the last character of `s` (`'c'`) is a vowel.", NO),
    # Where a thing is found; what a slice takes away; calls as headings.
    (
        "twins",
        "[L9]: The first occurrence of `7` is found at index `1` and removed from `xs`.",
        YES,
    ),
    ("twins", "[L9]: The first occurrence of `7` is found at index `0`.", NO),
    ("tails", "- `s[:-1]` is `'ba'` (removing the last character 'a' from \"baa\").", YES),
    ("tails", "- `s[:-1]` is `'ba'` (removing the last character 'b' from \"baa\").", NO),
    ("tails", "Third call: `f('b', 1)`", NOT_NO),
    ("tails", "Third call: `f('baa'[:-2], 3 - 2)`", NOT_NO),
    ("tails", "Third call: `f('b', 0)`", NO),
    ("tails", "- `k` is `3` and the condition `k > 0` is `False` (3 > 0).", NO),
    ("twins", "[L6]: `i` is set to the last index of `xs`, which is `2`.", YES),
    ("twins", "[L6]: `i` is set to the last index of `xs`, which is `3`.", NO),
    ("groups", "[L8]: The inner loop ends as there are no more names in `['p', 'q']`.", YES),
    ("groups", "[L11]: After processing all keys, the function returns `['p', 'q', 'x']`.", YES),
    ("twins", "The loop continues indefinitely.", NO),
    ("tally", "For `n = 2` to `n = 7`: `best` stays `0`.", NOT_NO),
    ("tally", "The value associated with `5` is `1`.", NOT_NO),
    ("tails", "[L7]: `s[:-1]` takes the substring from the start to index `-1`.", YES),
    ("tails", "[L7]: `s[:-1]` takes the substring from the start to index `-2`.", NO),
    ("tails", "[L7]: `s[:-1]` takes the substring from index `1` to the end.", OPEN),
    ("tails", "[L6]: The test does not find any occurrences of `'z'` in the string.", YES),
    ("tails", "[L6]: The test does not find any occurrences of `'b'` in the string.", OPEN),
    ("tails", "The calls end here, resulting in the output `'b'`.", YES),
    ("tails", "The calls end here, resulting in the output `'ba'`.", NO),
    ("groups", "[L6]: `seen` starts as `[]`.", YES),
    ("groups", "[L6]: `seen` starts out as `['p']`.", NO),
    # What is made for a purpose; what comes back behind a colon; a state that never was.
    ("groups", "[L6]: An empty list `seen` is initialized to store the names.", YES),
    ("groups", "[L11]: The function returns the sorted list: `['p', 'q', 'x']`.", YES),
    ("groups", "[L11]: The function returns the sorted list: `['p', 'q']`.", NO),
    ("marks", "[L9]: `'-'` is taken out of `out`: `out = '--'`.", NO),
]


@pytest.mark.parametrize(("run", "line", "verdicts"), LINES, ids=[line for _, line, _ in LINES])
def test_line(run, line, verdicts):
    monologue = "### Execution Simulation\n" + line
    found = line_verdicts(verify_trace(trace_call(*RUN[run]), monologue)).get(2, UNCHECKED)
    assert found in verdicts


def test_an_element_named_as_its_loop_names_it_is_of_that_loop():
    """'x' is a key of the outer loop and a name of the inner one."""
    told = """\
### Execution Simulation
- [L7]: The outer loop continues with the next key `'y'`.
  - For the first name `'x'`:
    - [L9]: It checks if `'x'` is in `seen`. It is already present, so nothing is added.
"""
    claims = verify_trace(trace_call(*RUN["groups"]), told)
    assert line_verdicts(claims)[4] == CONTRADICTED


def test_an_answer_may_stand_in_the_line_below_its_question():
    told = """\
### Execution Simulation
- [L8]: It checks if `'+'` is in `out`.
  - {}, so we move on.
  - It does.
"""
    trace = trace_call(*RUN["marks"])
    found = line_verdicts(verify_trace(trace, told.format("It is not")))
    assert found[3] == CONFIRMED and found.get(4, UNCHECKED) == UNCHECKED


def test_headings_name_an_element_by_its_place_and_its_variable():
    told = """\
### Execution Simulation
[L7]: The loop goes over the marks:
- First mark: `mark = '-'`
- Second mark: `mark = '+'`: it is not in `out`.
- Third mark: `mark = '+'`
"""
    found = line_verdicts(verify_trace(trace_call(*RUN["marks"]), told))
    assert found[3] == CONFIRMED and found[4] != CONTRADICTED and found[5] != CONFIRMED


def test_a_sentence_may_go_on_to_a_second_line():
    told = """\
### Execution Simulation
- [L6]: `counts` is `{}`, and [L8] makes `counts` `{2: 1}`.
- [L8]: `counts` is `{2: 1, 5: 1}`.
"""
    assert line_verdicts(verify_trace(trace_call(*RUN["tally"]), told))[2] != CONTRADICTED


def test_bullets_of_one_value_are_its_turns_in_their_order():
    told = """\
### Execution Simulation
- For `n = 2`: `counts[2]` is incremented to 1.
- For `n = 5`: `counts[5]` is incremented to 1.
- For `n = 2`: `counts[2]` is incremented to {}.
"""
    trace = trace_call(*RUN["tally"])
    found = line_verdicts(verify_trace(trace, told.format(2)))
    assert [found[line] for line in (2, 3, 4)] == [CONFIRMED] * 3
    assert line_verdicts(verify_trace(trace, told.format(3)))[4] == CONTRADICTED
