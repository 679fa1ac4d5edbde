"""Tests which variants count as mistakes of a person, and what a problem says."""

import ast

import pytest

from data_pipeline.execution.outcomes import Raised
from data_pipeline.faults.mutant import Mutant
from data_pipeline.faults.plausible import is_obvious, mistakes_type, types_of
from data_pipeline.faults.search import problem_of
from data_pipeline.seeds import Seed
from data_pipeline.testcases import Case
from data_pipeline.tracing import trace_call

CODE = """def f(xs, start, end):
    total = 0.5
    for i in range(start, end):
        total += xs[i]
    return total
"""
CALL = "f([1, 2, 3], 0, 2)"


def case():
    trace = trace_call(CODE, CALL)
    return Case(CALL, trace.result, trace)


@pytest.mark.parametrize(
    ("old", "new", "absurd"),
    [
        ("range(start, end)", "range(start, start)", False),  # an int for an int
        ("+= xs[i]", "+= xs[start]", False),
        ("+= xs[i]", "+= i[i]", True),  # an int for a list
        ("range(start, end)", "range(xs, end)", True),
        ("return total", "return end", False),
        ("return total", "return xs", True),
    ],
)
def test_a_variable_is_taken_for_one_of_its_type(old, new, absurd):
    text = CODE.replace(old, new)
    assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(CODE))
    variant = Mutant("wrong_variable", text)
    assert mistakes_type(CODE, variant, types_of([case()])) is absurd
    other = Mutant("dropped_statement", text)
    assert not mistakes_type(CODE, other, types_of([case()]))


def raised(kind):
    return Raised(kind, "", None)


@pytest.mark.parametrize(
    ("kinds", "obvious"),
    [
        (["AttributeError", None], True),
        (["NameError", "NameError"], True),
        (["UnboundLocalError", None], True),
        (["TypeError", "TypeError"], True),  # in each run
        (["TypeError", None], False),  # in a case that was not thought of
        (["IndexError", "IndexError"], False),
        (["ZeroDivisionError", None], False),
    ],
)
def test_an_error_that_the_first_run_shows_is_no_slip(kinds, obvious):
    outcomes = [object() if kind is None else raised(kind) for kind in kinds]
    assert is_obvious(Mutant("dropped_guard", CODE), outcomes[0], outcomes) is obvious
    if "TypeError" in kinds:  # `out[k + 1]` for a text `k`: no case was forgotten
        assert is_obvious(Mutant("wrong_index", CODE), outcomes[0], outcomes)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Add up.", "Add up.\n\nWrite it as the function `f(xs, start, end)`."),
        ("Write f to add up.", "Write f to add up."),
        ("Offset the sum.", "Offset the sum.\n\nWrite it as the function `f(xs, start, end)`."),
        ("", f"Write a Python function `f(xs, start, end)` that satisfies:\nassert {CALL} == 3.5"),
    ],
)
def test_a_problem_names_its_function(words, said):
    seed = Seed("0" * 12, "f", CODE, words, (CALL,), (), "x:1")
    assert problem_of(seed, [case()]) == said
