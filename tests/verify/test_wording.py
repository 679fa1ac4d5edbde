"""Tests the verifier on wordings of people and models, with each claim judged by hand."""

import json

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, NOT_CHECKABLE, verify_trace

COUNT = """\
def f(text, limit):
    count = 0
    for ch in text:
        if ch.isdigit():
            count += int(ch)
        if count > limit:
            break
    else:
        return None
    return count
"""
COUNT_CALL = "f('a2b9c', 10)"  # turns: a, 2 (count 2), b, 9 (count 11, break); returns 11

RECURSIVE = """\
def depth(tree):
    if not isinstance(tree, list):
        return 0
    best = 0
    for child in tree:
        best = max(best, depth(child))
    return best + 1
"""
RECURSIVE_CALL = "depth([1, [2]])"  # depth([2]) is 1, depth([1, [2]]) is 2

SAFE = """\
def g(items):
    out = []
    i = 0
    while i < len(items):
        try:
            out.append(10 // items[i])
        except ZeroDivisionError:
            out.append(None)
        i += 1
    return out
"""
SAFE_CALL = "g([5, 0, 3])"  # out is [2, None, 3]

SQUARES = """\
def h(xs):
    total = sum(xs)
    squares = [x * x for x in xs if x % 2]
    label = 'big' if total > 9 else 'small'
    return {label: squares}
"""
SQUARES_CALL = "h([1, 2, 3])"  # total 6, squares [1, 9], {'small': [1, 9]}

RUNS = {
    "count": (COUNT, COUNT_CALL),
    "recursive": (RECURSIVE, RECURSIVE_CALL),
    "safe": (SAFE, SAFE_CALL),
    "squares": (SQUARES, SQUARES_CALL),
}
YES, NO, OPEN = CONFIRMED, CONTRADICTED, NOT_CHECKABLE

# (run, text, verdicts of its claims other than "the line runs": how many say what)
ORACLE = [
    ("count", "1. [L6] The variable `count` is set to 0.", {YES: 1}),
    ("count", "1. [L6] We initialize `count` to 1.", {NO: 1}),
    ("count", "- [L6] `count = 0`", {YES: 1}),
    ("count", "**[L6]**: count is initialized with the value 0", {YES: 1}),
    (
        "count",
        "2. [L7] The loop starts; in the first iteration `ch` is 'a'.\n"
        "3. [L8] The condition `ch.isdigit()` evaluates to False, so we skip to line L10.",
        {YES: 4},
    ),
    (
        "count",
        "2. [L7] First iteration: `ch` is 'a'.\n3. [L8] `ch.isdigit()` is True, so we go on.",
        {YES: 2, NO: 1},
    ),
    (
        "count",
        "[L7] The loop iterates over each character.\n"
        "   - Second iteration: ch = '2', so count becomes 2.\n"
        "   - Fourth iteration: ch = '9' and count becomes 11.",
        {YES: 6},
    ),
    (
        "count",
        "[L7] The loop iterates over each character.\n"
        "   - Second iteration: ch = '2', so count becomes 3.",
        {YES: 2, NO: 1},
    ),
    ("count", "[L7] The loop runs 4 times.", {YES: 1}),
    ("count", "[L7] The loop runs five times.", {NO: 1}),
    ("count", "The loop body is executed 4 times in total.", {YES: 1}),
    ("count", "After the loop, `count` is 11.", {YES: 1}),
    ("count", "In the end `count` equals 12.", {NO: 1}),
    ("count", "[L9] In the second iteration `count` is incremented by 2 to 2.", {YES: 2}),
    ("count", "[L9] `count` increases from 2 to 11.", {YES: 2}),
    ("count", "[L9] `count` increases from 3 to 11.", {YES: 1, NO: 1}),
    ("count", "[L9] Here `count + int(ch)` is 2 + 9 = 11.", {YES: 1}),
    ("count", "[L10] Finally `count > limit` is `11 > 10`, which is True.", {YES: 3}),
    ("count", "[L14] The function returns 11.", {YES: 1}),
    ("count", "[L14] The function returns `count`, which is 9.", {NO: 1}),
    ("count", "[L14] It returns 4.", {NO: 1}),
    ("count", "[L13] If no digit is found, the function would return None.", {}),
    ("count", "[L13] This line is skipped because the loop was left by `break`.", {YES: 1}),
    ("count", "[L13] The function returns None.", {NO: 1, OPEN: 1}),
    ("count", "If `count` were 3, the loop would run 9 times.", {}),
    ("count", "No exception is raised.", {YES: 1}),
    ("count", "The call raises a ValueError.", {NO: 1}),
    ("recursive", "[L5] `depth` is called with `tree` = [1, [2]].", {YES: 2}),
    ("recursive", "[L10] For the child `[2]`, `depth([2])` returns 1.", {YES: 1}),
    ("recursive", "[L10] The recursive call `depth([2])` returns 2.", {NO: 1}),
    ("recursive", "[L11] `best + 1` evaluates to 2 and the function returns 2.", {YES: 2}),
    ("safe", "[L10] In iteration 2, `10 // items[i]` raises a ZeroDivisionError.", {YES: 2}),
    ("safe", "[L10] A `KeyError` is raised in the second iteration.", {YES: 1, NO: 1}),
    ("safe", "[L12] None is appended, so `out` becomes [2, None].", {YES: 1}),
    ("safe", "[L8] After 3 iterations, `i < len(items)` is False (`i` = 3).", {YES: 3}),
    ("safe", "[L8] The loop ends after 2 iterations.", {NO: 1}),
    ("safe", "The loop continues until out is [2, None, 3].", {}),
    ("safe", "The final value of `out` is `[2, None, 3]`.", {YES: 1}),
    ("squares", "[L6] `sum([1, 2, 3])` is 6, so `total` is 6.", {YES: 2}),
    ("squares", "[L6] total = 1 + 2 + 3 = 6", {YES: 2}),
    ("squares", "[L6] total = 1 + 2 + 3 = 7", {NO: 2}),
    ("squares", "[L7] The comprehension gives `squares` = [1, 9].", {YES: 1}),
    ("squares", "[L7] `squares` becomes [1, 4, 9].", {NO: 1}),
    ("squares", "[L8] `total > 9` is False, so `label` is set to 'small'.", {YES: 2}),
    ("squares", "[L8] Since `total > 9` is true, `label` is 'big'.", {NO: 2}),
    ("squares", "`len(squares)` is 2.", {YES: 1}),
    ("squares", "`len(squares)` is 3.", {NO: 1}),
    ("squares", "The value of `total` is 6 and `xs` has 3 elements.", {YES: 2}),
    ("squares", "[ANSWER]\nassert h([1, 2, 3]) == {'small': [1, 9]}\n[/ANSWER]", {YES: 1}),
    ("squares", "[ANSWER]\nassert h([1, 2, 3]) == {'small': [1, 4]}\n[/ANSWER]", {NO: 1}),
]


