"""Tests that the prover refuses false claims: values, turns, branches and places changed."""

import dataclasses
import random

import pytest

from data_pipeline.claims import PROVEN, REFUTED, Claim, Place, Prover
from data_pipeline.monologue.forward import narrate_forward
from data_pipeline.tracing import trace_call
from tests.support.told_programs import RUNS

PROGRAM = """\
def f(xs, k):
    total = 0
    for x in xs:
        if x > k:
            total += x
    return total * 2
"""
CALL = "f([1, 5, 7], 4)"  # total 0, 5, 12; 24 is returned


@pytest.fixture(scope="module")
def prover():
    return Prover(trace_call(PROGRAM, CALL))


def place(prover, line, number=1):
    """Returns the place of the execution `number` of a line."""
    events = prover.record.events
    found = [at for at, e in enumerate(events) if e.kind == "line" and e.line == line]
    return Place(line, found[number - 1], 0)


@pytest.mark.parametrize(
    ("kind", "line", "number", "subject", "value", "verdict"),
    [
        ("after", 5, 1, "total", "5", PROVEN),
        ("after", 5, 2, "total", "12", PROVEN),
        ("after", 5, 1, "total", "12", REFUTED),  # of the other turn
        ("before", 5, 2, "total", "5", PROVEN),
        ("before", 5, 2, "total", "12", REFUTED),
        ("turn", 3, 2, "", "2", PROVEN),
        ("turn", 3, 2, "", "3", REFUTED),
        ("turns", 3, 4, "", "3", PROVEN),
        ("turns", 3, 4, "", "4", REFUTED),
        ("branch", 4, 1, "x > k", "False", PROVEN),
        ("branch", 4, 1, "x > k", "True", REFUTED),
        ("branch", 4, 2, "x >= k", "True", REFUTED),  # the code reads otherwise
        ("evaluates", 6, 1, "total * 2", "24", PROVEN),
        ("evaluates", 6, 1, "total * 2", "24.0", REFUTED),
        ("evaluates", 4, 1, "x + k", "5", PROVEN),
        ("becomes", 4, 1, "x > k", "1 > 4", PROVEN),
        ("becomes", 4, 1, "x > k", "5 > 4", REFUTED),
        ("becomes", 4, 1, "x > k", "1 >= 4", REFUTED),
        ("next", 4, 1, "", "3", PROVEN),
        ("next", 4, 1, "", "5", REFUTED),
        ("returns", 6, 1, "f", "24", PROVEN),
        ("returns", 6, 1, "f", "12", REFUTED),
        ("returns", 5, 1, "f", "24", REFUTED),  # not here
        ("range", 3, 1, "", "2-3", PROVEN),
        ("range", 3, 1, "", "2-4", REFUTED),
        ("alike", 3, 2, "2-3", "4,5", PROVEN),
        ("alike", 3, 1, "1-3", "4,5", REFUTED),
        ("series", 3, 2, "total@2-3", "5, 12", PROVEN),
        ("series", 3, 2, "total@2-3", "5, 7", REFUTED),
        ("raises", 5, 1, "", "ValueError", REFUTED),
    ],
)
def test_claims_by_hand(prover, kind, line, number, subject, value, verdict):
    claim = Claim(kind, place(prover, line, number), subject, value)
    assert prover.verdict(claim) == verdict


@pytest.mark.parametrize(
    ("kind", "line", "subject", "value"),
    [
        ("takes", 1, "f", "xs"),
        ("loop", 3, "k", "x"),
        ("test", 4, "x > 4", ""),
        ("sets", 2, "total", "1"),
        ("changes", 5, "total", "-= x"),
        ("gives", 6, "total", ""),
        ("recursive", 1, "f", ""),
        ("mutated", 1, "xs", ""),
        ("outcome", 0, CALL, "25"),
    ],
)
def test_false_claims_about_the_text_and_the_whole_run(prover, kind, line, subject, value):
    assert prover.verdict(Claim(kind, Place(line), subject, value)) == REFUTED


def test_a_place_outside_the_run_refutes(prover):
    assert prover.verdict(Claim("after", Place(5, 999, 0), "total", "5")) == REFUTED
    right = Claim("after", place(prover, 5), "total", "5")
    assert prover.verdict(right) == PROVEN
    moved = dataclasses.replace(right, place=Place(6, right.place.at, 0))
    assert prover.verdict(moved) == REFUTED


def changed(claim, rng):
    """Returns a claim with another value, or another event as its place."""
    value = claim.value
    if claim.kind in ("branch", "is", "case", "handler"):
        return dataclasses.replace(claim, value="False" if value == "True" else "True")
    if value.lstrip("-").isdigit():
        return dataclasses.replace(claim, value=str(int(value) + rng.choice((-2, 3, 11))))
    if value and value[0] in "'[({":
        return dataclasses.replace(claim, value="['other']")
    return None


