"""Steps that speak of a turn, a test or a call told just before them.

Truth is worked out by hand from the programs; each false line is a true one changed in one place.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace

PICK = """\
def f(xs, n):
    i = len(xs) - 1
    out = []
    for k in range(1, len(xs)):
        if xs[k] > n and k != 2:
            out.append(xs[k])
        else:
            out.append(-xs[k])
    return out
"""  # f([4, 7, 1, 9], 3): k = 1 appends 7, k = 2 appends -1, k = 3 appends 9
DRAIN = """\
def f(d):
    kept = []
    while d:
        key, value = d.popitem()
        if value > 1:
            kept.append(key)
    return sorted(kept)
"""  # popitem gives ('c', 5), ('b', 1), ('a', 2)
RANGE = """\
def f(num):
    if 0 < num < 100 and num != 50:
        return "Half"
    return "None"
"""  # f(150): the test is false
SIEVE = """\
def f(s):
    ls = list(s)
    for c in ls:
        if not c.isupper():
            ls.remove(c)
    return "".join(ls)
"""  # f('AbCde'): 'A' stays, 'b' goes, then the loop sees 'd', which goes; 'ACe'
SAME = """\
def f(text):
    seen = 0
    for c in text:
        if c.isalpha() is False:
            return seen
        else:
            seen += 1
    return seen
"""  # f('abab'): turns 2 and 4 take 'b'
CALLS = {
    PICK: "f([4, 7, 1, 9], 3)",
    DRAIN: "f({'a': 2, 'b': 1, 'c': 5})",
    RANGE: "f(150)",
    SIEVE: "f('AbCde')",
    SAME: "f('abab')",
}
FIRST, SECOND = "- **Iteration 1** (`k = 1`):\n  ", "- **Iteration 2** (`k = 2`):\n  "
AT_A, AT_B = "- **Iteration 1**: `c = 'A'`\n  ", "- **Iteration 2**: `c = 'b'`\n  "
ONCE, TWICE = "- **First Iteration**:\n  ", "- **Second Iteration**:\n  "


def verdict(program: str, text: str) -> str:
    """The verdict on the last line of a text."""
    claims = verify_trace(trace_call(program, CALLS[program]), text)
    return line_verdicts(claims).get(text.count("\n") + 1, "unchecked")


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (PICK, SECOND + "- [L10]: `1` is appended to `out`."),  # that line runs in other turns
        (PICK, FIRST + "- [L12]: `-7` is appended to `out`: `out = [7]`."),
        (SIEVE, AT_A + "- **[L9]**: The character is removed."),
        (SIEVE, AT_B + "- **[L9]**: The character is not removed."),
        (SIEVE, AT_B + "- The character is not removed."),
        (SIEVE, AT_B + "- [L9]: `ls.remove(c)` is not executed."),
        (PICK, SECOND + "- Since both conditions are satisfied, `1` is appended."),
        (RANGE, "4. Since both conditions are satisfied, the function goes on."),
        (RANGE, '2. The function proceeds to return "Half".'),
        (RANGE, "- Therefore the function goes on to return `'Half'`."),
        (PICK, "- [L9]: It checks whether `xs[k] > n`, where `1 > 3`. This condition is `True`."),
        (PICK, "- [L9]: It checks whether `4 * 2 > 9`. This is `True` for all elements of `xs`."),
        (PICK, "- [L9]: Compare `7 > 3`, and this condition is not met."),
        (PICK, "- **[L13]**: After all iterations, `out` contains only odd numbers: `[7, 9]`."),
        (DRAIN, ONCE + "- `d.popitem()` is called. This time it returns `('a', 2)`."),
        (DRAIN, TWICE + "- `d.popitem()` is called again. This returns `('c', 5)`."),
        (DRAIN, ONCE + "- [L8]: A pair is popped. The remaining items in the dictionary are "
                "`{'b': 1}`."),
        (PICK, "- The loop starts with `k` ranging from `1` to `len(xs) - 1`, which is `1` to "
               "`2`."),
    ],
)  # fmt: skip
def test_what_the_turn_denies_is_contradicted(program, line):
    assert verdict(program, line) == "contradicted"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (PICK, SECOND + "- [L12]: `-1` is appended to `out`."),
        (PICK, FIRST + "- [L10]: `7` is appended to `out`: `out = [7]`."),
        (SIEVE, AT_B + "- **[L9]**: The character is removed."),
        (SIEVE, AT_A + "- The character is not removed."),
        (RANGE, '2. The function proceeds to return "None".'),
        (DRAIN, ONCE + "- `d.popitem()` is called. This time it returns `('c', 5)`."),
        (PICK, "- [L6]: `i` is set to the last index of `xs`, which is `3` (the length of the list "
               "is `4`, so the indices are `0` to `3`)."),
        (PICK, "- The function enters the `for` loop at [L8]. The length of the list is 4, so the "
               "loop will run for `k` values from `1` to `3`."),
        (PICK, "- The loop starts with `k` ranging from `1` to `len(xs) - 1`, which is `1` to "
               "`3`."),
        (PICK, "- **[L13]**: After all iterations, `out` is `[7, -1, 9]`."),
    ],
)  # fmt: skip
def test_what_the_turn_bears_out_is_confirmed(program, line):
    assert verdict(program, line) == "confirmed"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (SIEVE, AT_A + "- **[L9]**: The character is not removed."),
        (SIEVE, AT_A + "- **[L9]**: This line is skipped."),
        (RANGE, "- Since not both conditions are satisfied, the function goes on."),
        (PICK, "- If this condition, `1 > 3`, were to hold, the element would be appended."),
        (PICK, "- [L9]: It checks whether `1 > 3` or `7 > 3`. One of them is `True`."),
        (DRAIN, "- [L11]: The sorted items are `['a', 'c']`."),
    ],
)
def test_true_lines_of_the_same_forms_are_not_contradicted(program, line):
    assert verdict(program, line) != "contradicted"


def test_a_line_about_the_turns_element_keeps_its_turn():
    """'b' is taken twice: in the fourth turn "the character 'b'" is the fourth."""
    text = (
        "- Fourth Iteration (`c = 'b'`):\n"
        "  - The character `'b'` is checked.\n"
        "  - [L11]: `seen` becomes `{}`."
    )
    assert verdict(SAME, text.format(4)) == "confirmed"
    assert verdict(SAME, text.format(2)) == "contradicted"


PLAIN = """\
def f(xs):
    copied = list(xs)
    text = "".join(copied)
    return text + "!" * len(text)
