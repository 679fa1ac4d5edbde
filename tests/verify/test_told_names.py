"""Steps with a wrong variable, a denial or another line's label are not confirmed.

Truth is worked out by hand from the programs.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

PICK = """\
def f(xs, ys, n):
    out = []
    for x in xs:
        if x > n:
            out.append(x)
    head, *tail = ys
    return out + tail
"""  # f([1, 5], ['a', 'b'], 2): x 1, 5; out [], [5]; head 'a', tail ['b']; [5, 'b']
SURE = """\
def f(text, end):
    if text.endswith(end):
        text = text.removesuffix(end)
    return text
"""  # f('abc', 'z'): 'abc' does not end with 'z', so 'abc'
RUNS = {"pick": (PICK, "f([1, 5], ['a', 'b'], 2)"), "sure": (SURE, "f('abc', 'z')")}
LINES = [  # run, true line, lines that are false
    (
        "pick",
        "[L6] `out` is initialized to an empty list: `out = []`.",
        [
            "[L7] `out` is initialized to an empty list: `out = []`.",
            "[L6] `out` is initialized to a non-empty list: `out = []`.",
        ],
    ),
    (
        "pick",
        "[L7] The loop iterates over `xs`, and `n` is 2.",
        ["[L7] The loop iterates over `ys`, and `n` is 2."],
    ),
    (
        "pick",
        "[L11] `return out + tail` concatenates `out` and `tail`, which gives `[5, 'b']`.",
        ["[L11] `return out + tail` concatenates `out` and `ys`, which gives `[5, 'b']`."],
    ),
    ("pick", "- `head` is 'a'.", ["- `tail` is assigned the first item, which is `'a'`."]),
    (
        "sure",
        "[L6] `text.endswith(end)` checks if `text` ends with `end`, which is `False`.",
        [
            "[L6] `text.endswith(end)` checks if `text` does not end with `end`, "
            "which is `False`.",
            "[L6] `text.endswith(end)` checks if `end` ends with `'q'`, which is `False`.",
        ],
    ),
    (
        "sure",
        "[L6] The condition is `False`, so the body is not executed.",
        ["[L6] The condition is `False`, so the body is executed."],
    ),
    (
        "sure",
        "The function returns `'abc'`.",
        ["The function raises `'abc'`.", "[L6] The function returns `'xyz'`."],
    ),
    (
        "sure",
        "[L5] The function is called with `text = 'abc'`.",
        ["[L6] The function is called with `text = 'abc'`."],
    ),
    ("sure", "[L8] `text` is `'abc'`.", ["[L8] `text` is not `'abc'`."]),
]  # fmt: skip


def verdict_of(run, line):
    program, call = RUNS[run]
    text = f"### Execution Simulation\n{line}"
    return line_verdicts(verify_trace(trace_call(program, call), text)).get(2)


@pytest.mark.parametrize(("run", "true", "false"), LINES)
def test_only_the_true_line_is_confirmed(run, true, false):
    assert verdict_of(run, true) == "confirmed"
    assert [line for line in false if verdict_of(run, line) == "confirmed"] == []