def test_planted_errors_in_what_narrators_claim_are_refused():
    rng, planted, passed = random.Random(3), 0, []
    for program, call in RUNS:
        trace = trace_call(program, call)
        prover = Prover(trace)
        for claim in narrate_forward(trace).claims:
            assert prover.verdict(claim) == PROVEN
            false = changed(claim, rng)
            if false is not None and claim.kind not in ("quote", "takes", "sets", "loop", "block"):
                planted += 1
                if prover.verdict(false) == PROVEN:
                    passed.append(false)
    assert planted > 300
    assert not passed


def test_a_global_that_the_run_changes_is_no_constant():
    program = "BOX = [1]\nN = 3\ndef f(x):\n    BOX.append(x)\n    return len(BOX) + N\n"
    prover = Prover(trace_call(program, "f(2)"))
    assert prover.verdict(Claim("constant", Place(3), "N", "3")) == PROVEN
    assert prover.verdict(Claim("constant", Place(3), "N", "4")) == REFUTED
    assert prover.verdict(Claim("constant", Place(3), "BOX", "[1]")) != PROVEN


def test_a_shadowed_name_and_a_changed_list_prove_nothing():
    """`len(xs)` is evaluated after `pop` has run, so the state before the line does not tell it."""
    program = "def f(xs):\n    n = xs.pop() + len(xs)\n    return n\n"
    prover = Prover(trace_call(program, "f([1, 2])"))
    claim = Claim("evaluates", Place(2, 1, 0), "len(xs)", "2")
    assert prover.verdict(claim) != PROVEN


@pytest.mark.parametrize(
    ("program", "call", "kind", "line", "subject", "value"),
    [
        # Another exit gives the same output.
        ("def f(x):\n    if x > 3:\n        return x\n    return 5\n", "f(5)", "exit", 3, "x", ""),
        # The function may return the same from its end.
        ("def f(x):\n    if x:\n        return None\n", "f(1)", "exit", 3, "None", ""),
        # A decorator may change the output.
        (
            "def d(g):\n    return lambda x: g(x) + 1\n@d\ndef f(x):\n    return x\n",
            "f(1)",
            "exit",
            5,
            "x",
            "",
        ),
    ],
)
def test_an_exit_that_is_not_the_only_one(program, call, kind, line, subject, value):
    prover = Prover(trace_call(program, call))
    assert prover.verdict(Claim(kind, Place(line), subject, value)) != PROVEN


@pytest.mark.parametrize(
    ("body", "call", "line", "subject", "value"),
    [
        ("return abs(x)", "f(-2)", 2, "x", "-2"),  # 2 does as well
        ("return x * 0", "f(4)", 2, "x", "4"),
        ("return x // 2", "f(4)", 2, "x", "4"),
        ("for _ in range(2):\n        x = x + 1\n    return x", "f(4)", 2, "x", "4"),
        ("if x > 2:\n        x = 0\n    return x", "f(0)", 2, "x", "0"),
        ("return x[:2]", "f('abc')", 2, "x", "'abc'"),
    ],
)
def test_what_another_input_does_as_well_is_not_necessary(body, call, line, subject, value):
    program = f"def f(x):\n    {body}\n"
    prover = Prover(trace_call(program, call))
    last = program.rstrip().count("\n") + 1
    code = program.rstrip().split("return ")[1]
    prover.verdict(Claim("exit", Place(last), code, ""))
    assert prover.verdict(Claim("must", Place(line), subject, value)) != PROVEN


BLOCKS = """\
def g(xs, seen):
    import math as m
    for x in xs:
        if x in seen:
            continue
        elif x < 0:
            raise ValueError(x)
        seen.add(x)
        xs[0] = x
    else:
        del seen, xs[0]
    if not m.isfinite(x):
        return None
    x = 2
    while x:
        break
    return x
"""


@pytest.mark.parametrize(
    ("kind", "line", "subject", "value", "verdict"),
    [
        ("block", 3, "body", "4,8", PROVEN),
        ("block", 3, "body", "8,4", REFUTED),  # in another order
        ("block", 3, "body", "5", REFUTED),  # deeper
        ("block", 3, "else", "11", PROVEN),
        ("block", 3, "body", "11", REFUTED),
        ("block", 4, "else", "6", PROVEN),
        ("block", 4, "after", "8", REFUTED),  # `elif` follows, and the body stays in the function
        ("block", 12, "after", "14,15", PROVEN),
        ("block", 12, "after", "13", REFUTED),
        ("block", 15, "after", "17", REFUTED),  # no `if`
        ("puts", 8, "seen", "x", PROVEN),
        ("puts", 8, "x", "seen", REFUTED),
        ("puts", 9, "xs[0]", "x", REFUTED),
        ("deletes", 11, "xs[0]", "", PROVEN),
        ("deletes", 11, "xs", "", REFUTED),
        ("imports", 2, "import math as m", "m", PROVEN),
        ("imports", 2, "import math as m", "math", REFUTED),
    ],
)
def test_what_stands_where_in_the_text(kind, line, subject, value, verdict):
    prover = Prover(trace_call(BLOCKS, "g([1, 2], set())"))
    assert prover.verdict(Claim(kind, Place(line), subject, value)) == verdict
