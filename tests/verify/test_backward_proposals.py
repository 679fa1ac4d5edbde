"""Inputs that backward monologues try out, and what they tell of them, each with a false twin.

Truths are by plain Python. A false line is never confirmed and a true one never contradicted; of
those marked with `decided`, each gets its verdict.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONFIRMED, CONTRADICTED, example_calls, verify_trace

PROGRAMS = {
    "ahead": """\
def ahead(text):
    s = 0
    for i in range(1, len(text)):
        s += len(text.rpartition(text[i])[0])
    return s
""",
    "weigh": """\
def weigh(word, unit):
    total = 0
    for letter in word:
        total += word.index(letter) * unit
    return total
""",
    "until": """\
def until(items, stop):
    kept = []
    for k, item in enumerate(items):
        if item == stop:
            break
        kept.append(item)
    return kept
""",
    "peel": """\
def peel(text, mark):
    if text.removeprefix(mark) == text:
        return peel(text[1:], mark)
    return text
""",
    "trim": """\
def trim(text):
    text = text.strip("-")
    return text.upper()
""",
}
CALLS = {
    "ahead": 'ahead("aab")',
    "weigh": 'weigh("abc", 2)',
    "until": "until([1, 2, 9, 3], 9)",
    "peel": 'peel("xyabcd", "abc")',
    "trim": 'trim("-ab-")',
}
SAME = '- If we try `text = "abab"`:'
TWO = '- Let\'s consider `word = "bcb"` and `unit = 3`:'
CUT = "- Let's try `items = [4, 5, 7]` with `stop` as `5`:"
INNER = "- `peel` is called with `text` = 'yabcd' and `mark` = 'abc'."
DECIDED = [  # program, the line before, true, false
    ("ahead", SAME, "For `i = 1` (character `'b'`):", "For `i = 1` (character `'a'`):"),
    ("ahead", SAME, "For `i = 3` (character `'b'` again):", "For `i = 4` (character `'b'`):"),
    ("ahead", SAME, "For `i = 2`:", "For `i = 0`:"),
    ("ahead", SAME, "`text.rpartition('a')` returns `('ab', 'a', 'b')`.",
     "`text.rpartition('a')` returns `('', 'a', 'bab')`."),
    ("ahead", SAME, "`text.rpartition('b')` returns `('aba', 'b', '')`, so `len('aba')` is `3`.",
     "`text.rpartition('b')` returns `('a', 'b', 'ab')`, so `len('a')` is `1`."),
    ("ahead", SAME, "`text.upper()` is `\"ABAB\"`.", "`text.upper()` is `\"AAB\"`."),
    ("ahead", SAME, "`len(text)` is `4`.", "`len(text)` is `3`."),
    ("ahead", SAME, "Total: `3 + 2 + 3 = 8`", "Total: `1 + 2 + 3 = 6`"),
    ("ahead", SAME, "This does not satisfy the condition of `3`.",
     "This satisfies the condition of `3`."),
    ("ahead", SAME, "This doesn't work.", "This works."),
    ("ahead", SAME, "The function would then return `8`.", "The function would then return `3`."),
    ("ahead", '- Trying the string "bac":', "This gives the expected output.",
     "This does not give the expected output."),
    ("ahead", "", 'We find that the string `"bac"` works:',
     'We find that the string `"ab"` works:'),
    ("ahead", "", 'If we consider "ab", it would give `1`.',
     'If we consider "ab", it would give `3`.'),
    ("ahead", '- Testing with a string like `"ba"`:', "Total: `1`", "Total: `2`"),
    ("weigh", TWO, "For `letter = 'c'`:", "For `letter = 'a'`:"),
    ("weigh", TWO, "Total: `0 + 3 + 0 = 3`", "Total: `3 + 0 + 0 = 3`"),
    ("weigh", TWO, "`word.index('c')` is `1`.", "`word.index('c')` is `2`."),
    ("weigh", TWO, "The result is `3`.", "The result is `6`."),
    ("weigh", TWO, "This does not match the expected output.", "This matches the expected output."),
    ("until", CUT, "The function will return `[4]`.", "The function will return `[4, 5]`."),
    ("peel", INNER, "`text.removeprefix(mark)` is 'yabcd'.", "`text.removeprefix(mark)` is 'd'."),
]  # fmt: skip
NEVER_WRONG = [  # true, false: what may stay undecided
    ("until", CUT, "For `k = 0` (item `4`):", "For `k = 2` (item `7`):"),
    ("until", CUT, "For `item = 4`:", "For `item = 7`:"),
    ("ahead", "", '`"aab"` or `"bac"` would work.', '`"aab"` or `"aaab"` would both work.'),
    ("ahead", "", '`text` to be `"aab"` (which is already 3 characters long).',
     '`text` to be `"aab"` (which is already 4 characters long).'),
    ("ahead", SAME, "`s` is `8`.", "`s` is `3`."),
    ("ahead", SAME, "The length of the string is `4`.", "The length of the string is `3`."),
    ("until", CUT, "`kept` is `[4]`.", "`kept` is `[1, 2]`."),
    ("until", CUT, "`items[1]` is equal to `stop`.", "`items[2]` is equal to `stop`."),
    ("until", CUT, "The list has `3` elements.", "The list has `4` elements."),
    ("ahead", SAME, "Total: `0 + 3 + 2 + 3 = 8`", "Total: `0 + 3 + 3 + 3 = 9`"),
    ("trim", '- If we try `text = "-x-"`:', "`text.upper()` is `\"X\"`.",
     "`text.upper()` is `\"Y\"`."),
    ("trim", '- If we try `text = "-x-"`:', "`len(text)` is `1`.", "`len(text)` is `2`."),
    ("peel", INNER, "`text[1:]` is 'abcd'.", "`text[1:]` is 'bcd'."),
    ("peel", INNER, "`text.removeprefix(mark) == text` is `'yabcd' == 'yabcd'`, which is True.",
     "`text.removeprefix(mark) == text` is `'d' == 'yabcd'`, which is False."),
    ("weigh", "- If we try a longer `word` with `unit` as `2`:", "The result is `6`.",
     "The function does not end."),
    ("ahead", "- If we try two characters:", "This does not satisfy the condition of `3`.",
     "The function returns no number."),
]  # fmt: skip


def judge(name, before, line):
    """Returns the verdicts of the claims of a line in a backward monologue."""
    space = {}
    exec(PROGRAMS[name], space)
    call = CALLS[name]
    trace = trace_call(PROGRAMS[name], call)
    lines = ["### Reverse Deduction", before, f"  - {line}", "", "### Conclusion", "[/MONOLOGUE]"]
    answer = f"[ANSWER]\nassert {call} == {trace.result}\n[/ANSWER]"
    text = "\n".join([*lines, answer])
    outcomes = {other: repr(eval(other, space)) for other in example_calls(trace, text)}
    return {claim.verdict for claim in verify_trace(trace, text, outcomes) if claim.line == 3}


@pytest.mark.parametrize(("name", "before", "true", "false"), DECIDED)
def test_what_is_told_of_a_proposal_is_decided(name, before, true, false):
    assert judge(name, before, true) == {CONFIRMED}
    assert CONTRADICTED in judge(name, before, false)


@pytest.mark.parametrize(("name", "before", "true", "false"), NEVER_WRONG)
def test_what_is_unsure_is_never_judged_wrongly(name, before, true, false):
    assert CONTRADICTED not in judge(name, before, true)
    assert judge(name, before, false) != {CONFIRMED}


@pytest.mark.parametrize(
    "line",
    [
        '`"aab"` or `"aaab"` would work.',
        '`"aab"` (which is already 4 characters long) is the text.',
        'The string `"abab"` itself has 5 characters.',
    ],
)
def test_what_is_false_without_a_proposal_is_found(line):
    assert CONTRADICTED in judge("ahead", "", line)


@pytest.mark.parametrize("between", ["### Conclusion", "- **The real input**:"])
def test_a_heading_and_a_label_end_a_proposal(between):
    trace = trace_call(PROGRAMS["ahead"], CALLS["ahead"])
    lines = ["### Reverse Deduction", SAME, between, "- `len(text)` is `3`.", "[/MONOLOGUE]"]
    text = "\n".join([*lines, "[ANSWER]", 'assert ahead("aab") == 3', "[/ANSWER]"])
    verdicts = {claim.verdict for claim in verify_trace(trace, text) if claim.line == 4}
    assert verdicts == {CONFIRMED}
