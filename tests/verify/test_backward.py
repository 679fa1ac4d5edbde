"""Tests that errors planted in backward monologues are found, and other witnesses are accepted."""

import ast
import itertools
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
_VALUE = re.compile(
    r"""(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<truth>\bTrue\b|\bFalse\b|\bNone\b)"""
    r"""|(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]))"""
)
_TRUTHS = {
    f"{verb} to be {truth}": f"{verb} to be {other}"
    for verb in ("has", "needs")
    for truth, other in (("true", "false"), ("false", "true"))
}
_CHECK = re.compile(r"- (?:Checking|Running) `.*` (?:forwards )?gives ")
_TRUTHS |= {"must be true": "must be false", "must be false": "must be true"}


def other_value(match, rng):
    """A value of the same kind that is not equal to the one matched."""
    if match["text"]:
        return match[0][:-1] + rng.choice("qz7") + match[0][-1]
    if match["truth"]:
        return {"True": "False", "False": "True", "None": "0"}[match[0]]
    if "." in match[0]:
        return repr(float(match[0]) + rng.choice([-1, 1, 2]))
    return str(int(match[0]) + rng.choice([-1, 1, 2]))


def planted_backward(told, trace, rng):
    """(kind, line, monologue) with one value, test or answer changed: one of each kind.

    Only in the deduction before the check, the conclusion and the answer: a value of the check may
    be true of another turn.
    """
    lines = told.split("\n")
    start, end = lines.index("### Reverse Deduction"), lines.index("### Conclusion")
    check = next((n for n, line in enumerate(lines) if _CHECK.match(line)), end)
    places = {}
    for number, line in enumerate(lines):
        is_answer = line.startswith("assert ")
        if not (start < number <= check or end < number):
            continue
        code = re.sub(r"`[^`]*`", lambda m: "~" * len(m[0]), line)
        kind = "answer" if is_answer else "result" if number > end else "must"
        for match in _VALUE.finditer(code, line.rindex(" == ") if is_answer else 0):
            places.setdefault(kind, []).append((number, *match.span(), other_value(match, rng)))
        for match in re.finditer("|".join(_TRUTHS), code):
            places.setdefault("branch", []).append((number, *match.span(), _TRUTHS[match[0]]))
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


def holds_a_value(trace):
    """Whether the output holds a number, a text or a truth value that can be told wrongly."""
    known = trace.result and ast.walk(ast.parse(trace.result, mode="eval"))
    return any(isinstance(node, ast.Constant) for node in known or ())


def check_caught(traces, seed):
    traces = list(traces)
    made, caught, missed = count_caught_backward(traces, seed)
    assert made["answer"] >= 0.9 * sum(map(holds_a_value, traces)), made
    assert caught["must"] >= 0.7 * made["must"], (caught, made)  # "we can take" leaves a choice
    assert made["result"] >= 0.75 * made["answer"]  # the ending may name the call alone
    for kind in ("answer", "result"):
        assert caught[kind] >= 0.99 * made[kind], (kind, caught, made, missed)


def test_planted_errors_of_cruxeval(shared_data):
    check_caught(itertools.islice(cruxeval_traces(shared_data, count=160), 0, None, 3), 1)


@pytest.mark.slow
def test_planted_errors_of_more_of_cruxeval(shared_data):
    check_caught(itertools.islice(cruxeval_traces(shared_data), 1, None, 5), 2)
