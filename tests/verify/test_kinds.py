"""Tests the verifier on the ways in which models word true and false steps, judged by hand."""

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

SIZES = "def f(xs):\n    n = len(xs)\n    xs.append(n)\n    return xs\n"
TRIM = "def f(s):\n    return s.strip().upper()\n"
COUNTS = """\
def f(words, limit):
    seen = {}
    for i in range(len(words)):
        if words[i] in seen:
            seen[words[i]] += 1
        else:
            seen[words[i]] = 1
    if len(seen) > limit:
        return None
    return seen
"""
NESTED = """\
def f(rows):
    total = 0
    for row in rows:
        for cell in row:
            total += cell
    return total
"""
FIRST = """\
def f(text):
    for i in range(len(text)):
        if text[i] == 'x':
            return i
    return -1
"""
POWER = "def f(n):\n    if n == 0:\n        return 1\n    return 2 * f(n - 1)\n"
SWAPS = """\
def f(s, old, new):
    s = s.replace(old, new)
    return s.find(new, 1)
"""
SQUARES = "def f(ks):\n    return [k * k for k in ks]\n"
RUN = {
    "swaps": (SWAPS, "f('aba', 'a', 'b')"),  # 'bbb', 1
    "squares": (SQUARES, "f([2, 3])"),  # [4, 9]
    "sizes": (SIZES, "f([7, 9])"),  # n = 2, xs [7, 9, 2]
    "trim": (TRIM, "f(' ab ')"),  # strip gives 'ab', 'AB' is returned
    "counts": (COUNTS, "f(['a', 'b', 'a'], 5)"),  # {'a': 2, 'b': 1}
    "nested": (NESTED, "f([[1, 2], [3]])"),  # total 0, 1, 3, 6
    "first": (FIRST, "f('abxd')"),  # returns 2 in the third turn
    "power": (POWER, "f(2)"),  # f(2), f(1), f(0); 4
}
YES, NO = {CONFIRMED}, {CONTRADICTED}
OPEN = {PARTLY, RUNS, UNCHECKED}

