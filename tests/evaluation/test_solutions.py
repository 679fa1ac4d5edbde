"""Compares the search for the longest program with EvalPlus's own loop, written out plainly."""

import ast
import time
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semcoder_jax.evaluation.benchmarks.solutions import longest_program

LINES = [
    *("", "   ", "\t", "x = 1", "def f(x):", "    return x", "    return (x +", "x = [1,", "2, 3]"),
    *(")", "(", "'''", '"""', "it's", "Here is text:", "if x:", "else:", "try:", "except E:"),
    *("    pass", "@dec", "class A:", "    def g(self):", "        y = {", "        }", "# a"),
    *("    # b", "x = 1 \\", "\\", "for i in y: pass", "    '''doc", "print('a' == ", "return 5"),
    *("f'{x[\"a\"]}'", "f'{", "match x:", "    case 1:", "        z", "x = y z", "\x0c", "a;"),
    *("with a as b, \\", "]", "}", "= no", "é = 'ü'", "async def q():", "lambda: (yield)"),
]


def parses(text):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, MemoryError):
        return False
    return True


def every_run_tried(text):
    """EvalPlus 0.3.1: of all runs of two or more lines that parse, the first with most lines."""
    lines = text.split("\n")
    found, most = (0, 0), 0
    for start in range(len(lines)):
        for end in range(start + 1, len(lines)):
            run = lines[start : end + 1]
            filled = sum(bool(line.strip()) for line in run)
            if filled > most and parses("\n".join(run)):
                found, most = (start, end), filled
    return "\n".join(lines[found[0] : found[1] + 1])


@settings(max_examples=500)
@given(st.lists(st.sampled_from(LINES), max_size=12))
@example(["import os", "\\", "\t"])
@example(["\t", "\\", "   "])
@example(["   ", "\t"])
@example(["x = (", "@ b)"])
def test_the_longest_program_is_that_of_trying_every_run(lines):
    text = "\n".join(lines)
    assert longest_program(text) == every_run_tried(text)


@pytest.mark.parametrize("line", ["x = [1,", "foo(", "@a", "def f(x):\n    return (x +", "it's"])
def test_five_hundred_unfinished_lines_end_soon(line):
    """Trying every run takes minutes for each of these; a program before them is found."""
    began = time.process_time()
    found = longest_program("\n".join(["def f(x):", "    return x", *[line] * 500]))
    assert found.startswith("def f(x):\n    return x")
    assert time.process_time() - began < 20
