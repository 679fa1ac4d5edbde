"""Lines that are true, and the same lines with a value of another moment: these are not confirmed.

Truth is worked out by hand from the programs.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

COUNT = """\
def f(s, char):
    total = 0
    for c in s:
        if c == char:
            total += 1
    return total
"""  # f('2e4e', 'e'): c is '2', 'e', '4', 'e'; total is 0, 1, 1, 2
BACK = """\
def f(xs):
    out = []
    for i in range(len(xs) - 1, -1, -1):
        out.insert(0, xs[i])
        xs.pop()
    return out
"""  # f([1, 7, -1]): i is 2, 1, 0; out is [-1], [7, -1], [1, 7, -1]
PLACE = """\
def f(xs, at, new):
    xs.insert(at, new)
    return xs
"""  # f([4, 3, 8], 2, 5): [4, 3, 5, 8]
SPLIT = """\
def f(text):
    parts = []
    for word in text.split(","):
        word = word.rstrip("!")
        parts.append(word)
    return parts
"""  # f('ab!,c,ab'): 'ab!' becomes 'ab', then 'c', then 'ab'
RUNS = {
    "count": (COUNT, "f('2e4e', 'e')"),
    "back": (BACK, "f([1, 7, -1])"),
    "place": (PLACE, "f([4, 3, 8], 2, 5)"),
    "split": (SPLIT, "f('ab!,c,ab')"),
}
SECOND = "- **Second Iteration** (`c = 'e'`):\n"
FIRST = "- **First Iteration** (`i = 2`):\n"
LINES = [  # run, lines above, the true line, lines that are false
    ("count", "", "- `total` is initialized to `0`.", ["- `total` is initialized to `1`."]),
    (
        "count",
        "",
        "- **First Iteration** (`c = '2'`):",
        ["- **First Iteration** (`c = 'e'`):", "- **First Iteration** (`c = '4'`):"],
    ),
    (
        "count",
        SECOND,
        "   - The condition is `True`, so `total` is incremented by `1`, making it `1`.",
        ["   - The condition is `True`, so `total` is incremented by `1`, making it `0`."],
    ),
    (
        "count",
        "",
        "- The input string is `'2e4e'` and the character is `'e'`.",
        ["- The input string is `'e'` and the character is `'2e4e'`."],
    ),
    (
        "count",
        SECOND,
        "   - [L8]: The character `'e'` is checked. The condition is `True`.",
        ["   - [L8]: The character `'4'` is checked. The condition is `True`."],
    ),
    (
        "back",
        "",
        "- [L7]: The loop starts with `i = 2`.",
        ["- [L7]: The loop starts with `i = 1`.", "- [L7]: The loop starts with `i = 0`."],
    ),
    (
        "back",
        "",
        "- **First Iteration (i = 2)**:",
        ["- **First Iteration (i = 1)**:", "- **First Iteration (i = 0)**:"],
    ),
    (
        "back",
        FIRST,
        "   - `out.insert(0, -1)` inserts `-1` at index `0`.",
        ["   - `out.insert(2, -1)` inserts `-1` at index `0`.",
         "   - `out.insert(0, -1)` inserts `-1` at index `2`."],
    ),
    ("back", FIRST, "   - After insertion: `[-1]`", ["   - After insertion: `[]`"]),
    (
        "place",
        "",
        "- After insertion: `[4, 3, 5, 8]`",
        ["- After insertion: `[4, 3, 8]`"],
    ),
    (
        "place",
        "",
        "- [L6]: This inserts the value `5` at index `2`.",
        ["- [L6]: This inserts the value `5` at index `3`."],
    ),
    (
        "split",
        "- **First Iteration** (`word = 'ab!'`):\n",
        "   - `word.rstrip(\"!\")` is called.",
        ["   - `word.rstrip(\",\")` is called.",
         "   - `word.rstrip(\"!\")` is called. The string `'ab'` is stripped of the character "
         "`'!'` from the end."],
    ),
]  # fmt: skip


def verdict_of(run, above, line):
    program, call = RUNS[run]
    text = f"### Execution Simulation\n{above}{line}"
    return line_verdicts(verify_trace(trace_call(program, call), text)).get(text.count("\n") + 1)


@pytest.mark.parametrize(("run", "above", "true", "false"), LINES)
def test_a_value_of_another_moment_is_not_confirmed(run, above, true, false):
    assert verdict_of(run, above, true) == "confirmed"
    assert [line for line in false if verdict_of(run, above, line) == "confirmed"] == []


@pytest.mark.parametrize(
    ("run", "line"),
    [
        ("count", "- `total` is initialized to `1`."),
        ("count", "- **First Iteration** (`c = 'e'`):"),
        ("count", SECOND + "   - So `total` is incremented by `1`, making it `0`."),
        ("back", "- [L7]: The loop starts with `i = 1`."),
    ],
)
def test_a_moment_that_is_told_plainly_is_contradicted(run, line):
    *above, last = line.split("\n")
    assert verdict_of(run, "".join(f"{one}\n" for one in above), last) == "contradicted"


@pytest.mark.parametrize(
    ("true", "false"),
    [
        (
            "It splits the text at `','`.",
            ["It splits the text at `'ab!,c,ab'`.", "It splits the text at `'c'`."],
        ),
    ],
)
def test_a_line_on_the_program_names_no_text_that_the_code_has_not(true, false):
    program, call = RUNS["split"]
    for line, is_true in ((true, True), *((one, False) for one in false)):
        text = f"### Understanding the Function\n- {line}"
        found = line_verdicts(verify_trace(trace_call(program, call), text)).get(2)
        assert (found == "confirmed") is is_true, line


def test_a_complex_number_is_no_container():
    program = "def f(z):\n    w = z * 2\n    return 'ab'\n"
    text = "### Execution Simulation\n1. [L7]: It returns `'ab'`, and not `(2+4j)` or `'cd'`."
    assert line_verdicts(verify_trace(trace_call(program, "f(1+2j)"), text)).get(2) != "confirmed"
    text = "### Execution Simulation\n1. [L6]: `w` becomes `(2+4j)`, beside `'ab'`."
    verify_trace(trace_call(program, "f(1+2j)"), text)


STEPS = """\
def f(a, xs):
    a += 3
    xs.append(a)
    x = xs.pop(0)
    d = {"k": a}
    d["j"] = d.pop("k")
    return x