LINES = [
    # "P of X is V" is about P, never about X.
    ("sizes", "The length of `xs` is 2.", YES),
    ("sizes", "The length of `xs` is 5.", NO),
    ("sizes", "[L6]: The first element of `xs` is 7.", YES),
    ("sizes", "[L6]: The last element of `xs` is 7.", NO),
    ("sizes", "[L6]: The sum of the elements in `xs` is 16.", YES),
    ("sizes", "[L6]: The maximum of `xs` is 9 and the minimum of `xs` is 7.", YES),
    ("sizes", "[L6]: The maximum of `xs` is 7.", NO),
    ("sizes", "[L6]: The element at index 1 of `xs` is 9.", YES),
    ("sizes", "[L6]: `xs` has 2 elements.", YES),
    ("sizes", "[L6]: `xs` has 3 items.", NO),
    ("sizes", "[L6]: The median of `xs` is 8.", OPEN),
    ("counts", "[L14]: The keys of `seen` are ['a', 'b'].", YES),
    # A result after a call inside is about that call.
    ("trim", "[L6]: `s.strip()` is called. It returns 'ab'.", YES),
    ("trim", "[L6]: `s.strip()` removes blanks, resulting in 'ab'.", YES | OPEN),
    ("trim", "[L6]: `s.strip()` returns ' ab'.", NO),
    ("trim", "[L6]: The function returns 'AB'.", YES),
    ("trim", "[L6]: returns 'ab '.", NO),
    ("trim", "[L6] returns 'AB'.", YES),
    # What a body does, told under its header.
    ("counts", "[L8]: In the first iteration 'a' is new, so `seen` becomes {'a': 1}.", YES | OPEN),
    ("sizes", "[L7]: `xs` becomes [7, 9, 2].", YES),
    ("sizes", "[L7]: `xs` becomes [7, 9, 3].", NO),
    # Turns counted from 0 or from 1, of the outer loop after the inner one.
    ("first", "- **Iteration 0** (`i = 0`): `text[0]` is 'a'.", YES),
    ("first", "- **Iteration 0** (`i = 0`): `text[0]` is 'b'.", NO),
    ("first", "- **Iteration 1** (`i = 0`): `text[i]` is 'a'.", YES),
    ("first", "- **Iteration 7** (`i = 6`):", NO),
    ("nested", "1. **First Iteration** (`row = [1, 2]`): `total` becomes 3.", YES),
    ("nested", "1. **Second Iteration** (`row = [3]`): `total` becomes 6.", YES),
    ("nested", "1. **Second Iteration** (`row = [3]`): `total` becomes 5.", NO),
    # A line cited to say that it does nothing.
    ("counts", "[L13]: Since the condition is False, this line is skipped.", YES | OPEN),
    ("counts", "[L12]: Since the condition is False, `seen` remains unchanged.", YES),
    ("sizes", "[L7]: `xs` remains unchanged.", NO),
    # Negation belongs to the claim.
    ("counts", "[L12]: The condition is not met, so we do not enter the if block.", YES),
    ("counts", "[L12]: The condition is met.", NO),
    ("counts", "[L12]: We enter the if block.", NO),
    ("sizes", "No ValueError was raised.", YES),
    ("counts", "[L14]: The function does not return None.", YES),
    ("trim", "[L6]: The function does not return 'AB'.", NO),
    # Changes, read in the right direction.
    ("sizes", "[L6]: The value 2 is assigned to `n`.", YES),
    ("sizes", "[L6]: The value 3 is assigned to `n`.", NO),
    ("sizes", "[L7]: 2 is appended to `xs`.", YES),
    ("sizes", "[L7]: `xs` now contains [7, 9, 3].", NO),
    ("sizes", "[L7]: `xs` will now be [7].", NO),
    ("sizes", "[L7]: The resulting list is [7, 9, 2].", YES),
    ("sizes", "[L7]: The resulting list is [7, 2].", NO),
    ("sizes", "[L8]: The function returns the modified list, which is [7, 9, 2].", YES),
    ("sizes", "[L8]: The function returns the modified list, which is [7, 9].", NO),
    ("sizes", "The function returns [7, 9] when called with [7, 9].", NO),
    ("sizes", "[L6]: `len(xs)`, which equals 4, is assigned to `n`.", NO),
    ("first", "- **Iteration 1** (`i = 1`): the character is 'q'.", NO),
    # A test of plain values, and "this" that answers it.
    ("nested", "- Check if `1 + 2 == 3`: This is `True`, so `total` becomes 3.", YES),
    ("nested", "- Check if `1 + 2 == 4`: This is `True`, so `total` becomes 3.", NO),
    ("nested", "- Check if `1 + 2 == 3`: This is `False`.", NO),
    # Values put into a test that no label places.
    ("counts", "The condition `len(seen) > limit` (2 > 5) is False.", YES),
    ("counts", "The condition `len(seen) > limit` (4 > 5) is False.", OPEN | NO),
    # The element at an index of whatever is in sight.
    ("first", "[L7]: The character at index `0` is a letter.", YES),
    ("first", "[L7]: The character at index `0` is a digit.", OPEN | NO),
    # A value told in place of the code that has it.
    ("swaps", "[L6]: The `replace` method replaces each occurrence of 'a' with 'b'.", YES),
    ("swaps", "[L6]: The `replace` method replaces each occurrence of 'b' with 'a'.", OPEN | NO),
    ("swaps", "[L7]: `s.find('b', 1)` is called.", YES),
    ("swaps", "[L7]: `s.find('a', 1)` is called.", OPEN | NO),
    ("swaps", "[L6]: The string 'aba' consists only of letters, so `s.isalpha()` is `True`.", YES),
    ("swaps", "[L6]: The string 'aba' consists only of digits, so `s.isalpha()` is `True`.", NO),
    # "It" is what was looked at before; elements by their number; a comprehension's variable.
    ("first", "[L7]: The character 'a' is checked. It is not a digit.", YES),
    ("first", "[L7]: The character 'a' is checked. It is a digit.", OPEN | NO),
    ("squares", "For `k = 3`: `3 * 3` is `9`.", YES),
    ("squares", "For `k = 4`: `4 * 4` is `16`.", OPEN | NO),
    ("squares", "[L6]: The second element is 3.", YES),
    ("squares", "[L6]: The second element is 2.", OPEN | NO),
    ("sizes", "`xs.append(2)` modifies `xs` to [7, 9, 2].", YES),
    ("sizes", "`xs.append(2)` modifies `xs` to [7, 9, 3].", NO),
    # Narration that names a construct, and a line that runs once.
    ("first", "2. The `for` loop starts, iterating over the indices of the string.", YES),
    ("first", "2. The `for` loop starts, iterating over the keys of the dictionary.", OPEN),
    ("trim", "3. The function returns the final string.", YES),
    ("trim", "3. The function returns the final list.", OPEN),
    ("counts", "[L12]: The condition is checked again.", NO),
    ("trim", "[L6]: Concatenating these gives ' ab AB'.", OPEN | NO),
    # False and passed over.
    ("sizes", "[L6]: `n` is 2, which is not in `xs`.", YES),
    ("sizes", "[L7]: `n` is 2, which is not in `xs`.", YES | OPEN | NO),
    ("first", "[L9]: The function returns -1.", NO),
    ("nested", "`total` goes up for every cell.", OPEN),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), LINES)