@pytest.mark.parametrize(("name", "text", "expected"), ORACLE)
def test_judged_by_hand(name, text, expected):
    claims = verify_trace(trace_call(*RUNS[name]), "### Execution Simulation\n" + text)
    found = {}
    for claim in claims:
        if claim.kind not in ("flow", "unread", "code") or claim.verdict == NO:
            found[claim.verdict] = found.get(claim.verdict, 0) + 1
    assert found == expected, claims


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 1000,
        "[L6] count is \ud800 = '\udfff'",
        "[L6] count = " + "[" * 50_000,
        "[L6] `count` is " + "[" * 5000 + "]" * 5000,
        "`" * 50_001,
        "[L6] count = " + "-" * 20_000 + "1",
        "[L6] count = " + "9" * 50_000,
        "[L6] `count`" + " " * 50_000 + "is 0",
        "[L6] `9**9**9**9` is 3. `'a' * 10**9` is 4. `'%999999999d' % 3` is 1.",
        "[ANSWER]\nassert f(" + "(" * 50_000,
        "[L999999999] x is 1. Iteration 99999999999999999999: [L7] `ch` is 'a'.",
    ],
)
def test_garbage_is_read_without_failing(text):
    claims = verify_trace(trace_call(*RUNS["count"]), text)
    assert all(claim.kind and claim.verdict for claim in claims)


def test_many_at_once(tmp_path, capsys):
    program, text = COUNT, "[L6] `count` is set to 1."
    rows = [
        {"id": "a", "program": program, "call": COUNT_CALL, "monologue": text},
        {"id": "b", "program": "def f(:", "call": "f(1)", "monologue": text},
    ]
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([f"--jsonl={source}", f"--output={output}", "--trusted"]) == 1
    told = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["id"] for row in told] == ["a", "b"]
    [line] = told[0]["lines"]
    assert line["line"] == 0 and line["verdict"] == CONTRADICTED
    assert "count=0" in [claim["truth"] for claim in line["claims"]]
    assert "syntax error" in told[1]["error"]
    assert capsys.readouterr().err.startswith("warning: 1 of 2 rows could not be judged; b: ")
    source.write_text('{"id": [3]}\n')
    assert main([f"--jsonl={source}"]) == 2
    assert (
        capsys.readouterr().err
        == f"error: {source}:1: field 'id': expected text or a whole number\n"
    )
