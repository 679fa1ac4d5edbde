"""Tests that a step is confirmed only with all that it names; truths worked out by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

ROWS = """\
def f(grid):
    out = []
    for c in range(2):
        col = []
        for row in grid:
            col.append(row[c])
        out.append(sum(col))
    return out
"""
# c = 0: col [1, 3], out [4]; c = 1: col [2, 4], out [4, 6]
HALVES = """\
def h(n, k):
    if n == 0:
        return k
    m = n // 2
    r = h(m, k + 1)
    return r
"""
# h(5, 0), h(2, 1), h(1, 2), h(0, 3); m is 2, 1, 0; all return 3
PARSE = """\
def g(texts):
    good = []
    bad = 0
    for t in texts:
        if t == '-':
            break
        try:
            v = 12 // int(t)
        except ValueError:
            bad += 1
            continue
        except ZeroDivisionError:
            bad += 10
            continue
        good.append(v)
    return good, bad
"""
# '3' gives 4; 'x' a ValueError; '0' a ZeroDivisionError; '-' breaks
RUNS = {
    "rows": trace_call(ROWS, "f([[1, 2], [3, 4]])"),
    "halves": trace_call(HALVES, "h(5, 0)"),
    "parse": trace_call(PARSE, "g(['3', 'x', '0', '-', '4'])"),
}
TURN = "Iteration 2 (`c = 1`):\n  - "
CALLS = "1. [L6] `n == 0` is false.\n2. [L8] `m = 2`.\n3. [L9] It calls `h(2, 1)`.\n"
SECOND = "Iteration 2 (`t = 'x'`):\n  - "
THIRD = "Iteration 3 (`t = '0'`):\n  - "


def verdict_of(run, text):
    claims = verify_trace(RUNS[run], text)
    return line_verdicts(claims).get(len(text.split("\n")), "unchecked")


@pytest.mark.parametrize(
    ("run", "before", "told", "slip"),
    [
        ("rows", TURN, "`2 + 4 = 6` is appended to `out`.", "`2 + 4 = 6` is appended to `col`."),
        ("rows", TURN, "After the append `out = [4, 6]`.", "After the append `col = [4, 6]`."),
        ("rows", TURN, "`col` collects `2` and then `4`.", "`col` collects `2` and then `6`."),
        ("halves", CALLS, "4. [L8] In that second call `m = 1`.",
         "4. [L8] In that third call `m = 1`."),
        ("halves", CALLS + "4. [L9] A call is made: `h(0, 3)`.\n", "5. [L6] `n == 0` is true.",
         "5. [L6] `n == 0` is false."),
        ("halves", CALLS, "4. [L10] `r` is returned, that is `3`.",
         "4. [L10] The base case returns `k`, that is `3`."),
        ("parse", SECOND, "Here `int('x')` raises a `ValueError`.",
         "Here `int('x')` raises a `ZeroDivisionError`."),
        ("parse", SECOND, "`bad = 1`, no break.", "`bad = 1`, a break happens."),
        ("parse", "", "`continue` was executed twice.", "`continue` was executed three times."),
        ("parse", "", "[L6]-[L7] `good` starts as `[]` and `bad` as `0`.",
         "[L6]-[L7] `good` starts as `[]` and `bad` as `1`."),
        ("parse", "", "In total the loop body ran 4 times.", "In total the loop body ran 5 times."),
    ],
)  # fmt: skip
def test_true_steps_and_slips(run, before, told, slip):
    assert verdict_of(run, before + told) == "confirmed"
    assert verdict_of(run, before + slip) != "confirmed"


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ("parse", THIRD + "`t` is a digit, so L13 is not reached for it."),
        ("rows", TURN + "The `append` leaves `out` at [4]."),
        ("rows", TURN + "Finally `col` is [2]."),
    ],
)
def test_true_steps_are_not_contradicted(run, text):
    assert verdict_of(run, text) != "contradicted"


def test_the_number_of_a_turn_is_its_own():
    assert verdict_of("parse", "Iteration 1 (`t = 'x'`):") != "confirmed"


def test_attributes_and_the_callers_variables():
    program = """\
class Account:
    def __init__(self, balance):
        self.balance = balance

    def take(self, amount):
        if amount < 0:
            return
        self.balance -= amount

def f(amounts):
    own = Account(10)
    for a in amounts:
        own.take(a)
    return own.balance
"""
    run = trace_call(program, "f([3, -2])")  # 7
    for balance, verdict in ((7, "confirmed"), (8, "partly")):
        text = f"1. [L12] As `amount = 3`, `balance` becomes `{balance}`."
        told = line_verdicts(verify_trace(run, text))[1]
        assert (told == "confirmed") is (verdict == "confirmed")


SORT = """\
def s(a, more):
    seen = []
    for r in range(2):
        for j in range(len(a) - 1 - r):
            if a[j] > a[j + 1]:
                a[j], a[j + 1] = a[j + 1], a[j]
        seen.append(a[0])
    a.remove(1)
    try:
        n = int(more)
    except ValueError:
        n = -1
    return a[::-1], seen, n
"""
# [3, 1, 2] becomes [1, 3, 2], then [1, 2, 3]; 1 is removed at index 0; int('x') on L14 raises
SORTED = trace_call(SORT, "s([3, 1, 2], 'x')")


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ("[L9] At `j = 0`, `3` and `1` are compared.",
         "[L9] At `j = 0`, `3` and `2` are compared."),
        ("[L9]: it compares `3` with `1`.", "[L9]: it compares `3` with `2`."),
        ("[L12]: `a.remove(1)` is called.", "[L12]: `a.remove(1)` deletes the item at index 1."),
        ("`seen` is created empty.", "`seen` is created empty, while `more` comes in as `10`."),
        ("[L17]: `a[::-1]` reverses `a`.", "[L17]: `a[::-1]` reverses `a` itself."),
        ("[L14]: it raises a `ValueError`.", "This makes L16 raise a `ValueError`."),
        ("[L9]: the condition is true.", "[L9]: the condition is true for the third time."),
        ("Altogether the body of the outer loop is entered two times.",
         "Altogether the body of the outer loop is entered three times."),
    ],
)  # fmt: skip
def test_nothing_beside_a_true_claim_passes_unread(true, false):
    verdicts = [line_verdicts(verify_trace(SORTED, text)).get(1) for text in (true, false)]
    assert verdicts[0] != "contradicted" and verdicts[1] != "confirmed", verdicts


@pytest.mark.parametrize(
    "text",
    [
        "`a` ends up as `[1, 3, 2]`.",  # of the first round
        "[L9] This test is true, because 1 was stored in the first iteration.",
        "[L11] `seen` now holds `[1]`, which is not the same list.",
    ],
)
def test_what_looks_back_or_ends_a_part_is_not_held_against_the_run(text):
    assert line_verdicts(verify_trace(SORTED, text)).get(1) != "contradicted"