def test_one_line_is_judged_as_by_hand(name, text, expected):
    claims = verify_trace(trace_call(*RUN[name]), "### Execution Simulation\n" + text)
    verdict = line_verdicts(claims).get(2, UNCHECKED)
    assert verdict in expected, claims


def test_a_recursion_told_more_often_than_it_calls_is_false():
    told = [f"{n}. [L5]: `f` is called with n = {2 - n}." for n in range(3)]
    true = "### Execution Simulation\n" + "\n".join(told)
    assert CONTRADICTED not in line_verdicts(verify_trace(trace_call(*RUN["power"]), true)).values()
    more = true + "\n" + "\n".join(f"{n}. [L5]: `f` is called again." for n in range(3, 6))
    verdicts = line_verdicts(verify_trace(trace_call(*RUN["power"]), more))
    assert CONTRADICTED in {verdicts.get(line) for line in (5, 6, 7)}


def test_a_bullet_below_a_label_is_about_its_line():
    text = (
        "### Execution Simulation\n1. [L12]: `len(seen) > limit` is tested:\n"
        "   - The condition is {}."
    )
    trace = trace_call(*RUN["counts"])  # 2 > 5 is False
    assert line_verdicts(verify_trace(trace, text.format("False")))[3] == CONFIRMED
    assert line_verdicts(verify_trace(trace, text.format("True")))[3] != CONFIRMED


def test_the_truth_is_the_value_at_the_place_spoken_of():
    text = "### Execution Simulation\n- [L9] In the second iteration `total` becomes 5."
    claims = verify_trace(trace_call(*RUN["nested"]), text)
    assert [c.truth for c in claims if c.verdict == CONTRADICTED] == ["total=3"]


EATS = """\
def f(s, c):
    while s.rfind(c) > 2:
        s = s[:s.rfind(c)]
    return s
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- `s.rfind(c)` returns `1`.", YES),  # 'abcd': no turn is made, the test is made once
        ("- `s.rfind(c)` returns `3`.", NO),
        ("- `s[1:]` gives `'cd'`.", NO),  # nowhere in the run
        ("- Update `s` to `'a'`.", NO),
        ("- `s.rfind(c) > 2` is `False`.", YES),
        ("- The condition `s.rfind(c) > 2` (1 > 2) is `False`, so the loop exits.", YES),
    ],
)
def test_a_turn_that_does_not_start_may_be_the_test_that_ends_the_loop(line, expected):
    text = f"### Execution Simulation\n1. [L6]: The loop runs:\n   - **Iteration 1**:\n     {line}"
    claims = verify_trace(trace_call(EATS, "f('abcd', 'b')"), text)
    assert line_verdicts(claims).get(4, UNCHECKED) in expected, claims