"""  # f('cab'): 'cab!!!'; nothing is turned round or sorted anew
GRID = """\
def f(grid):
    best = 0
    for row in grid:
        for v in row:
            if v < 0:
                break
            best += v
        else:
            best *= 2
    grid[0][0] = -9
    return grid
"""  # f([[1, 2], [3, -1, 5]]): best 1, 3, 6, 9; v is 1, 2, then 3, -1
TWO = """\
def half(xs):
    out = []
    for x in xs:
        out.append(x // 2)
    return out

def f(xs):
    total = 0
    for x in half(xs)[:2]:
        total += x & 3
    return total
"""  # f([2, 4, 8]): half's loop makes 3 turns, f's 2; total 1, then 3
STEPS = """\
def f(n):
    s = 0
    for i in range(1, n + 1):
        if i % 3 == 0 and i % 5 == 0:
            s += 100
        elif i % 3 == 0:
            s += 3
        elif i % 5 == 0:
            s += 5
        if s > 10:
            break
    return s
"""  # f(9): s is 3 after i = 3, 8 after 5, 11 after 6
CALLS |= {
    PLAIN: "f('cab')",
    GRID: "f([[1, 2], [3, -1, 5]])",
    TWO: "f([2, 4, 8])",
    STEPS: "f(9)",
}
AT_3 = "At i = 3, s becomes 3.\n"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (PLAIN, "- [L7]: The reversed list is joined."),
        (PLAIN, "- It creates a sorted copy of `xs`."),
        (GRID, "The returned grid is [[1, 2], [3, -1, 5]]."),
        (TWO, "The loop in half runs 2 times."),
        (TWO, "The loop in f runs 3 times."),
        (STEPS, AT_3 + "For i = 5, s becomes 9."),
    ],
)
def test_free_sentences_that_are_false(program, line):
    assert verdict(program, line) == "contradicted"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (SIEVE, "- The reversed list is no part of it."),
        (GRID, "The returned grid is [[-9, 2], [3, -1, 5]]."),
        (GRID, "Then v is -1, so the inner loop breaks."),
        (TWO, "The loop in half runs 3 times."),
        (TWO, "The loop in f runs 2 times."),
        (STEPS, AT_3 + "i = 4 leaves s unchanged at 3."),
        (STEPS, AT_3 + "For i = 5, s becomes 8."),
        (STEPS, AT_3 + "At i = 6 we add 3 and get 11."),
        (STEPS, AT_3 + "For i = 4 neither condition holds, so the loop continues."),
        (STEPS, AT_3 + "`s += 3` runs twice."),
        (STEPS, "The final length is 1."),  # of what is not said
    ],
)
def test_free_sentences_that_are_true_are_not_contradicted(program, line):
    assert verdict(program, line) != "contradicted"


def test_what_a_loop_takes_up_is_not_added_to():
    assert verdict(GRID, "5 is added to best.") != "confirmed"


WHILE = """\
def f(n):
    steps = 0
    while n > 1:
        if n % 3 == 0:
            n //= 3
        else:
            n -= 1
        steps += 1
    else:
        steps = -steps
    return steps
"""  # f(9): n 3, steps 1; n 1, steps 2; then -2
SWAP = """\
def f(a):
    swaps = 0
    for i in range(len(a) - 1):
        k = i
        for j in range(i + 1, len(a)):
            if a[j] < a[k]:
                k = j
        if k != i:
            a[i], a[k] = a[k], a[i]
            swaps += 1
    return a, swaps
"""  # f([5, 3, 1]): i = 0: k 1, then 2, [1, 3, 5], one swap; i = 1: none
GCD = """\
def f(a, b):
    if b == 0:
        return a
    r = a % b
    return f(b, r)
"""  # f(48, 18), f(18, 12), f(12, 6), f(6, 0)
WORDS = """\
def f(text):
    counts = {}
    for w in text.split():
        counts[w] = counts.get(w, 0) + 1
    return counts
"""  # f('a bc a d'): {'a': 2, 'bc': 1, 'd': 1}
CALLS |= {
    WHILE: "f(9)",
    SWAP: "f([5, 3, 1])",
    GCD: "f(48, 18)",
    WORDS: "f('a bc a d')",
}
LAST = "Iteration 2:\n  - `n` becomes `1`.\n"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (WHILE, LAST + "The `else` of the loop runs and `steps` becomes `-2`."),
        (SWAP, "Iteration 1 (`i = 0`):\n  - At `j = 2` the value 1 is smaller still.\n"
               "  - The two are exchanged: `a = [1, 3, 5]`, `swaps = 1`."),
        (WHILE, "In the first turn `n` becomes `3`.\nThe next division leaves `n = 1`."),
        (WORDS, "The third word is `'a'` again, which lifts its count to `2`."),
        (WORDS, "The returned dictionary has three keys: `'a'`, `'bc'` and `'d'`."),
        (WORDS, "The word is stored, so `counts` is `{'a': 1}`."),
        (GCD, "The function calls itself with `f(18, 12)`."),
    ],
)  # fmt: skip
def test_prose_that_goes_on_from_a_turn_is_not_held_to_it(program, line):
    assert verdict(program, line) != "contradicted"


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (WHILE, "Iteration 2:\n  - `steps` is `1` now."),
        (SWAP, "Iteration 1 (`i = 0`):\n  - After the swap `swaps = [1, 3, 5]`."),
        (GCD, "4. [L9] The function calls itself with `f(48, 12)`."),
        (WORDS, "- [L8] With `w = 'd'` the count of `'bc'` becomes `1`: `counts` = {'a': 1, "
                "'bc': 1}."),
        (SWAP, "In total the inner body ran 5 times."),  # 3 times; 5 turns of both loops
        (WHILE, "The loop does not continue further."),
    ],
)  # fmt: skip
def test_a_value_of_another_moment_confirms_nothing(program, line):
    assert verdict(program, line) != "confirmed"


@pytest.mark.parametrize(
    ("program", "line", "expected"),
    [
        (WHILE, "The `else` block does not run.", "unchecked"),  # that of the `if`, or the loop's
        (GRID, "The `else` block runs.", "confirmed"),  # after the first row
        (STEPS, "Iteration 6 (`i = 6`):\n  - So the loop breaks.", "confirmed"),
        (STEPS, "Iteration 5 (`i = 5`):\n  - So the loop breaks.", "contradicted"),
        (STEPS, "Iteration 5 (`i = 5`):\n  - The loop does not break.", "confirmed"),
        (STEPS, "Iteration 5 (`i = 5`):\n  - `s` jumps to `8`.", "confirmed"),
        (STEPS, "Iteration 5 (`i = 5`):\n  - `s` goes up from `3` to `9`.", "contradicted"),
    ],
)
def test_breaks_elses_and_changes_in_other_words(program, line, expected):
    assert verdict(program, line) == expected


def test_a_list_given_in_order_is_sorted():
    claims = verify_trace(trace_call(PLAIN, "f('abc')"), "- [L6]: The sorted list is copied.")
    assert "contradicted" not in line_verdicts(claims).values()


DOUBLE = """\
def f(x):
    y = x + 1
    return y * 2
"""  # f(3) is 8


@pytest.mark.parametrize(
    "line", ["[L6] f returns 4.", "[L6] It returns 4.", "[L6] 4 is returned.", "[L6] Returns 4."]
)
def test_a_line_that_returns_nothing_confirms_no_return(line):
    claims = verify_trace(trace_call(DOUBLE, "f(3)"), line)
    assert line_verdicts(claims)[1] != "confirmed"


@pytest.mark.parametrize("line", ["[L7] It returns 8.", "[L6] `x + 1` returns 4."])
def test_a_line_that_returns_confirms_it(line):
    claims = verify_trace(trace_call(DOUBLE, "f(3)"), line)
    assert line_verdicts(claims)[1] == "confirmed"


@pytest.mark.parametrize("text", ["Iteration {}", "[L{}] runs.", "The loop runs {} times.", "{}."])
def test_numbers_that_python_does_not_read_crash_nothing(text):
    claims = verify_trace(trace_call(DOUBLE, "f(3)"), text.format("7" * 5000))
    assert "confirmed" not in line_verdicts(claims).values()
