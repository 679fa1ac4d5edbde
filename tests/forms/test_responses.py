"""Tests the responses of each form against texts written by hand and runs under our own tracer."""

import random
import re
from itertools import islice

import pytest

from data_pipeline.forms import FORMS, REAL_FORMS, NarrationError
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.toy.levels import LEVELS, draw_run
from data_pipeline.tracing import trace_call
from semcoder_jax.evaluation.benchmarks.heldout import extract_answer

PROGRAM = """\
def f(a, b):
    c = a + 3
    if c > 5:
        c = c - b
    for i in range(2):
        c = c + i
    return c"""
CALL, OUTPUT = "f(a=4, b=2)", "6"
ANSWER = "assert f(a=4, b=2) == 6\n[/ANSWER]"
SCRATCHPAD = f"""\
def f(a, b): # [INPUT] {{"a": 4, "b": 2}} [/INPUT]
    c = a + 3 # [STATE-0] {{"c": 7}} [/STATE-0]
    if c > 5:
        c = c - b # [STATE-1] {{"c": 5}} [/STATE-1]
    for i in range(2): # [STATE-2] {{"i": 0}} [/STATE-2][STATE-3] {{"i": 1}} [/STATE-3]
        c = c + i # [STATE-4] {{"c": 6}} [/STATE-4]
    return c # [OUTPUT] 6 [/OUTPUT]
[/SCRATCHPAD]

[ANSWER]
{ANSWER}"""
NEXT_TRACE = f"""\
def f(a, b):  # (0) a=4; b=2;
    c = a + 3  # (1) c=7;
    if c > 5:
        c = c - b  # (2) c=5;
    for i in range(2):  # (3) i=0; (4) i=1;
        c = c + i  # (5) c=6;
    return c  # (6) return 6;
[/TRACE]

[ANSWER]
{ANSWER}"""
BACKWARD_STEPS = """\
1. return c is 6, so c=6.
2. iteration 2 of range(2) gives i=1.
3. c=6 is c + i=1, so c=5.
4. iteration 1 of range(2) gives i=0.
5. c=5 is c + i=0, so c=5.
6. one way is that c > 5 is True.
7. c=5 is c - b: one way is c=7, b=2.
8. c=7 > 5 is True.
9. c=7 is a + 3, so a=4.
"""
LOOP = """\
def f(n):
    for i in range(5):
        n = n + 2
    return n"""


def _runs(level):
    rng = random.Random(3)
    drawn = (draw_run(LEVELS[level], rng) for _ in range(10_000))
    return list(islice((run for run in drawn if run), 25))


RUNS = {level: _runs(level) for level in LEVELS}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


# ---- texts by hand


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("direct", ANSWER),
        ("backward_direct", ANSWER),
        ("scratchpad", SCRATCHPAD),
        ("next_trace", NEXT_TRACE),
    ],
)
def test_the_response_is_the_text_written_by_hand(name, text):
    assert FORMS[name].response(trace_call(PROGRAM, CALL)) == text


def test_the_backward_steps_are_those_written_by_hand():
    response = FORMS["backward_monologue"].response(trace_call(PROGRAM, CALL))
    assert f"### Reverse Deduction\n{BACKWARD_STEPS}\n### Conclusion\n" in response
    assert "\nOne such input is a=4, b=2.\n[/MONOLOGUE]\n\n[ANSWER]\n" in response


def test_of_many_states_the_first_two_and_the_last_stay():
    trace = trace_call(LOOP, "f(n=1)")
    lines = FORMS["next_trace"].response(trace).split("\n")
    assert lines[1] == "    for i in range(5):  # (1) i=0; (3) i=1; ... (9) i=4;"
    assert lines[2] == "        n = n + 2  # (2) n=3; (4) n=5; ... (10) n=11;"
    assert "[/STATE-2] ... [STATE-8]" in FORMS["scratchpad"].response(trace)


