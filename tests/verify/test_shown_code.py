"""Code of the place with values put in, elements of results and comprehensions, line numbers."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import line_verdicts, verify_trace
from data_pipeline.verify.numbering import label_quoted_lines

CUT = """\
def cut(text, mark, size):
    tail = text[len(mark):size]
    table = str.maketrans({"b": "dd"})
    return tail.translate(table)
"""
CALL = "cut('abcbe', 'x', 4)"  # tail is 'bcb', the result 'ddcdd'


def verdicts_of(program, call, *lines):
    told = "### Execution Simulation\n" + "\n".join(lines)
    found = line_verdicts(verify_trace(trace_call(program, call), told))
    return [found.get(number) for number in range(2, len(lines) + 2)]


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("1. [L6]: This translates to `text[1:4]`.", True),
        ("1. [L6]: This translates to `text[0:4]`.", False),
        ("1. [L6]: The function then computes `text[len(mark):size]`.", True),
        ("1. [L6]: The function then computes `text[len('x'):size]`.", True),
        ("1. [L6]: The function then computes `text[len(mark):]`.", False),
        ("1. [L6]: The result is `'abc'`.", False),
        ("1. [L6]: The function then never computes `text[len(mark):size]`.", False),
        ("1. [L7]: It creates a translation table using `str.maketrans({\"b\": \"dd\"})`.",
         True),
        ("1. [L7]: It creates a translation table using `str.maketrans({\"b\": \"d\"})`.",
         False),
        ("The resulting string after all replacements is `'ddcdd'`.", True),
    ],
)  # fmt: skip
def test_code_with_values_put_in(line, holds):
    assert (verdicts_of(CUT, CALL, line) == ["confirmed"]) is holds


def test_a_translated_text_is_known():
    line = "The resulting string after all replacements is `'dcd'`."
    assert verdicts_of(CUT, CALL, line) == ["contradicted"]


COUNTS = "def counts(xs):\n    return [xs.count(x) for x in xs]\n"


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("- For the second element `x = 'a'`:", "confirmed"),
        ("- For the second element `x = 'b'`:", "contradicted"),
        ("- `xs.count('a')` is `2`, so the second element of the output is `2`.", "confirmed"),
        (
            "- `xs.count('b')` is `1`, so the first element of the output is `1`.",
            "contradicted",
        ),
        ("The final output list is `[2, 2, 1]`.", "confirmed"),
        ("The final output list is `[2, 1, 1]`.", "contradicted"),
        ("- `x` takes values from `'a'` to `'b'`.", "confirmed"),
    ],
)
def test_elements_of_a_comprehension(line, verdict):
    assert verdicts_of(COUNTS, "counts(['a', 'a', 'b'])", line) == [verdict]


def test_elements_that_pass_a_test_may_be_counted_alone():
    program = "def keep(xs):\n    return [x for x in xs if x > 2]\n"
    told = verdicts_of(program, "keep([1, 5, 2, 7])", "- For the second element `x = 7`:")
    assert told != ["contradicted"]


def test_an_unchanged_result_is_no_argument():
    program = "def trim(text, mark):\n    return text.rstrip(mark)\n"
    lines = [
        "1. [L6]: It calls `text.rstrip(mark)`.",
        "   - The result is still `'abc'`.",
    ]
    assert verdicts_of(program, "trim('abc', 'c')", *lines)[1] != "confirmed"


@pytest.mark.parametrize(
    ("monologue", "labelled"),
    [
        ("1. **Line 6**: `a` is 1. See [L7].", "1. **[L6]**: `a` is 1. See [L7]."),
        ("Line 2: `a` is 1.", "[L6]: `a` is 1."),  # only a file has a line 2
        ("Line 9: `a` is 1.", "Line 9: `a` is 1."),  # neither has
        ("The text has line 6: `a`", "The text has line 6: `a`"),
    ],
)
def test_line_numbers_in_headings(monologue, labelled):
    program = "def f():\n    a = 1\n    return a"
    assert label_quoted_lines(program, monologue) == labelled