"""  # f(2, [7, 8]): a 2 -> 5; xs [7, 8] -> [7, 8, 5] -> [8, 5]; x 7; d {'k': 5} -> {'j': 5}
FACT = """\
def f(k):
    if k <= 1:
        return 1
    return k * f(k - 1)
"""  # f(4): 24 of 6 of 2 of 1
CAUGHT = """\
def f(x):
    try:
        y = 1 // x
    except ZeroDivisionError:
        y = -1
    return y
"""
LONG = """\
def f(n):
    t = "ab" * n
    return t
"""


@pytest.mark.parametrize(
    ("program", "call", "line", "holds"),
    [
        (STEPS, "f(2, [7, 8])", "[L6] `a` is now 5.", True),
        (STEPS, "f(2, [7, 8])", "[L6] `a` is now 2.", False),
        (STEPS, "f(2, [7, 8])", "[L6] With `a` = 2, `a` becomes 5.", True),
        (STEPS, "f(2, [7, 8])", "[L6] With `a` = 5, `a` becomes 5.", False),
        (STEPS, "f(2, [7, 8])", "[L6] `a` is 2, so it is now 5.", True),
        (STEPS, "f(2, [7, 8])", "[L6] `a` changes from 2 to 5 after this step.", True),
        (STEPS, "f(2, [7, 8])", "[L6] `a` changes from 5 to 2 after this step.", False),
        (STEPS, "f(2, [7, 8])", "[L7] We now append 5 to `xs`, which is [7, 8].", True),
        (STEPS, "f(2, [7, 8])", "[L6] The new value of `a` is 2.", False),
        (STEPS, "f(2, [7, 8])", "[L6] The old value of `a` is 2.", True),
        (STEPS, "f(2, [7, 8])", "[L6] The old value of `a` is 5.", False),
        (STEPS, "f(2, [7, 8])", "[L7] `xs` is now [7, 8, 5].", True),
        (STEPS, "f(2, [7, 8])", "[L7] `xs` is now [7, 8].", False),
        (STEPS, "f(2, [7, 8])", "[L7] The list becomes [7, 8].", False),
        (STEPS, "f(2, [7, 8])", "[L8] `xs[0]` is now 7.", False),
        (STEPS, "f(2, [7, 8])", "[L8] `xs` is [7, 8, 5] after this line.", False),
        (STEPS, "f(2, [7, 8])", "[L8] `x` is 7, the first element of `xs`.", True),
        (STEPS, "f(2, [7, 8])", "[L8] `x` is 7, the last element of `xs`.", False),
        (STEPS, "f(2, [7, 8])", "[L10] `d['k']` is now 5.", False),
        (FACT, "f(4)", "[L8] With `k` = 4, it returns 24.", True),
        (FACT, "f(4)", "[L8] With `k` = 4, it returns 6.", False),
        (FACT, "f(4)", "[L8] With `k` = 3, it returns 2.", False),
        (FACT, "f(4)", "[L8] `f(3)` returns 6.", True),
        (CAUGHT, "f(0)", "[L7] A ZeroDivisionError is raised.", True),
        (CAUGHT, "f(0)", "[L7] No ZeroDivisionError is raised.", False),
        (CAUGHT, "f(0)", "[L7] No exception is raised.", False),
        (CAUGHT, "f(0)", "[L7] The ZeroDivisionError is not caught.", False),
        (CAUGHT, "f(1)", "[L7] No exception is raised.", True),
        (LONG, "f(1000)", "[L6] `t` is 'abab...'.", True),
        (LONG, "f(1000)", "[L6] `t` is 'abab...ac'.", False),
        (LONG, "f(1000)", f"[L6] `t` is '{'ab' * 999}ac'.", False),
        (LONG, "f(1000)", f"[L7] It returns '{'ab' * 999}'.", False),
    ],
)
def test_words_of_time_calls_of_calls_exceptions_and_long_texts(program, call, line, holds):
    text = f"### Execution Simulation\n1. {line}"
    found = line_verdicts(verify_trace(trace_call(program, call), text)).get(2)
    assert (found == "confirmed") is holds
