"""Tests that errors planted in backward monologues are found, and other witnesses are accepted."""

import re

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.monologue.backward import NarrationError, backward_monologue
from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONTRADICTED, NOT_CHECKABLE, verify_trace
from tests.support.planting import count_caught, is_contradicted
from tests.support.traced_programs import cruxeval_traces

PROGRAM = """\
def f(xs, limit):
    total = 0
    for x in xs:
        if x > limit:
            total += x
    return total * 2
"""
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?![\w.])")
_TRUTHS = {"must be true": "must be false", "has to be true": "has to be false"}
_OPPOSITE = {**_TRUTHS, **{false: true for true, false in _TRUTHS.items()}}


def planted_backward(told, trace, rng):
    """(kind, line, monologue) with one number, test or answer changed: one of each kind.

    Only in the deduction before the check, the conclusion and the answer: a value of the check may
    be true of another turn.
    """
    lines = told.split("\n")
    start, end = lines.index("### Reverse Deduction"), lines.index("### Conclusion")
    places = {}
    for number, line in enumerate(lines[start + 1 :], start + 1):
        is_answer = line.startswith("assert ")
        if number < end and " forwards gives " in "\n".join(lines[start:number]):
            continue
        blank = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", lambda m: "~" * len(m[0]), line)
        for match in _NUMBER.finditer(blank, line.rindex(" == ") if is_answer else 0):
            kind = "answer" if is_answer else "result" if number > end else "must"
            new = str(int(match[0]) + rng.choice([-1, 1, 2]))
            places.setdefault(kind, []).append((number, *match.span(), new))
        for match in re.finditer("|".join(_OPPOSITE), blank):
            place = (number, *match.span(), _OPPOSITE[match[0]])
            places.setdefault("branch", []).append(place)
    for kind, known in places.items():
        number, first, last, new = rng.choice(known)
        broken = lines[number][:first] + new + lines[number][last:]
        yield kind, broken, "\n".join([*lines[:number], broken, *lines[number + 1 :]])


def narrate_backward(trace, number):
    told = backward_monologue(trace, trace.call, seed=number)
    if is_contradicted(trace, told):
        raise NarrationError("a sentence without a label is read as of another turn")
    return told


def count_caught_backward(traces, seed):
    return count_caught(traces, narrate_backward, planted_backward, seed)


def test_errors_of_each_kind_by_hand():
    trace = trace_call(PROGRAM, "f([1, 5, 7], 4)")  # total 0, 5, 12; returns 24; 3 turns
    told = backward_monologue(trace, trace.call)
    claims = verify_trace(trace, told)
    assert claims and not [claim for claim in claims if claim.verdict == CONTRADICTED]
    for right, wrong in (
        ("after 3 iterations", "after 4 iterations"),
        ("returns 24", "returns 25"),
        ("== 24", "== 25"),
    ):
        assert right in told, told
        broken = told.replace(right, wrong)
        assert any(c.verdict == CONTRADICTED for c in verify_trace(trace, broken)), wrong


def test_another_witness_is_not_checkable_in_this_run_and_is_run_where_it_is_asked(
    tmp_path, capsys
):
    other = backward_monologue(trace_call(PROGRAM, "f([12], 0)"), "f([12], 0)")
    claims = verify_trace(trace_call(PROGRAM, "f([1, 5, 7], 4)"), other)
    assert {claim.verdict for claim in claims} == {NOT_CHECKABLE}
    program, text = tmp_path / "program.py", tmp_path / "text.txt"
    program.write_text(PROGRAM)
    text.write_text(other)
    ask = [f"--program={program}", f"--monologue={text}"]
    assert main([*ask]) == 0  # in the sandbox
    text.write_text(other.replace("assert f([12], 0)", "assert f([13], 0)"))
    assert main([*ask]) == 1
    assert "f([13], 0) == 26" in capsys.readouterr().out


def check_caught(traces, seed, least):
    made, caught, missed = count_caught_backward(traces, seed)
    assert made.total() > least
    for kind in ("answer", "result"):
        assert caught[kind] >= 0.99 * made[kind], (kind, caught, made, missed)


def test_planted_errors_of_cruxeval(shared_data):
    check_caught(cruxeval_traces(shared_data, count=80), 1, 80)


@pytest.mark.slow
def test_planted_errors_of_all_of_cruxeval(shared_data):
    check_caught(cruxeval_traces(shared_data), 2, 900)