@pytest.mark.parametrize(
    ("name", "opening"),
    [
        ("direct", "[ANSWER]"),
        ("scratchpad", "[SCRATCHPAD]"),
        ("next_trace", "[TRACE]"),
        ("monologue", "[MONOLOGUE]"),
        ("backward_direct", "[ANSWER]"),
        ("backward_monologue", "[MONOLOGUE]"),
    ],
)
def test_questions_differ_in_the_opening_tag_alone(name, opening):
    program = "def f(a):\n    return a"
    asked = {
        "forward": "def f(a): # [L5]\n    return a # [L6]\nassert f(a=1) == ??",
        "backward": "def f(a):\n    return a\nassert f(??) == 1",
    }[FORMS[name].task]
    field = FORMS[name].prompt_field(program, "f(a=1)", "1")
    assert field == f"[PYTHON]\n{asked}\n[/PYTHON]\n{opening}"


def test_records_hold_question_and_response(form):
    record = form.record("x", trace_call(PROGRAM, CALL))
    assert record.kind == ("bwd_mnl" if form.name.startswith("backward") else "fwd_mnl")
    assert training_prompt(record).endswith(f"[/PYTHON]\n{form.opening}\n")
    assert ("??" in record.prompt_field) and (CALL in record.prompt_field) == (
        form.task == "forward"
    )


# ---- ceiling and floor


@pytest.mark.parametrize("level", LEVELS)
def test_one_parser_finds_the_right_answer_in_every_form(form, level):
    for run in RUNS[level]:
        scope = {}
        exec(run.program, scope)
        text = f"{form.opening}\n{form.response(run)}"
        assert extract_answer(text, finished=True) == repr(eval(run.call, scope))


@pytest.mark.parametrize("level", LEVELS)
def test_readers_confirm_every_step_of_a_true_response(form, level):
    judged = 0
    for run in RUNS[level]:
        response = form.response(run)
        claims = form.read(run, response)
        assert {claim.verdict for claim in claims} == {"confirmed"}, response
        assert claims[-1].kind == "answer"
        assert form.count_steps(run, response).contradicted == 0
        judged += form.count_steps(run, response).judged
    assert (judged == 0) == (form.opening == "[ANSWER]")


def test_readers_contradict_a_response_about_another_run(form):
    one, other = trace_call(PROGRAM, CALL), trace_call(PROGRAM, "f(a=1, b=7)")
    response = form.response(one)
    claims = form.read(other, response)
    assert claims[-1].verdict == "contradicted"
    if form.opening != "[ANSWER]":
        assert form.count_steps(other, response).contradicted > 0


def test_readers_contradict_every_single_changed_number():
    """Alters one number of the reasoning at a time; only step numbers may be anything."""
    run = trace_call(PROGRAM, CALL)
    for name in ("scratchpad", "next_trace", "monologue", "backward_monologue"):
        response = FORMS[name].response(run)
        for match in re.finditer(r"(?<!\w)\d+(?!\d|\. )", response):
            if "[ANSWER]" in response[: match.start()]:
                break
            changed = f"{response[: match.start()]}{int(match[0]) + 1}{response[match.end() :]}"
            verdicts = {claim.verdict for claim in FORMS[name].read(run, changed)}
            assert "contradicted" in verdicts, changed[max(0, match.start() - 30) :][:60]


@pytest.mark.parametrize("text", ["", "7", "assert", "[ANSWER]\n7\n[/ANSWER]", "1. x.\n" * 3])
def test_readers_take_any_text(form, text):
    claims = form.read(trace_call(PROGRAM, CALL), text)
    assert not any(claim.verdict == "confirmed" for claim in claims)


@pytest.mark.parametrize(
    ("program", "call"),
    [
        ("def f(a):\n    return 1 // a", "f(a=0)"),
        ("def f(a):\n    a.append(a[0])\n    return a", "f(a=[1] * 1)"),
    ],
)
def test_what_a_form_cannot_tell_is_refused(program, call):
    with pytest.raises(NarrationError):
        FORMS["backward_monologue"].response(trace_call(program, call.replace("[1] * 1", "[1]")))


def test_real_functions_are_told_by_the_builders_narrators():
    program = "def g(x):\n    return x * 2\n\ndef f(xs):\n    return [g(x) for x in xs if x]"
    run = trace_call(program, "f([1, 0, 3])")
    for form in REAL_FORMS.values():
        response = form.response(run)
        assert response.endswith("assert f([1, 0, 3]) == [2, 6]\n[/ANSWER]")
        assert all(claim.verdict != "contradicted" for claim in form.read(run, response))
