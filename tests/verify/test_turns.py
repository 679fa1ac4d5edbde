"""Tests which turn of a loop a line tells, and what is told of turns that no loop makes."""

import pytest

from data_pipeline.verify import line_verdicts, trace_of, verify_trace

SUM = """def f(xs):
    t = 0
    for x in xs:
        if x > 1:
            t += x
    return t
"""
GROW = """def f(n):
    s = ""
    while len(s) < n:
        s += "ab"
    return s
"""


def verdicts(program, call, text):
    lines = text.strip("\n").split("\n")
    found = line_verdicts(verify_trace(trace_of(program, call), "\n".join(lines)))
    return [found.get(number) for number in range(1, len(lines) + 1)][1:]


def simulation(*lines):
    return "\n".join(["### Execution Simulation", *lines])


@pytest.mark.parametrize(
    ("turn", "value", "verdict"),
    [(1, 5, "confirmed"), (2, 3, "confirmed"), (2, 5, "contradicted"), (3, 3, "contradicted")],
)
def test_each_turn_has_its_own_value(turn, value, verdict):
    told = simulation(f"1. [L7] Iteration {turn}: `x` is {value}.")
    assert verdicts(SUM, "f([5, 3, 9])", told) == [verdict]


def test_a_text_counts_from_where_it_began_to():
    told = simulation(*(f"{n}. Iteration {n}: `x = {x}`" for n, x in [(1, 5), (2, 3), (3, 7)]))
    assert verdicts(SUM, "f([5, 3, 4, 7])", told) == ["confirmed", "confirmed", "contradicted"]
    from_zero = simulation(*(f"- Iteration {n}: `x = {x}`" for n, x in enumerate([5, 3, 4, 7])))
    assert set(verdicts(SUM, "f([5, 3, 4, 7])", from_zero)) == {"confirmed"}


def test_no_line_of_the_body_runs_in_a_turn_that_is_not_made():
    told = simulation(
        "- **Iteration 1**: `x = 5`",
        "  - [L8]: Check if `5` is greater than 1 (it is).",
        "  - [L9]: `t = 5`",
        "- **Iteration 2**: `x = 5`",
        "  - [L8]: Check if `5` is greater than 1 (it is).",
        "  - [L9]: `t = 10`",
    )
    assert verdicts(SUM, "f([5])", told) == ["confirmed"] * 3 + ["contradicted"] * 3


@pytest.mark.parametrize(("ordinal", "number"), [("Eleventh", 11), ("Twenty-second", 22)])
def test_ordinals_go_beyond_ten(ordinal, number):
    told = simulation(
        f"1. **{ordinal} iteration**:",
        f'   - [L8] `s = "{"ab" * number}"`',
    )
    assert verdicts(GROW, f"f({2 * number})", told)[1] == "confirmed"
    assert verdicts(GROW, f"f({2 * number - 2})", told)[1] == "contradicted"


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ('This is `"a" + "b"`, which evaluates to `"ab"`.', "confirmed"),
        ('This is `"a" + "b"`, which evaluates to `"ba"`.', "contradicted"),
        ("So it is `[1] + [2]`, which equals `[2, 1]`.", "contradicted"),
    ],
)
def test_values_put_together_wrongly(said, verdict):
    program = 'def f(x):\n    y = "ba" + x\n    return [[2, 1], "a" + "b", y]\n'
    found = verdicts(program, 'f("")', simulation("1. [L7]: The list is made.", f"   - {said}"))
    assert found[1] == verdict


def test_a_function_starts_where_it_is_called_whatever_its_name_there():
    program = """def f(xs, by):
    def twice(x): return 2 * x
    by = by or twice
    return [by(x) for x in xs]
"""
    call = "f([1], None)"
    inside = simulation("1. [L6] `twice` is called with `x` = 1.")
    assert verdicts(program, call, inside) == ["confirmed"]
    assert verdicts(program, call, simulation("1. [L8] This line calls `twice`.")) == ["confirmed"]
    elsewhere = simulation("1. [L7] This line calls `twice`.")
    assert verdicts(program, call, elsewhere) != ["confirmed"]


@pytest.mark.parametrize(
    ("second", "verdict"), [("1", "confirmed"), ("0", "contradicted"), ("4", "contradicted")]
)
def test_a_sentence_goes_from_one_turn_of_a_comprehension_to_the_next(second, verdict):
    program = "def f(n):\n    rows = [k * k for k in range(n)]\n    return rows\n"
    told = f"1. [L6] For `k` = 0, `k * k` is 0; for `k` = 1, `k * k` is {second}."
    assert verdicts(program, "f(2)", simulation(told)) == [verdict]
