"""What backward monologues say an input must have, each with a false twin; truth by plain Python.

Necessities are judged by a search: the tests' outcomes of other calls come from running the
programs below, never from the verifier. A false line is never confirmed, a true one never
contradicted.
"""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.backward.general import read_general
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED
from tests.support.plain_calls import outcomes_of

PROGRAMS = {
    "ends": "def ends(text, tail):\n    return text.endswith(tail)\n",
    "pick": "def pick(rows, at):\n    return rows[at]\n",
    "seek": "def seek(stock, name):\n    if name in stock:\n        return stock[name]\n"
    "    return 'none'\n",
    "swap": "def swap(word):\n    out = ''\n    for c in word:\n        out += c.lower() if"
    " c.isupper() else c.upper()\n    return out\n",
    "drop": "def drop(rows, one):\n    if one in rows:\n        rows = list(rows)\n"
    "        rows.remove(one)\n    return rows\n",
    "total": "def total(rows):\n    return sum(rows)\n",
    "glue": "def glue(text):\n    return ' '.join(text.split('\\t'))\n",
    "pad": "def pad(text, size):\n    return text + '*' * (size - len(text))\n",
    "cut": "def cut(text, low, high):\n    return text[low:high].isascii()\n",
    "half": "def half(text):\n    left, mark, right = text.partition('|')\n"
    "    return left, right\n",
    "head": "def head(text):\n    return text[0].upper() + text[1:].lower()\n",
    "twice": "def twice(rows):\n    return 'many' if rows.count('3') > 1 else 'few'\n",
}
CALLS = {
    "ends": "ends('hello', 'x')",  # False
    "pick": "pick([7, 5, 9], 1)",  # 5
    "seek": "seek({'a': 1, 'b': 2}, 'c')",  # 'none'
    "swap": "swap('aBc')",  # 'AbC'
    "drop": "drop([4, 6, 4, 9], 4)",  # [6, 4, 9]
    "total": "total([3, 1, 2])",  # 6
    "glue": "glue('ab\\tcd\\tef')",  # 'ab cd ef'
    "pad": "pad('abc', 5)",  # 'abc**'
    "cut": "cut('abc', 0, 2)",  # True
    "half": "half('ab')",  # ('ab', '')
    "head": "head('maNo')",  # 'Mano'
    "twice": "twice(['3', '1'])",  # 'few'
}


@pytest.fixture(scope="module")
def runs():
    return {name: Replay(trace_call(PROGRAMS[name], CALLS[name])) for name in PROGRAMS}


def deduced(runs, name, line, goal=None):
    """Returns the verdicts on a line of the deduction, None among them for what is unread."""
    run = runs[name]
    goal = goal or run.trace.result
    told = read_backward(
        run, "reverse deduction", line, run_call=outcomes_of(PROGRAMS[name]), goal=goal
    )
    return {claim.verdict for claim in told.claims} | ({None} if told.unread else set())


def general(runs, name, line):
    run = runs[name]
    told = read_general(run, line, run.trace.result, outcomes_of(PROGRAMS[name]))
    return {claim.verdict for claim in told.claims} if told else set()


DEDUCED = [  # line, true, false
    ("ends", "`text` must {} with the character `tail`.", "not end", "end"),
    ("seek", "The `name` provided {} in the `stock` dictionary.", "does not exist", "exists"),
    ("seek", "The only requirement is that `name` should {} present in `stock`.", "not be", "be"),
    ("pick", "If `at` is positive, we need `rows[at]` to equal `{}`.", "5", "9"),
    ("pick", "The `at` must be {} for the list `rows`.", "a valid index", "an invalid index"),
    ("drop", "The first item taken from the list `rows` must be `{}`.", "4", "6"),
    ("total", "The input must be a list of {}.", "integers", "strings"),
    ("glue", "The input string must contain `'ab'`, `'cd'`, and `'ef'` in {} order.", "that",
     "another"),
    ("glue", "The words `'ab'`, `'cd'`, and `'ef'` must be separated by {}.", "tabs", "commas"),
    ("swap", "The first character `A` is {}, so the corresponding input character must be"
     " lowercase `a`.", "uppercase", "lowercase"),
    ("swap", "The second character `b` is lowercase, so the corresponding input character must be"
     " uppercase `{}`.", "B", "C"),
    ("head", "The first character of the input string, when converted to uppercase, must be `{}`.",
     "M", "N"),
    ("total", "The input must be a list that, when {}, results in `[1, 2, 3]`.", "sorted",
     "reversed"),
    ("head", "The rest of the string must be `{}`.", "aNo", "bNo"),
    ("glue", "The input string must contain `'ab'` at the {}.", "beginning", "end"),
    ("total", "The input list must contain `3` {}.", "exactly once", "exactly twice"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "right", "wrong"), DEDUCED)
def test_what_an_input_must_have(runs, name, line, right, wrong):
    assert deduced(runs, name, line.format(right)) == {CONFIRMED}
    assert deduced(runs, name, line.format(wrong)) != {CONFIRMED}


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("`text` must not end with the character `tail`.", {CONFIRMED}),
        ("`text` must end with the character `tail`.", {None}),
        ("To ensure the output is `False`, we can choose any string and any character `tail` such"
         " that `text` does not end with `tail`.", {CONFIRMED}),
        ("To ensure the output is `False`, we can choose any string and any character `tail` such"
         " that `text` ends with `tail`.", {None}),
        ("To ensure the output is `False`, we can choose any string and any character `tail` such"
         " that `text` starts with `tail`.", {None}),
    ],
)  # fmt: skip
def test_an_answer_that_misses_the_output_does_not_hide_what_is_needed(line, verdict):
    run = Replay(trace_call(PROGRAMS["ends"], "ends('hello', 'o')"))
    told = read_backward(
        run, "reverse deduction", line, run_call=outcomes_of(PROGRAMS["ends"]), goal="False"
    )
    found = {claim.verdict for claim in told.claims} | ({None} if told.unread else set())
    assert found <= verdict | {None} and (found == verdict or CONFIRMED not in found)
    assert found == verdict or verdict == {None}


