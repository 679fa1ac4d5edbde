"""Tests runs told without line labels and in other authors' words, true and false by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, line_verdicts, verify_trace
from data_pipeline.verify.masking import mask_code
from data_pipeline.verify.wordings import reword

WALLET = """\
def f(coins, price):
    paid = 0
    used = []
    for coin in coins:
        if paid >= price:
            break
        paid += coin
        used.append(coin)
    used.sort()
    return paid - price, used
"""
# paid 0, 5, 7, 12; used [5], [5, 2], [5, 2, 5], then [2, 5, 5]; (2, [2, 5, 5])
LETTERS = """\
def f(word):
    seen = {}
    for i, ch in enumerate(word):
        if ch not in seen:
            seen[ch] = i
    order = sorted(seen)
    return "".join(order), seen
"""
# seen {'n': 0}, {'n': 0, 'o': 1}; order ['n', 'o']; ('no', {'n': 0, 'o': 1})
RUNS = {
    "wallet": trace_call(WALLET, "f([5, 2, 5, 9], 10)"),
    "letters": trace_call(LETTERS, "f('noon')"),
}
STORIES = {
    "wallet": """\
We start with paid = 0 and used = [].
First coin, 5: paid = 0 + 5 = 5, so used = [5].
Second coin, 2: paid = 5 + 2 = 7, so used = [5, 2].
Third coin, 5: paid = 7 + 5 = 12, so used = [5, 2, 5].
Sorting used gives [2, 5, 5].
(2, [2, 5, 5]) is what the function hands back.
""",
    "letters": """\
`seen` starts out as {}.
i = 0, ch = 'n' → seen = {'n': 0}
i = 1, ch = 'o' → seen = {'n': 0, 'o': 1}
Joining them gives "no".
So, the output of `f('noon')` is ('no', {'n': 0, 'o': 1}).
""",
}
# A line of a story, and what makes it false.
SLIPS = (
    ("wallet", "paid = 5 + 2 = 7", "paid = 5 + 2 = 8"),
    ("wallet", "so used = [5, 2].", "so used = [2, 5]."),
    ("wallet", "gives [2, 5, 5]", "gives [5, 2, 2, 9]"),
    ("wallet", "(2, [2, 5, 5]) is", "(12, [2, 5, 5]) is"),
    ("letters", "{'n': 0, 'o': 1}\n", "{'n': 3, 'o': 2}\n"),
    ("letters", 'gives "no"', 'gives "noonn"'),
    ("letters", "is ('no', {'n': 0, 'o': 1})", "is ('noon', {'n': 0, 'o': 1})"),
)


def verdicts_of(run, text):
    found = line_verdicts(verify_trace(RUNS[run], text))
    return [found.get(number, "unchecked") for number, _ in enumerate(text.splitlines(), 1)]


@pytest.mark.parametrize("run", STORIES)
def test_a_run_told_in_order_is_confirmed(run):
    found = verdicts_of(run, STORIES[run])
    assert CONTRADICTED not in found
    assert found.count(CONFIRMED) >= len(found) - 1


@pytest.mark.parametrize(("run", "true", "false"), SLIPS)
def test_a_slip_is_not_confirmed(run, true, false):
    story = STORIES[run]
    assert true in story
    line = story[: story.index(true)].count("\n")
    assert verdicts_of(run, story.replace(true, false, 1))[line] != CONFIRMED


def test_most_slips_are_contradicted():
    found = []
    for run, true, false in SLIPS:
        story = STORIES[run]
        line = story[: story.index(true)].count("\n")
        found.append(verdicts_of(run, story.replace(true, false, 1))[line])
    assert found.count(CONTRADICTED) >= len(SLIPS) - 1


def test_a_value_told_out_of_order_is_not_confirmed():
    story = "paid = 0\npaid = 12\npaid = 7\nused = [5, 2]\npaid = 12\n"
    assert verdicts_of("wallet", story)[1] != CONFIRMED  # 5 and 7 are left out before 12


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("It isn't 0", "It is not ⟦0⟧"),
        ("so we keep going.", "so the loop continues."),
        ("we go into the while loop", "the while loop is entered"),
        ("then we break out of the loop", "then the loop ends"),
        ("The final answer is 3.", "the function returns ⟦0⟧."),
        ("it exceeds 5", "it is greater than ⟦0⟧"),
        ("nothing happens", "no changes are made"),
    ],
)
def test_reword(told, read):
    text, atoms = mask_code(told, frozenset())
    assert reword(text, atoms) == read


def test_arrows_cut_steps():
    text, atoms = mask_code("x = 2 → even → y = 4", frozenset("xy"))
    assert reword(text, atoms) == "⟦0⟧ = ⟦1⟧, it is even; ⟦2⟧ = ⟦3⟧"
    text, atoms = mask_code("x -> 1", frozenset("x"))
    assert reword(text, atoms) == "⟦0⟧ -> ⟦1⟧"
