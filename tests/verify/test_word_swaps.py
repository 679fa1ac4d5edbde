"""Tests that a true line with one word swapped, so that it is false, is not confirmed.

Each program has one list, one dictionary or one text, so that the swap is false by construction.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, line_verdicts, verify_trace

EVENS = """\
def f(nums):
    out = []
    for n in nums:
        if n % 2 == 0:
            out.append(n)
        else:
            out.insert(0, n)
    return out
"""
# out [4], [3, 4], [3, 4, 6]
STOCK = """\
def f(stock, item):
    left = stock.copy()
    if item not in left:
        left[item] = 0
    for name in stock:
        left[name] -= 1
    return left
"""
# left {'nut': 2}, {'nut': 2, 'nail': 0}, {'nut': 1, 'nail': 0}
TRIM = """\
def f(text):
    text = text.rstrip("!")
    last = text[-1]
    while last == "o":
        text = text[:-1]
        last = text[-1]
    return text
"""
# text 'zoo!!', 'zoo', 'zo', 'z'
RUNS = {
    "evens": trace_call(EVENS, "f([4, 3, 6])"),
    "stock": trace_call(STOCK, "f({'nut': 2}, 'nail')"),
    "trim": trace_call(TRIM, "f('zoo!!')"),
}
# A true line with [true|false] words.
LINES = {
    "evens": """\
[L5]: The function is called with the [list|tuple] `nums` = [4, 3, 6].
[L7]: The [for|while] loop iterates over `nums`.
The function returns the [list|tuple] `[3, 4, 6]`.
The function returns the [list|dictionary] `out`, which is `[3, 4, 6]`.
[L9]: `out.append(n)` appends 4 to the [list|dictionary] `out`, making `out = [4]`.
[L12]: The [list|tuple] `out` is returned, which is `[3, 4, 6]`.
The [list|string] `out` is `[3, 4, 6]` at the end.
""",
    "stock": """\
The input [dictionary|list] `stock` is {'nut': 2}.
[L9]: The loop iterates over the [keys|values] of `stock`.
[L7]: Since 'nail' is [not in|in] `left`, the condition is True.
The function returns the [dictionary|list] `{'nut': 1, 'nail': 0}`.
[L11]: The function returns the [dictionary|tuple] `left`, which is `{'nut': 1, 'nail': 0}`.
""",
    "trim": """\
The input [string|list] `text` is 'zoo!!'.
[L6]: `text.rstrip("!")` removes the [trailing|leading] "!" characters, giving 'zoo'.
[L7]: `text[-1]` refers to the [last|first] character of the string, which is 'o'.
[L8]: The [while|for] loop checks if `last` is [equal|unequal] to 'o'.
The function returns the [string|list] 'z'.
[L11]: The function returns the [string|tuple] `text`, which is 'z'.
""",
}


def swaps():
    for run, text in LINES.items():
        for line in text.splitlines():
            head, _, rest = line.partition("|")
            if line.count("|") == 1:
                at = head.rindex("[")
                false, tail = rest.split("]", 1)
                true = head[at + 1 :]
                yield run, head[:at] + true + tail, head[:at] + false + tail


CASES = list(swaps())


def verdict_of(run, line):
    claims = verify_trace(RUNS[run], f"### Execution Simulation\n{line}\n")
    return line_verdicts(claims).get(2, "unchecked")


@pytest.mark.parametrize(("run", "true", "false"), CASES)
def test_a_swapped_word_is_not_confirmed(run, true, false):
    assert verdict_of(run, false) != CONFIRMED


def test_most_true_lines_are_confirmed():
    found = [verdict_of(run, true) for run, true, _ in CASES]
    assert found.count(CONFIRMED) >= 0.7 * len(found)