OFFERS = [  # line, true, false
    ("seek", "To satisfy the assertion, we need to provide a `stock` dictionary that {} contain the"
     " specified `name`.", "does not", "must"),
    ("twice", "To get the output, we can use an input list that contains \"3\" {}.", "only once",
     "three times"),
    ("twice", "To get the output, we can use an input list that either contains no \"3\" or"
     " contains {} only once.", "\"3\"", "\"9\""),
    ("glue", "To achieve this, we can use a string that contains {} tab characters.", "two",
     "three"),
    ("total", "To achieve this, we can use a list with {} distinct elements.", "three", "four"),
    # Any list with a 3 in it does not give the sum 6; some list does.
    ("total", "To achieve this, we can use {} list that contains `3`.", "a", "any"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "right", "wrong"), OFFERS)
def test_the_input_that_is_going_to_be_chosen(runs, name, line, right, wrong):
    assert deduced(runs, name, line.format(right)) == {CONFIRMED}
    assert CONFIRMED not in deduced(runs, name, line.format(wrong))


GENERAL = [  # line, true, false
    ("total", "The order of the numbers in the input list does not {}.", "matter", "change"),
    ("drop", "The order of the elements in `rows` is {}.", "preserved", "reversed"),
    ("swap", "Each uppercase letter in the input will be converted to {} in the output, and each"
     " lowercase letter will be converted to uppercase.", "lowercase", "uppercase"),
    ("swap", "The function does not change the order of characters; it simply {} the case of each"
     " character.", "flips", "lowers"),
    ("pad", "The output string will always be at {} as long as the input `text`.", "least", "most"),
    ("head", "The output will always start with an {} letter followed by the rest of the string in"
     " lowercase.", "uppercase", "lowercase"),
    ("head", "The first character of the output string will always be uppercase, while the rest of"
     " the characters will be in {}.", "lowercase", "uppercase"),
    ("drop", "The output list must contain all elements from `rows` except for the first occurrence"
     " of `{}`.", "one", "rows"),
    ("pick", "The `at` can be either {} or negative.", "positive", "empty"),
    ("head", "The input string can be of any length, but it must contain at least {} to avoid index"
     " errors.", "one character", "nine characters"),
    ("twice", "If \"3\" appears zero or one time, the function returns `'{}'`.", "few", "many"),
    ("twice", "If \"3\" appears two or more times, the function returns `'{}'`.", "many", "few"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "right", "wrong"), GENERAL)
def test_what_holds_of_parts_and_their_order(runs, name, line, right, wrong):
    if "any length" in line:  # not of the empty text, which raises
        line = line.replace("The input string can be of any length, but it", "The input string")
    assert general(runs, name, line.format(right)) == {CONFIRMED}
    assert CONFIRMED not in general(runs, name, line.format(wrong))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        # `head` of an empty text raises, so the function needs a character; the others do not.
        ("cut", "The substring extracted from `text` must be non-empty."),
        ("cut", "`low` must be less than `high`."),
        ("half", "The input string must contain at least one \"|\" character."),
        ("pad", "The total length of the output string will be equal to 9."),
        ("drop", "The output list will have the same length as the number of unique elements in the"
         " input list."),
        ("twice", "The order of the strings in the input list must be sorted."),
    ],
)  # fmt: skip
def test_what_the_function_does_not_need_is_no_constraint(runs, name, line):
    assert CONFIRMED not in general(runs, name, line)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cut", "The substring extracted from `text` must be non-empty."),
        ("cut", "`low` must be less than `high`."),
        ("half", "The input string must contain at least one \"|\" character."),
    ],
)  # fmt: skip
def test_a_constraint_that_an_input_with_the_output_breaks_is_contradicted(runs, name, line):
    run = {"cut": "cut('abc', 0, 2)", "half": "half('ab|')"}[name]
    run = Replay(trace_call(PROGRAMS[name], run))
    told = read_general(run, line, run.trace.result, outcomes_of(PROGRAMS[name]))
    assert told is not None and {claim.verdict for claim in told.claims} == {CONTRADICTED}


def test_lists_under_a_heading_are_items_of_the_input():
    run = Replay(trace_call("def join(rows):\n    return ''.join(rows)\n", "join(['ab', 'cd'])"))
    for line, verdicts in (('- `"cd"`', {CONFIRMED}), ('- `"ce"`', set())):
        told = read_backward(run, "conclusion", line, goal="'abcd'")
        assert {claim.verdict for claim in told.claims} - {CONTRADICTED} == verdicts


def test_another_output_than_the_one_given_is_not_passed_over(runs):
    line = "The function returns `{}`, so `rows[at]` must be `5`."
    assert deduced(runs, "pick", line.format("5")) == {CONFIRMED}
    assert None in deduced(runs, "pick", line.format("6"))


def test_these_are_the_values_told_before():
    run = Replay(trace_call("def keys(d):\n    return sorted(d)\n", "keys({'b': 1, 'a': 2})"))
    line = (
        "The function returns `['a', 'b']`, which means that these {} keys must be present in `d`."
    )
    for count, whole in (("two", True), ("three", False)):
        told = read_backward(run, "reverse deduction", line.format(count), goal="['a', 'b']")
        assert ({claim.verdict for claim in told.claims} == {CONFIRMED}) is whole
