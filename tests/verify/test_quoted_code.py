"""Steps that quote code of another line, or other code than the program's, and lines about it.

Truth is worked out by hand from the programs.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts, verify_trace

FILL = """\
def f(items, chars):
    members = []
    for item in items:
        if item not in members:
            members.append(item)
    num = len(chars)
    while num < 4:
        num += 1
    return members
"""  # f(['a', 'b', 'a'], 'xy'): members [], ['a'], ['a', 'b']; num 2, 3, 4
PICK = """\
def f(text, n):
    if n > 3:
        return text[0]
    if text.count("a") < 3:
        return text
    left = len(text)
    while left > n:
        left -= 1
    return left
"""  # f('banana', 2): 2 is not greater than 3; 'banana' has three a; left 6 to 2
MOVE = """\
def f(xs, new, text):
    xs.insert(0, new)
    xs.pop()
    out = []
    for x in xs:
        if x not in out:
            out.append(x)
    for c in text:
        if c.isdigit():
            out.append(c)
    return out
"""  # f([4, 9, 5], 3, 'a7'): xs [3, 4, 9, 5], then 5 is taken; out [3, 4, 9, '7']
ONE = """\
def f(nums):
    middle = len(nums) // 2
    return nums[middle]
"""  # f([4, 9, 5]): middle 1
RUNS = {
    "move": trace_call(MOVE, "f([4, 9, 5], 3, 'a7')"),
    "one": trace_call(ONE, "f([4, 9, 5])"),
    "fill": trace_call(FILL, "f(['a', 'b', 'a'], 'xy')"),
    "pick": trace_call(PICK, "f('banana', 2)"),
}
EXECUTION, GENERAL = "### Execution Simulation\n", "### Understanding the Function\n"
CONFIRMED_LINES = [  # run, section, line
    ("fill", EXECUTION, "[L6]: `members = []` creates an empty list, so `members` is `[]`."),
    ("fill", EXECUTION, "- `'b'` is appended to `members`, resulting in `members = ['a', 'b']`."),
    ("fill", EXECUTION, "[L12]: `num += 1` → `num = 2 + 1 = 3`."),
    ("fill", EXECUTION, "`num` is incremented to 3."),
    ("fill", GENERAL, "It checks if `item` is not in `members`."),
    ("pick", EXECUTION, "[L6]: The first condition checks if `n > 3`. This is `False`."),
    ("pick", EXECUTION, "`left` is decremented to 5."),
    ("pick", GENERAL, "The second condition checks if `text.count('a') < 3`."),
    ("move", EXECUTION, "[L6]: Inserts `3` at the beginning of the list: `xs = [3, 4, 9, 5]`."),
    ("move", EXECUTION, "[L6]: The `insert` method is called on `xs`, inserting `3`."),
    ("move", EXECUTION, "[L7]: `xs.pop()` is called, which removes and returns `5`."),
    (
        "move",
        EXECUTION,
        "[L13]: The character `'7'` is checked with `c.isdigit()`. This returns `True`.",
    ),
    ("move", EXECUTION, "[L10]: It checks if `9` is in `out`. It is not."),
    ("one", GENERAL, "The function takes a list of numbers (`nums`) as input."),
]
CONTRADICTED_LINES = [
    ("fill", EXECUTION, "[L11]: The condition `num < 4` (5 < 4) is `False`."),
    ("fill", EXECUTION, "[L11]: The condition `num < 4` (3 >= 4) is `False`."),
    ("fill", EXECUTION, "[L11]: The condition `num < 4` (3 < 4) is `False`, so it goes on."),
    ("fill", EXECUTION, "[L11]: The condition `num < 3` is checked. It is True."),
    ("fill", EXECUTION, "[L11]: The condition `num >= 4` is checked. It is True."),
    ("fill", EXECUTION, "[L12]: `num += 3` → `num = 2 + 1 = 3`."),
    ("fill", EXECUTION, "`num` is decremented to 3."),
    ("pick", EXECUTION, "`left` is incremented to 5."),
    ("move", EXECUTION, "[L6]: Inserts `5` at the beginning of the list: `xs = [3, 4, 9, 5]`."),
    ("move", EXECUTION, "[L11]: `out.append(x)` is executed, adding `5`."),
    (
        "move",
        EXECUTION,
        "[L13]: The character `'5'` is checked with `c.isdigit()`. This returns `True`.",
    ),
]
OTHER_LINES = [  # false, and not confirmed
    ("move", EXECUTION, "[L10]: It checks if `'q'` is in `out`. It is not."),
    ("fill", EXECUTION, "[L7]: `members = []` creates an empty list, so `members` is `[]`."),
    ("fill", EXECUTION, "[L8]: `members.append(item)` is executed, so `members = ['a']`."),
    ("fill", EXECUTION, "- `'b'` is appended to `item`, resulting in `members = ['a', 'b']`."),
    ("fill", EXECUTION, "[L5]: The function is not called with the list `['a', 'b', 'a']`."),
    ("fill", GENERAL, "The function takes a list `items`, which is not a list, and `chars`."),
    ("fill", GENERAL, "It prints the list `members`."),
    ("fill", EXECUTION, "The input tuple is `['a', 'b', 'a']`."),
    ("move", EXECUTION, "9 is in [4, 9, 7]."),
    ("one", GENERAL, "The function takes a list of numbers (`middle`) as input."),
    ("fill", GENERAL, "It loops over each key of `items`."),
    ("fill", EXECUTION, "[L9]: The condition `if item not in members:` is checked. It is `True`."),
]


def verdict_of(run, section, line):
    return line_verdicts(verify_trace(RUNS[run], section + line + "\n")).get(2)


@pytest.mark.parametrize(("run", "section", "line"), CONFIRMED_LINES)
def test_true_lines_are_confirmed(run, section, line):
    assert verdict_of(run, section, line) == CONFIRMED


@pytest.mark.parametrize(("run", "section", "line"), CONTRADICTED_LINES)
def test_false_lines_are_contradicted(run, section, line):
    assert verdict_of(run, section, line) == CONTRADICTED


@pytest.mark.parametrize(("run", "section", "line"), OTHER_LINES)
def test_false_lines_are_not_confirmed(run, section, line):
    assert verdict_of(run, section, line) != CONFIRMED


@pytest.mark.parametrize(
    "line",
    [
        "[L11]: The condition `num < 4` (2 < 4) is `True`.",
        "[L11]: The condition `num < 4` (4 > 3) is `True`.",
        "[L11]: The loop goes on until `num >= 4`.",
        "Next, `num = len(chars)` is executed.",
    ],
)
def test_what_may_be_true_is_not_contradicted(line):
    assert verdict_of("fill", EXECUTION, line) != CONTRADICTED
