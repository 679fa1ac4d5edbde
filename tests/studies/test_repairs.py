"""Tests the parts of the study of repairs by hand-made turns, and by stand-ins for the model."""

import numpy as np
import pytest

from data_pipeline.files import write_rows
from data_pipeline.verify import Claim
from semcoder_jax.evaluation.benchmarks.data import DataError
from semcoder_jax.evaluation.benchmarks.heldout_code import HeldoutCode, read_problems
from semcoder_jax.studies.repairs import _diagnosis, ask_controls, differing_lines
from semcoder_jax.studies.rubber_duck_report import Turns

RIGHT = "def f(a):\n    a = a + 2\n    return a"
WRONG = "def f(a):\n    a = a - 2\n    return a"
TESTS = "assert f(a=3) == 5\nassert f(a=4) == 6"
LUCKY = "def f(a):\n    return {3: 5, 4: 6}.get(a)"  # passes the visible tests alone


def problem(id: str) -> dict:
    return {
        "id": id,
        "prompt": f'"""Write f(a): add 2 to a; return a.\n{TESTS}\n"""',
        "entry": "f",
        "program": RIGHT,
        "visible": [[3], [4]],
        "hidden": [[7], [0]],
    }


@pytest.fixture
def benchmark(tmp_path):
    write_rows(tmp_path / "problems.jsonl", [problem("one"), problem("two"), problem("three")])
    return HeldoutCode(read_problems(tmp_path / "problems.jsonl"), cache=tmp_path / "cache")


def test_stand_ins_show_the_ceiling_and_the_floor(benchmark):
    programs = {"one": WRONG, "two": RIGHT, "three": LUCKY}
    first = [
        {"arm": "repair", "round": 0, "task": task, "text": f"\n{program}\n"}
        for task, program in programs.items()
    ]
    rows = ask_controls(benchmark, dict.fromkeys(programs, RIGHT), first, rounds=2)
    right = {(row["arm"], row["task"], row["round"]): row["right"] for row in rows}
    asked = {(r["arm"], r["task"], r["round"]) for r in rows if r["asked"] and r["round"]}
    assert len(right) == 2 * 3 * 3
    for arm in ("reference", "repeat"):
        assert [right[arm, "two", n] for n in range(3)] == [True] * 3
        assert [right[arm, "three", n] for n in range(3)] == [False] * 3  # nothing shows it
    assert [right["reference", "one", n] for n in range(3)] == [False, True, True]
    assert [right["repeat", "one", n] for n in range(3)] == [False] * 3
    assert asked == {("reference", "one", 1), ("repeat", "one", 1), ("repeat", "one", 2)}


def test_the_benchmark_judges_by_visible_and_by_all_tests(benchmark):
    assert benchmark.titles == ("Held-out code, visible tests", "Held-out code, all tests")
    task = benchmark.refine_tasks[0]
    assert task.visible == ("assert f(a=3) == 5", "assert f(a=4) == 6")
    assert "f(7)" not in task.prompt + task.problem and RIGHT not in task.prompt + task.problem


@pytest.mark.parametrize(
    ("field", "value"), [("hidden", []), ("visible", [3]), ("entry", 3), ("id", "one")]
)
def test_a_malformed_problem_is_named(tmp_path, field, value):
    rows = [problem("one"), problem("two") | {field: value}]
    write_rows(tmp_path / "problems.jsonl", rows)
    with pytest.raises(DataError, match=rf"problems.jsonl:2.*{field}"):
        read_problems(tmp_path / "problems.jsonl")


def test_resampling_spends_no_more_than_its_budget():
    rows = [
        {"task": task, "round": number, "tokens": tokens, "right": number == rightly}
        for task, rightly, spent in (("a", 2, (10, 5, 5)), ("b", 1, (10, 20, 0)))
        for number, tokens in enumerate(spent)
    ]
    turns = Turns([rows])
    assert turns.spent_SxNxR.tolist() == [[[10, 15, 20], [10, 30, 30]]]
    assert turns.right_for(np.array([[10.0, 10.0]])).tolist() == [[0, 0]]
    assert turns.right_for(np.array([[19.0, 29.0]])).tolist() == [[0, 0]]
    assert turns.right_for(np.array([[20.0, 29.0]])).tolist() == [[1, 0]]
    assert turns.right_for(np.array([[99.0, 99.0]])).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("right", "buggy", "lines"),
    [
        (RIGHT, WRONG, {2}),
        (RIGHT, RIGHT, set()),
        (RIGHT, "def f(a):\n    return a", {1}),  # a line is missing after line 1
        (RIGHT, "def f(a):\n    a = a + 2\n    a = 0\n    return a", {3}),
        ("a\nb\nc\nd", "a\nx\nc\ny", {2, 4}),
    ],
)
def test_lines_that_differ(right, buggy, lines):
    assert differing_lines(right, buggy) == lines


def test_a_diagnosis_is_counted_by_its_parts():
    text = (
        "### Execution Simulation\nThe failed test calls f(a=3) and asserts 5.\n"
        "1. Line 2 (`a = a - 2`): `a` is now 1.\n\n"
        "### Root Cause Analysis\nStep 1 goes wrong.\n\n"
        "### Repair\nLine {} (`a = a - 2`) must read `a = a + 2`.\n\n[Refined]\nline 3\n[/Refined]"
    )
    claims = [
        Claim(3, "value", "a is now 1", "confirmed", "1"),
        Claim(3, "flow", "line 2", "contradicted", None),
        Claim(6, "value", "a", "confirmed", None),
        Claim(6, "value", "a", "not_checkable", None),
    ]
    found = _diagnosis(text.format(2), WRONG, RIGHT, claims)
    assert found["steps"] == {"confirmed": 1, "contradicted": 1}
    assert found["cause"] == {"confirmed": 1, "contradicted": 0}
    assert found["names_line"] and not _diagnosis(text.format(3), WRONG, RIGHT, [])["names_line"]
