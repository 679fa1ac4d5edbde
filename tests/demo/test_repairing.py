"""Tests repairs and written code; a patch is judged by plain Python in a process of its own."""

import asyncio
import subprocess
import sys

import pytest

from semcoder_jax.demo import examples
from semcoder_jax.demo.authors import Narrator
from semcoder_jax.demo.repairing import diff_lines, repair, run_tests, write_code
from semcoder_jax.demo.requests import CodeRequest, DemoError, RepairRequest, TestRequest
from tests.support.demo_server import ScriptedAuthor

BUGGY = "def f(x):\n    y = x + 2\n    return y\n"
TESTS = "assert f(3) == 4"
RIGHT = "def f(x):\n    y = x + 1\n    return y\n"


def collected(events) -> list[dict]:
    async def collect():
        return [event async for event in events]

    return asyncio.run(collect())


def only(events, kind) -> list[dict]:
    return [event for event in events if event["event"] == kind]


def passes(program: str, tests: str) -> bool:
    done = subprocess.run([sys.executable, "-I", "-c", f"{program}\n{tests}"], timeout=20)
    return done.returncode == 0


def answer(code: str) -> str:
    return f"[L6] y becomes 5.\n[L6] y becomes 6.\n\n[Refined]\n```python\n{code}```\n[/Refined]"


def test_a_repair_by_a_model_is_marked_patched_and_tested(sandbox):
    events = collected(
        repair(RepairRequest(BUGGY, TESTS), ScriptedAuthor(repair=answer(RIGHT)), sandbox)
    )
    before, after = only(events, "tests")
    assert before["results"] == [{"test": TESTS, "passed": False, "outcome": "f(3) returns 5"}]
    assert after["results"] == [{"test": TESTS, "passed": True, "outcome": ""}]
    [code] = only(events, "code")
    assert code["code"] == RIGHT
    assert code["lines"] == [
        [" ", "def f(x):"], ["-", "    y = x + 2"], ["+", "    y = x + 1"], [" ", "    return y"]
    ]  # fmt: skip
    marks = {}
    for event in only(events, "marks"):
        marks |= event["marks"]
    assert (marks[1]["verdict"], marks[2]["verdict"]) == ("confirmed", "contradicted")


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("def f(x):\n    return x\n", "f(3) returns 3"),
        ("def f(x):\n    while True: pass\n", "f(3) does not end in time"),
        ("def f(x:\n", "invalid syntax"),
    ],
)
def test_a_patch_that_fails_is_told_so(sandbox, code, outcome):
    events = collected(
        repair(RepairRequest(BUGGY, TESTS), ScriptedAuthor(repair=answer(code)), sandbox)
    )
    [result] = only(events, "tests")[-1]["results"]
    assert not result["passed"] and (outcome in result["outcome"] or "syntax" in result["outcome"])


@pytest.mark.parametrize(
    ("author", "program", "message"),
    [
        (ScriptedAuthor(repair="no idea"), BUGGY, "no repaired program"),
        (ScriptedAuthor(repair="[Refined]\ndef f(x):", cut=True), BUGGY, "no repaired program"),
        (ScriptedAuthor(), RIGHT, "all tests pass"),
    ],
)
def test_what_cannot_be_repaired_is_one_line(sandbox, author, program, message):
    with pytest.raises(DemoError, match=message):
        collected(repair(RepairRequest(program, TESTS), author, sandbox))


# The last program is not ended by its tests: its changes include endless ones.
FAULTY = [
    (examples.BUGGY, examples.BUGGY_TESTS),
    (BUGGY, TESTS),
    ("def f(a, b):\n    return a if a < b else b\n", "assert f(1, 2) == 2\nassert f(4, 3) == 4"),
    (
        "def f(n):\n    total = 0\n    while n >= 0:\n        total += n\n        n -= 2\n"
        "    return total\n",
        "assert f(4) == 10\nassert f(1) == 1",
    ),
]


@pytest.mark.parametrize(("program", "tests"), FAULTY, ids=range(len(FAULTY)))
def test_without_a_model_a_small_change_is_found_and_explained(sandbox, program, tests):
    assert not passes(program, tests)
    events = collected(repair(RepairRequest(program, tests), Narrator(sandbox), sandbox))
    [code] = only(events, "code")
    assert passes(code["code"], tests)
    assert all(result["passed"] for result in only(events, "tests")[-1]["results"])
    marks = {}
    for event in only(events, "marks"):
        marks |= event["marks"]
    assert "contradicted" not in {mark["verdict"] for mark in marks.values() if mark}


def test_a_fault_that_no_small_change_mends_is_one_line(sandbox):
    request = RepairRequest("def f(x):\n    return x\n", "assert f(3) == 'three'")
    with pytest.raises(DemoError, match=r"none of \d+ small changes passes all tests"):
        collected(repair(request, Narrator(sandbox), sandbox))


def test_a_program_that_does_not_parse_is_one_line(sandbox):
    with pytest.raises(DemoError, match="not Python"):
        collected(repair(RepairRequest("def f(:", TESTS), Narrator(sandbox), sandbox))


def test_written_code_is_cut_out_and_tested(sandbox):
    text = f"\n{RIGHT}\nprint(f(3))\n"
    request = CodeRequest("Add one.", f"{TESTS}\nassert f(0) == 2")
    events = collected(write_code(request, ScriptedAuthor(code=text), sandbox))
    [code] = only(events, "code")
    assert passes(code["code"], TESTS) and "print" not in code["code"]
    [tests] = only(events, "tests")
    assert [result["passed"] for result in tests["results"]] == [True, False]
    assert tests["results"][1]["outcome"] == "f(0) returns 1"
    assert "".join(event["text"] for event in only(events, "text")) == "```python" + text


def test_without_a_model_no_code_is_written_but_tests_run(sandbox):
    with pytest.raises(DemoError, match="only a model writes code"):
        collected(write_code(CodeRequest("Add one.", TESTS), Narrator(sandbox), sandbox))
    [event] = collected(run_tests(TestRequest(RIGHT, TESTS), sandbox))
    assert event["results"] == [{"test": TESTS, "passed": True, "outcome": ""}]


def test_a_difference_of_programs_by_hand():
    assert diff_lines("a\nb\n", "a\nc\nb") == [[" ", "a"], ["+", "c"], [" ", "b"]]
