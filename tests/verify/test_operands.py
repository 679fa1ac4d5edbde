"""Tests sums with operands of another place, values of another turn, labels and bounds.

What is true is computed from a record that `sys.settrace` makes here; the false twins differ in one
value that the run has elsewhere, or nowhere. No false one may be confirmed, no true one
contradicted.
"""

import functools

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts, verify_trace
from tests.support.line_recorder import record_plainly

ADD = """\
def f(xs, k):
    t = 0
    for x in xs:
        t = t + x
    d = t - k
    return d * 2
"""
DOWN = """\
def g(n):
    s = 'a'
    for i in range(n, 0, -1):
        s = s + 'b' * i
    m = len(s) + n
    return s
"""
JOIN = """\
def h(rows, n):
    made = ['-'.join(r) for r in rows]
    total = sum([len(r) for r in rows])
    made.append('+')
    made.reverse()
    n = n + 4
    return made, total
"""
RUNS = {
    "add": (ADD, "f([2, 5, 4], 3)"),
    "down": (DOWN, "g(2)"),
    "join": (JOIN, "h(['ab', 'cde'], 7)"),
}
TURN = "- **{} iteration (x = {}):**\n  - "
# A sentence, its true value by the record (`v(line, nth, code)`: code before that execution of
# that line), and values that are false there.
ROWS = [
    ("add", "[L9] `t - k` is `{} = {}`.",
     "f'{v(5, 1, \"t\")} - {v(5, 1, \"k\")}', v(5, 1, 't - k')",
     [("7 - 3", 4), ("2 - 3", -1), ("12 - 3", 9), ("11 - 2", 9), ("5 - 3", 2)]),
    ("add", "[L10] `d * 2` is `{} = {}`.", "f'{v(6, 1, \"d\")} * 2', v(6, 1, 'd * 2')",
     [("11 * 2", 22), ("3 * 2", 6), ("7 * 2", 14), ("4 * 2", 8)]),
    ("add", TURN.format("First", 2) + "`t + x` becomes `{} = {}`.",
     "f'{v(4, 1, \"t\")} + {v(4, 1, \"x\")}', v(4, 1, 't + x')",
     [("2 + 5", 7), ("7 + 4", 11), ("1 + 2", 3), ("0 + 4", 4)]),
    ("add", TURN.format("Second", 5) + "Thus, `t + x` is `{} = {}`.",
     "f'{v(4, 2, \"t\")} + {v(4, 2, \"x\")}', v(4, 2, 't + x')",
     [("0 + 2", 2), ("7 + 4", 11), ("2 + 4", 6), ("0 + 5", 5)]),
    ("add", TURN.format("Third", 4) + "We compute `{} = {}`.",
     "f'{v(4, 3, \"t\")} + {v(4, 3, \"x\")}', v(4, 3, 't + x')",
     [("0 + 2", 2), ("2 + 5", 7), ("7 + 5", 12), ("6 + 4", 10)]),
    ("add", TURN.format("Second", 5) + "Now, `t` becomes `{}`.", "(v(4, 3, 't'),)",
     [(11,), (0,), (5,)]),
    ("add", "[L9] Now, `d` becomes `{}`.", "(v(6, 1, 'd'),)", [(11,), (16,), (3,)]),
    ("add", "[L{}] `t - k` is `11 - 3`.", "(5 + 4,)", [(6,), (10,)]),
    ("add", "[L{}] `d * 2` is `8 * 2`.", "(6 + 4,)", [(9,)]),
    ("add", "[L{}] `d` is set to 8.", "(5 + 4,)", [(8,), (7,)]),
    ("down", "[L7] The loop goes from `2` down to `{}`.", "(v(4, times(4), 'i'),)", [(0,), (-1,)]),
    ("down", "[L7] The loop will iterate from `{}` down to `1`.", "(v(4, 1, 'i'),)", [(3,), (1,)]),
    ("down", "[L9] `len(s) + n` is `{} = {}`.",
     "f'{v(5, 1, \"len(s)\")} + {v(5, 1, \"n\")}', v(5, 1, 'len(s) + n')",
     [("1 + 2", 3), ("3 + 2", 5), ("4 + 1", 5)]),
    ("down", "[L8] In this step, `len(s)` is {}.", "(v(4, 1, 'len(s)'),)", [(7,), (9,)]),
    ("down", "- **First iteration (i = 2):**\n  - `s + 'b' * i` is `{} = {!r}`.",
     "f'{v(4, 1, \"s\")!r} + {v(4, 1, chr(39) + \"b\" + chr(39) + \" * i\")!r}', v(5, 0, 's')[:3]",
     [("'abb' + 'b'", "abbb"), ("'a' + 'b'", "ab"), ("'ab' + 'b'", "abb")]),
    ("down", "- **First iteration (i = 2):**\n  - Now `s` becomes {!r}.", "(v(4, 2, 's'),)",
     [("a",), ("abbb",), ("ab",)]),
    ("join", "[L6] It makes a list:\n  - For the first row `'ab'`, it joins the letters, resulting "
     "in {!r}.", "('-'.join('ab'),)", [("ab",), ("c-d-e",), ("a-b-",)]),
    ("join", "[L6] It makes a list:\n  - For the second row `'cde'`, it joins the letters, "
     "resulting in {!r}.", "('-'.join('cde'),)", [("cde",), ("a-b",), ("c-de",)]),
    ("join", "[L7] The `sum()` function calculates the total: `{} = {}`.",
     "'2 + 3', v(4, 1, 'total')", [("1 + 3", 4), ("2 + 2", 4), ("1 + 1", 2), ("3 + 3", 6)]),
    ("join", "[L8] The list gets a sign. Now, `made` becomes `{}`.\n[L9] `made` is reversed.",
     "(v(5, 1, 'made'),)", [(["a-b", "c-d-e"],), (["+", "c-d-e", "a-b"],)]),
    ("join", "[L10] `n + 4` is `{} = {}`.", "f'{v(6, 1, \"n\")} + 4', v(7, 1, 'n')",
     [("11 + 4", 15), ("5 + 4", 9), ("2 + 4", 6)]),
]  # fmt: skip
HEAD = "### Execution Simulation\n"


