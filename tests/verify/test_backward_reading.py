"""Lines of backward monologues; their truth is known from the calls below, computed by hand."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import line_verdicts, verify_trace
from data_pipeline.verify.backward.deduction import read_backward
from data_pipeline.verify.claims import CONFIRMED, CONTRADICTED

GROW = "def grow(xs, n, tag):\n    xs.append(n)\n    return [tag] + xs\n"
CUT = "def cut(text):\n    return text.strip('.') + '!'\n"
MERGE = "def merge(d):\n    return {**d, 'end': 0}\n"
RESULTS = {  # by hand
    "grow([4, 5], 6, 7)": "[7, 4, 5, 6]",
    "grow([4], 5, 7)": "[7, 4, 5]",
    "cut('.ab')": "'ab!'",
    "cut('ab')": "'ab!'",
    "cut('abc')": "'abc!'",
}
SECTION = "reverse deduction"


@pytest.fixture(scope="module")
def runs():
    return {
        "grow": Replay(trace_call(GROW, "grow([4, 5], 6, 7)")),
        "cut": Replay(trace_call(CUT, "cut('.ab')")),
        "merge": Replay(trace_call(MERGE, "merge({'x': 3, 'y': 4})")),
    }


def read(runs, name, line, **options):
    reading = read_backward(runs[name], SECTION, line, run_call=RESULTS.get, **options)
    return {claim.verdict for claim in reading.claims}, reading.unread


TRUE = [
    ("grow", "- `xs = [4, 5]`"),
    ("grow", "- `n` must be `6`."),
    ("grow", "The last element of the output is `6`, which means that `n` must be `6`."),
    ("grow", "- `tag`: `7`"),
    ("grow", "The length of `xs` must be `2`."),
    ("grow", "The list `xs` must contain `4` and `5`."),
    ("cut", 'The input string must start with ".".'),
    ("cut", 'A valid input is `".ab"`.'),
    ("cut", 'Alternatively, the input could be `"ab"`, which would also give "ab!".'),
    ("cut", 'The output ends with "!".'),
    ("cut", "Since `len(text) - 1 = 2`, the input must be `'.ab'`."),
    ("merge", "The dictionary `d` must have the keys `'x'` and `'y'`."),
    ("merge", "The output has 3 elements."),
]
FALSE = [
    ("grow", "- `xs = [4, 6]`"),
    ("grow", "- `n` must be `5`."),
    ("grow", "The last element of the output is `5`."),
    ("grow", "- `tag` must be `8`."),
    ("grow", "The length of `xs` must be `3`."),
    ("grow", "The list `xs` must contain `4` and `7`."),
    ("cut", 'The input string must start with "a".'),
    ("cut", 'The input must be `"abc"`.'),
    ("cut", 'Alternatively, the input could be `"abc"`, which would also give "ab!".'),
    ("cut", 'The output starts with "!".'),
    ("cut", "`len(text) + 1 = 3`"),
    ("merge", "The dictionary `d` must have the keys `'x'` and `'end'`."),
    ("merge", "The output has 2 elements."),
]


@pytest.mark.parametrize(("name", "line"), TRUE)
def test_what_holds_for_the_witness_is_confirmed(runs, name, line):
    assert read(runs, name, line) == ({CONFIRMED}, ())


@pytest.mark.parametrize(("name", "line"), FALSE)
def test_what_the_witness_denies_is_contradicted(runs, name, line):
    verdicts, _ = read(runs, name, line)
    assert CONTRADICTED in verdicts


@pytest.mark.parametrize(
    "line",
    [
        "- **Final output constraint**: The function returns `[7, 4, 5, 6]`.",
        "To satisfy the assertion `assert grow(??) == [7, 4, 5, 6]`, we can use the input:",
        "Thus, the assertion would be:",
        "A valid input could be:",
    ],
)
def test_the_given_output_and_its_introductions_are_no_claims(runs, line):
    assert read(runs, "grow", line) == (set(), ())


def test_an_example_is_unread_without_its_run(runs):
    line = 'Alternatively, the input could be `"abc"`, which would also give "ab!".'
    reading = read_backward(runs["cut"], SECTION, line)
    assert reading.claims == () and reading.unread


def test_an_assumption_is_judged_by_the_call_that_it_makes(runs):
    line = "If we assume `n = 5`, then `xs` must have been `[4]`."
    verdicts, _ = read(runs, "grow", line, goal="[7, 4, 5]")
    assert verdicts == {CONFIRMED}
    verdicts, _ = read(runs, "grow", line, goal="[7, 4, 5, 6]")
    assert verdicts == {CONTRADICTED}


def test_a_supposition_about_other_inputs_says_nothing_of_the_witness(runs):
    verdicts, unread = read(runs, "cut", "If `text` is empty, then the output must be `'?'`.")
    assert verdicts == set() and unread


def test_a_number_of_occurrences_is_not_read_as_a_number_of_turns(runs):
    for times, verdict in (("one time", CONFIRMED), ("two times", CONTRADICTED)):
        line = f"`'a'` must appear exactly {times} in `text`."
        assert read(runs, "cut", line) == ({verdict}, ())


def test_an_input_that_misses_the_goal_does_not_satisfy_it(runs):
    line = 'The input that satisfies the output condition is `".ab"`.'
    assert read(runs, "cut", line, goal="'ab?'")[0] == {CONTRADICTED}
    assert read(runs, "cut", line, goal="'ab!'")[0] == {CONFIRMED}


def test_other_sections_are_not_read_backward(runs):
    line = "- `n` must be `6`."
    assert read_backward(runs["grow"], "understanding the function", line) is None
    assert read_backward(runs["grow"], "conclusion", line) is not None


BOUND = """\
def put(text, at):
    index = at % (len(text) + 2) - 1
    if index < 0:
        return text
    return text[:index] + "#" + text[index + 1 :]
"""  # put('abc', 0) and put('abc', 5) are 'abc'; put('abc', 1) is '#bc', with index 0


@pytest.mark.parametrize(("call", "proven"), [("put('xbc', 1)", True), ("put('#zz', 1)", False)])
def test_a_run_that_misses_the_output_shows_no_need(call, proven):
    text = (
        "### Reverse Deduction\n- The `index` must be between `0` and `2`.\n\n"
        f"[ANSWER]\nassert {call} == '#bc'\n[/ANSWER]"
    )
    claims = verify_trace(trace_call(BOUND, call), text)
    assert (line_verdicts(claims).get(2) == "confirmed") == proven
