"""Tests that errors planted in backward monologues are found, and other witnesses are accepted."""

import re

import pytest

from data_pipeline.commands.verify import main
from data_pipeline.monologue.backward import backward_monologue
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
_HELD = re.compile(r"`(\w+)` = ((?:'[^']*'|\"[^\"]*\"|[^`])*?)(?=, `|,? and `|\.$)")


def planted_backward(told, trace, rng):
    """(kind, line, monologue) with one value, count, branch or answer changed: one of each kind."""
    lines = told.split("\n")
    start, end = lines.index("### Reverse Deduction"), lines.index("### Conclusion")
    places = {}
    for number, line in enumerate(lines[start + 1 :], start + 1):
        is_answer = line.startswith("assert ")
        if not (line.startswith("- ") or is_answer or (number > end and "return" in line)):
            continue
        if "more lines fix" in line:
            continue
        blank = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", lambda m: "~" * len(m[0]), line)
        for match in _NUMBER.finditer(blank, line.rindex(" == ") if is_answer else 0):
            counts = blank[match.end() :].startswith(" times")
            kind = "count" if counts else "answer" if is_answer else "value"
            new = str(int(match[0]) + rng.choice([-1, 1, 2]))
            places.setdefault(kind, []).append((number, *match.span(), new))
        for match in re.finditer(r"has to hold|must not hold", blank):
            new = "must not hold" if match[0] == "has to hold" else "has to hold"
            places.setdefault("branch", []).append((number, *match.span(), new))
    for kind, known in places.items():
        number, first, last, new = rng.choice(known)
        broken = lines[number][:first] + new + lines[number][last:]
        at = lines[number].find(", as with ")
        is_state = kind == "value" and 0 <= at < first and " hold" in lines[number]
        if is_state and _was_so(trace, lines[number][at:], broken[at:]):
            continue  # the values of another turn, as true as these
        yield kind, broken, "\n".join([*lines[:number], broken, *lines[number + 1 :]])


def _was_so(trace, told, broken):
    """Whether the run was ever in the state that the broken line tells of."""
    wanted = dict(_HELD.findall(broken))
    assert wanted and wanted != dict(_HELD.findall(told))
    states = {}
    for event in trace.events:
        state = states.setdefault(event.frame, {})
        state.update(event.changed)
        if all(state.get(name) == text for name, text in wanted.items()):
            return True
    return False


def narrate_backward(trace, number):
    told = backward_monologue(trace, trace.call, seed=number)
    assert not is_contradicted(trace, told), (trace.program, told)
    return told


def count_caught_backward(traces, seed):
    return count_caught(traces, narrate_backward, planted_backward, seed)


def test_errors_of_each_kind_by_hand():
    trace = trace_call(PROGRAM, "f([1, 5, 7], 4)")  # total 0, 5, 12; returns 24; 3 turns
    told = backward_monologue(trace, trace.call)
    claims = verify_trace(trace, told)
    assert claims and not [claim for claim in claims if claim.verdict == CONTRADICTED]
    for right, wrong in (
        ("`total` = 12", "`total` = 13"),
        ("run 3 times", "run 4 times"),
        ("`limit` = 4.", "`limit` = 5."),
        ("== 24", "== 25"),
    ):
        assert right in told, told
        broken = told.replace(right, wrong, 1)
        assert any(c.verdict == CONTRADICTED for c in verify_trace(trace, broken)), wrong
    branch = re.sub(r"(`x > limit`) has to hold", r"\1 must not hold", told)
    assert branch != told
    assert any(c.verdict == CONTRADICTED for c in verify_trace(trace, branch))


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


def test_planted_errors_of_cruxeval(shared_data):
    made, caught, missed = count_caught_backward(cruxeval_traces(shared_data, count=200), seed=1)
    assert made.total() > 200 and min(made.values()) > 20, made
    assert caught.total() >= 0.99 * made.total(), (caught, made, missed)


@pytest.mark.slow
def test_planted_errors_of_all_of_cruxeval(shared_data):
    made, caught, missed = count_caught_backward(cruxeval_traces(shared_data), seed=2)
    assert caught.total() >= 0.99 * made.total(), (caught, made, missed)
