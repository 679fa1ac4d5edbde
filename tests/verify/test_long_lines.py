"""Tests that no line of a monologue takes long, however it is made."""

import time

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import UNCHECKED, example_calls, line_verdicts, verify_trace
from data_pipeline.verify.shown_code import codes_in

PROGRAM = "def f(x):\n    y = x + 1\n    return y\n"
SHAPES = {
    "subscripts": "[0]",
    "numbers": "7, ",
    "digits": "7 ",
    "quotes": "'",
    "texts": '"a" ',
    "backticks": "`",
    "code": "`x` ",
    "brackets": "[",
    "parentheses": "(",
    "dots": ".",
    "and": "and ",
    "sums": "x + ",
    "equations": "x = 1 = ",
    "labels": "[L6]: `y` is 4, ",
    "turns": "iteration 1, ",
    "conditions": "if x is 3, ",
    "marks of our own": "⟦0⟧",
}
HEADINGS = ("### Execution Simulation", "### Understanding the Function", "### Reverse Deduction")


@pytest.fixture(scope="module")
def run():
    return trace_call(PROGRAM, "f(3)")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_line_is_left_unread_and_the_next_is_judged(run, shape):
    """Read, lines of this length took from seconds to hours."""
    line = (SHAPES[shape] * 16_000)[:16_000]
    for heading in HEADINGS[:2]:
        text = f"{heading}\n{line}\n### Execution Simulation\n[L6]: `y` is 4.\n[L6]: `y` is 5."
        started = time.process_time()
        example_calls(run, text)
        verdicts = line_verdicts(verify_trace(run, text))
        assert time.process_time() - started < 2
        assert verdicts.get(2, UNCHECKED) == UNCHECKED
        assert (verdicts[4], verdicts[5]) == ("confirmed", "contradicted")  # 3 + 1 is 4
    backward = f"{HEADINGS[2]}\n- {line}\n[ANSWER]\nassert f(3) == 4\n[/ANSWER]"
    started = time.process_time()
    example_calls(run, backward)
    verdicts = line_verdicts(verify_trace(run, backward))
    assert time.process_time() - started < 2
    assert verdicts.get(2, UNCHECKED) == UNCHECKED and verdicts[4] == "confirmed"


@pytest.mark.parametrize("shape", SHAPES)
def test_a_line_of_a_thousand_characters_is_read_at_once(run, shape):
    """Twice the length of the longest real one."""
    text = f"### Execution Simulation\n[L6]: {(SHAPES[shape] * 1000)[:1000]}"
    started = time.process_time()
    verify_trace(run, text)
    assert time.process_time() - started < 1  # a fifth of it by itself


def test_a_long_assertion_is_still_judged():
    program = "def f(xs):\n    return len(xs)\n"
    call = f"f({[7] * 2000})"
    text = f"[ANSWER]\nassert {call} == {{}}\n[/ANSWER]"
    run = trace_call(program, call)
    for told, verdict in ((2000, "confirmed"), (2001, "contradicted")):
        [claim] = verify_trace(run, text.format(told))
        assert claim.verdict == verdict


@pytest.mark.parametrize(
    ("text", "words", "codes", "marked"),
    [
        ("`xs[0]` is 3", ("is",), ("xs[0]", "3"), "`xs[0]` is `3`"),
        ("is 3 and", ("is", "and"), ("3",), "is `3` and"),
        ("s[0", (), ("xs[0]",), "`xs[0]`"),  # part of code is told as the whole
        ("is", ("is",), (), "is"),
    ],
)
def test_a_piece_of_a_sentence_is_taken_apart(text, words, codes, marked):
    piece = codes_in(text, "Now `xs[0]` is 3 and `y` stays.")
    assert (piece.words, piece.codes, piece.marked) == (words, codes, marked)


def test_a_piece_that_the_sentence_does_not_have_is_none():
    assert codes_in("no such words", "Now `x` is 3.") is None
    assert codes_in("``", "Now `x` is 3.") is None
