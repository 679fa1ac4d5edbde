"""Tests what a line says that a function returns, with values of its names put in before."""

import pytest

from data_pipeline.verify import line_verdicts, trace_of, verify_trace

PROGRAM = """def f(xs, n):
    ys = sorted(xs[:n])
    return g(ys, n)
def g(ys, n):
    return ys[n - 1:]
"""
FORMS = {
    "After these steps the function returns {r}.": "### Conclusion\n",
    "1. [L9] This call of `g` returns {r}.": "### Execution Simulation\n",
    "1. [L9] With `ys` = {y} and `n` = {n}, the function returns {r}, the value of `ys[n - 1:]`.":
        "### Execution Simulation\n",
    "1. [L9] With `ys` = {y} and `n` = {n}, `ys[n - 1:]` comes to {r}, and that is returned.":
        "### Execution Simulation\n",
}  # fmt: skip
TRUE = {"y": "[1, 3]", "n": "2", "r": "[3]"}
FALSE = {"y": "[1, 8]", "n": "5", "r": "[9]"}


def verdict(form: str, values: dict[str, str]) -> str | None:
    told = FORMS[form] + form.format(**values)
    return line_verdicts(verify_trace(trace_of(PROGRAM, "f([3, 1, 2], 2)"), told)).get(2)


@pytest.mark.parametrize("form", FORMS)
def test_a_result_and_each_value_put_in_are_checked(form):
    assert verdict(form, TRUE) == "confirmed"
    for name, value in FALSE.items():
        if f"{{{name}}}" in form:
            assert verdict(form, TRUE | {name: value}) == "contradicted", name


NESTED = """def f(tree):
    total = 0
    for node in tree:
        if isinstance(node, list):
            total += 2 * f(node)
        else:
            total += node
    return total
"""


def test_a_formula_with_a_call_is_no_result_of_it():
    """The inner call returns 9, of which the outer one adds 18: it returns 3 + 18 + 5."""
    told = "[L9] It returns {} to the outer call."
    trace = trace_of(NESTED, "f([3, [9], 5])")
    found = {v: line_verdicts(verify_trace(trace, told.format(v))).get(1) for v in (9, 18, 26)}
    assert found[9] == "confirmed" and found[18] != "confirmed"


def test_a_part_that_a_method_gives_may_be_told():
    trace = trace_of("def f(s):\n    return s.strip().upper() + '!'\n", "f(' a ')")
    for value, verdict in (("'a'", "confirmed"), ("'A'", "confirmed"), ("'b'", "contradicted")):
        told = f"[L6] `strip` and `upper` are applied; it returns {value}."
        assert line_verdicts(verify_trace(trace, told)).get(1) == verdict, value
