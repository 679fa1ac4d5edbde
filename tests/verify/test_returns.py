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