@functools.cache
def recorded(key: str) -> list[tuple[int, dict]]:
    """Returns (line, state before it) of each execution."""
    return [(run.line, run.before) for run in record_plainly(*RUNS[key]).orders[0]]


def right_values(key: str, oracle: str) -> tuple:
    def value(line, nth, code):
        states = [state for number, state in recorded(key) if number == line]
        return eval(code, {}, states[nth - 1])

    def times(line):
        return sum(number == line for number, _ in recorded(key))

    return eval(oracle, {"v": value, "times": times})


@functools.cache
def traced(key: str):
    return trace_call(*RUNS[key])


def last_verdict(key: str, form: str, values: tuple) -> str | None:
    """Returns the verdict on the line that holds the values."""
    told = HEAD + form.format(*values)
    at = next(n for n, line in enumerate((HEAD + form).split("\n"), 1) if "{" in line)
    return line_verdicts(verify_trace(traced(key), told)).get(at)


@pytest.mark.parametrize(("key", "form", "oracle", "wrong"), ROWS)
def test_what_is_of_another_place_is_not_confirmed(key, form, oracle, wrong):
    right = right_values(key, oracle)
    assert last_verdict(key, form, right) != CONTRADICTED, right
    for values in wrong:
        assert values != right
        assert last_verdict(key, form, values) != CONFIRMED, values


def test_most_of_what_is_true_is_confirmed():
    verdicts = [last_verdict(key, form, right_values(key, o)) for key, form, o, _ in ROWS]
    assert verdicts.count(CONFIRMED) >= 0.7 * len(ROWS), verdicts


def test_a_turn_that_is_not_made_confirms_nothing_that_changes():
    fourth = "- **Fourth iteration (x = 6):**\n  - `t` is {}.\n  - `t + x` is `{} + {} = {}`."
    for values in ((7, 7, 4, 11), (2, 2, 5, 7), (0, 0, 2, 2)):
        told = line_verdicts(verify_trace(traced("add"), HEAD + fourth.format(*values)))
        assert told[2] == CONTRADICTED and CONFIRMED not in (told.get(3), told.get(4)), values
