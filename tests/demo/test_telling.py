"""Tests that a monologue is marked while it comes, by verdicts that were worked out by hand."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_pipeline.verify import verify_trace
from semcoder_jax.demo import telling
from semcoder_jax.demo.authors import Narrator
from semcoder_jax.demo.requests import DemoError, TellRequest
from semcoder_jax.demo.runs import trace_call
from semcoder_jax.demo.telling import Marker, tell
from tests.support.demo_server import ScriptedAuthor

PROGRAM = "def f(x):\n    y = x + 1\n    z = y * 2\n    return z\n"
# f(3): y is 4, z is 8.
WORDS = """\
1. [L6] y becomes 4.
2. [L7] z becomes 9.
3. [L8] It returns 8.
[/MONOLOGUE]

[ANSWER]
assert f(3) == 8
[/ANSWER]
"""
# Line 1 of the text is its opening, [MONOLOGUE].
VERDICTS = {2: "confirmed", 3: "contradicted", 4: "confirmed", 8: "confirmed"}


@pytest.fixture(autouse=True)
def at_every_line(monkeypatch):
    """However slow the machine, each complete line is looked at."""
    monkeypatch.setattr(telling, "REST", 0)


def events_of(author, sandbox, **fields) -> list[dict]:
    async def collect():
        request = TellRequest(**{"program": PROGRAM, "call": "f(3)", **fields})
        return [event async for event in tell(request, author, sandbox)]

    return asyncio.run(collect())


def marks_of(events) -> dict:
    marks = {}
    for event in events:
        if event["event"] == "marks":
            marks |= event["marks"]
    return {line: mark for line, mark in marks.items() if mark is not None}


def test_each_line_is_marked_as_it_comes(sandbox):
    events = events_of(ScriptedAuthor(WORDS), sandbox)
    marks = marks_of(events)
    assert {line: mark["verdict"] for line, mark in marks.items()} == VERDICTS
    [[claim, truth]] = marks[3]["wrong"]
    assert "9" in claim and "8" in truth and marks[3]["labels"] == ["7"]
    # The wrong line is marked before the third one has come.
    text, seen = "", None
    for event in events:
        text += event.get("text", "")
        if event["event"] == "marks" and 3 in event["marks"]:
            seen = seen or text
    assert "[L7]" in seen and "It returns" not in seen
    end = events[-1]
    assert (end["answer"], end["right"]) == ("f(3) == 8", True)
    assert end["counts"] == {"confirmed": 3, "contradicted": 1}


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("assert f(3) == 8", True),
        ("assert f( 3 ) == 8", True),
        ("assert f(3) == 9", False),
        ("assert f(3) == 8.0", False),
        ("assert f(2) == 6", False),  # true, but of another call
        ("eight", None),
    ],
)
def test_the_answer_is_compared_with_the_run(sandbox, answer, right):
    text = f"1. [L6] y becomes 4.\n[/MONOLOGUE]\n\n[ANSWER]\n{answer}\n[/ANSWER]"
    assert events_of(ScriptedAuthor(text), sandbox)[-1]["right"] is right


@pytest.fixture(scope="module")
def trace(sandbox):
    return trace_call(sandbox, PROGRAM, "f(3)").trace


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_marks_do_not_depend_on_the_portions(trace, data):
    """Whatever portions a text comes in, it ends with the marks of the whole text."""
    from semcoder_jax.demo.authors import Portion

    text, portions = WORDS, []
    while text:
        size = data.draw(st.integers(1, 40))
        portions.append(Portion(text[:size]))
        text = text[size:]

    async def follow(marker):
        async def given_portions():
            for portion in portions:
                yield portion

        return [event async for event in marker.follow(given_portions())]

    marker = Marker(lambda text: verify_trace(trace, text), PROGRAM)
    events = asyncio.run(follow(marker))
    assert "".join(event.get("text", "") for event in events) == WORDS
    assert {n - 1: v for n, v in VERDICTS.items()} == {
        line: mark["verdict"] for line, mark in marks_of(events).items()
    }


def test_own_words_may_count_lines_as_files_do(sandbox):
    words = "1. [L2] y becomes 4.\n2. [L3] z becomes 9.\n3. [L4] It returns 8."
    marks = marks_of(events_of(ScriptedAuthor(), sandbox, words=words))
    assert [mark["labels"] for _, mark in sorted(marks.items())] == [["6"], ["7"], ["8"]]
    assert [mark["verdict"] for _, mark in sorted(marks.items())] == [
        "confirmed", "contradicted", "confirmed"
    ]  # fmt: skip


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_narrator_is_confirmed_by_the_verifier(sandbox, direction):
    events = events_of(Narrator(sandbox), sandbox, direction=direction)
    verdicts = {mark["verdict"] for mark in marks_of(events).values()}
    assert "confirmed" in verdicts and "contradicted" not in verdicts
    assert events[-1]["right"] is True


def test_the_narrator_says_in_a_line_what_it_cannot_tell(sandbox):
    with pytest.raises(DemoError, match="the narrator cannot tell this run: the call raised"):
        events_of(Narrator(sandbox), sandbox, program="def f(x): return 1 / 0")


@pytest.mark.parametrize("body", ["1 / 0", "object()"])
def test_backward_needs_an_output(sandbox, body):
    with pytest.raises(DemoError, match="no output to reason back from"):
        events_of(
            ScriptedAuthor(), sandbox, program=f"def f(x): return {body}", direction="backward"
        )


SQUARE = "def f(x):\n    return x * x\n"


@pytest.mark.parametrize(
    ("answer", "right"), [("f(-2) == 4", True), ("f(2) == 4", True), ("f(3) == 4", False)]
)
def test_a_backward_answer_is_run(sandbox, answer, right):
    text = (
        f"### Reverse Deduction\nx is chosen.\n[/MONOLOGUE]\n\n[ANSWER]\nassert {answer}\n[/ANSWER]"
    )
    events = events_of(
        ScriptedAuthor(text), sandbox, program=SQUARE, call="f(-2)", direction="backward"
    )
    runs = [event["call"] for event in events if event["event"] == "run"]
    assert events[-1]["right"] is right
    assert runs == ["f(-2)"] if answer.startswith("f(-2)") else ["f(-2)", answer.split(" ==")[0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "names no input"),
        ("[ANSWER]\nassert g(1) == 4\n[/ANSWER]", "calls another function"),
        ("[ANSWER]\nassert f(y) == 4\n[/ANSWER]", "not a literal"),
    ],
)
def test_a_backward_answer_that_cannot_be_run_is_a_line(sandbox, text, message):
    with pytest.raises(DemoError, match=message):
        events_of(ScriptedAuthor(text), sandbox, program=SQUARE, call="f(-2)", direction="backward")
