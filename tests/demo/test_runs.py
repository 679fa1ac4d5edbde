"""Tests that every mistake of a user is one line, and that steps of a run are shown as they are."""

import json
import time

import pytest

from semcoder_jax.demo.requests import (
    CodeRequest,
    DemoError,
    RepairRequest,
    TellRequest,
    read_request,
)
from semcoder_jax.demo.runs import MAX_PRINTED, MAX_STEPS, run_event, trace_call

PROGRAM = "def f(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\n"


@pytest.mark.parametrize(
    ("program", "call", "message"),
    [
        ("def f(:\n    pass", "f(1)", "syntax"),
        ("def f(x): return x", "f(1", "not a Python expression"),
        ("def f(x): return x", "g(1)", "defines no 'g'"),
        ("def f(x): return x", "f(open('a'))", "not a literal"),
        ("def f(x): return x", "f()", "missing a required argument"),
        ("import os\ndef f(): os._exit(0)", "f()", "ended its own process"),
        ("raise SystemExit(3)", "f()", "the run raises SystemExit: 3"),
    ],
)
def test_what_cannot_be_run_is_one_line(sandbox, program, call, message):
    with pytest.raises(DemoError) as caught:
        trace_call(sandbox, program, call)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_endless_loop_shows_its_first_steps_and_ends_soon(sandbox):
    began = time.monotonic()
    run = trace_call(sandbox, "def f(n):\n    while True:\n        n += 1\n", "f(3)")
    assert time.monotonic() - began < 8
    shown = run_event(run)
    assert "10,000 steps: does the program end?" in run.stopped == shown["outcome"]
    assert shown["returned"] is False
    assert [dict(step["changed"]) for step in shown["steps"][:5]] == [
        {"n": "3"}, {}, {"n": "4"}, {}, {"n": "5"}
    ]  # fmt: skip


def test_a_run_that_fills_memory_is_ended(sandbox):
    run = trace_call(sandbox, "def f():\n    return 'x' * (1 << 30)", "f()")
    assert run.stopped == "stopped: the run needs more than 256 MiB"


def test_a_loop_without_steps_is_ended(sandbox):
    with pytest.raises(DemoError, match=r"stopped after 1 s of computing: does the program end\?"):
        trace_call(sandbox, "def f(): return sum(iter(int, 1))", "f()")


def test_a_huge_output_is_a_line_or_cut(sandbox):
    with pytest.raises(DemoError, match="prints more than 64 KiB"):
        trace_call(sandbox, "def f():\n    print('x' * 1_000_000)", "f()")
    run = trace_call(sandbox, "def f():\n    print('y' * 5000)", "f()")
    printed = run_event(run)["printed"]
    assert printed.startswith("y" * MAX_PRINTED + "…") and len(printed) < MAX_PRINTED + 40


def test_steps_are_those_of_the_run(sandbox):
    shown = run_event(trace_call(sandbox, PROGRAM, "f(2)"))
    assert [(step["kind"], step["label"]) for step in shown["steps"]] == [
        ("call", 5), ("line", 6), ("line", 7), ("line", 8), ("line", 7), ("line", 8), ("line", 7),
        ("line", 9), ("return", 9),
    ]  # fmt: skip
    assert [step["changed"] for step in shown["steps"][1:6]] == [
        [["total", "0"]], [["i", "0"]], [], [["i", "1"]], [["total", "1"]]
    ]  # fmt: skip
    assert [step["branch"] for step in shown["steps"] if step["label"] == 7] == [True, True, False]
    assert shown["outcome"] == "returns 1" and shown["omitted"] is None


def test_of_a_long_run_the_ends_are_shown(sandbox):
    run = trace_call(sandbox, PROGRAM, "f(1000)")
    shown = run_event(run)
    assert len(shown["steps"]) == MAX_STEPS
    assert shown["omitted"] == {"after": 300, "count": len(run.trace.events) - MAX_STEPS}
    assert shown["steps"][-1]["value"] == "499500"


def test_long_values_are_cut(sandbox):
    shown = run_event(trace_call(sandbox, "def f(): return 'a' * 900", "f()"))
    assert "more characters" in shown["outcome"] and len(json.dumps(shown)) < 2000


@pytest.mark.parametrize(
    ("record", "body", "message"),
    [
        (TellRequest, b"[", "not JSON"),
        (TellRequest, b"[" * 100_000, "not JSON"),
        (TellRequest, b"[]", "expected an object with program, call, direction, words"),
        (TellRequest, b'{"program": "x"}', "expected an object"),
        (TellRequest, b'{"program": 3, "call": "f()"}', "program: expected text"),
        (TellRequest, b'{"program": "x", "call": " "}', "call: empty"),
        (TellRequest, b'{"program": "x", "call": "f()", "direction": "up"}', "direction: expected"),
        (TellRequest, b'{"program": "x", "call": "f()", "more": ""}', "expected an object"),
        (TellRequest, b'{"program": "%s", "call": "f()"}' % (b"x" * 20_001), "20,001 characters"),
        (CodeRequest, b'{"task": "t", "tests": "f(3) == 4"}', "expected assert f(3) == 4; got"),
        (CodeRequest, b'{"task": "t", "tests": "# none"}', "0 assertions"),
        (RepairRequest, b'{"program": "x", "tests": "assert f("}', "tests: expected"),
    ],
)
def test_a_malformed_request_is_one_line(record, body, message):
    with pytest.raises(DemoError) as caught:
        read_request(record, body)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_request_is_read_with_pythons_newlines():
    body = json.dumps({"program": "def f():\r\n    return '\ud83d'", "call": "f()"}).encode()
    assert read_request(TellRequest, body).program == "def f():\n    return '\\ud83d'"
