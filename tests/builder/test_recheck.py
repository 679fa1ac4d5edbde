"""Tests that `recheck` refutes rows whose trace differs from what another recorder saw."""

import dataclasses

import pytest

from data_pipeline.builder.recheck import Recheck, faults_of_told_runs, summary
from data_pipeline.execution import service
from data_pipeline.execution.service import Sandbox
from data_pipeline.monologue.forward import forward_monologue
from data_pipeline.pyx.prompts import backward_field, forward_field, refine_field
from data_pipeline.pyx.records import RefineRecord, make_record
from data_pipeline.tracing import trace_call

CODE = """\
def f(xs):
    total = 0
    for x in xs: total += x
    seen = []; [seen.append(x) for x in xs if x > 1]
    return total, seen"""
CALL, OUTPUT = "f([1, 2, 3])", "(6, [2, 3])"


def answer(call: str = CALL, output: str = OUTPUT) -> str:
    return f"[/MONOLOGUE]\n\n[ANSWER]\nassert {call} == {output}\n[/ANSWER]"


def rows():
    field = forward_field(CODE, CALL)
    fault = CODE.replace("x > 1", "x > 2")
    repair = refine_field("Add.", fault, f"assert {CALL} == {OUTPUT}\n# got (6, [3])")
    return [
        make_record("fwd_mnl_1_ipt1", "fwd_mnl", field, answer()),
        make_record(
            "bwd_mnl_1_ipt1", "bwd_mnl", backward_field(CODE, OUTPUT, function="f"), answer()
        ),
        RefineRecord("fault_1", repair, f"It.\n\n[Refined]\n```python\n{CODE}\n```\n[/Refined]"),
    ]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as opened:
        yield opened


def test_traces_of_all_rows_that_tell_of_runs_are_compared(sandbox):
    found = Recheck()
    assert faults_of_told_runs(rows(), sandbox, found) == {}
    assert found.traces == {"equal": 4}  # two of them of the repair: before and after
    assert "4 equal" in summary(found)


def test_a_row_with_one_false_value_is_refuted(sandbox):
    code = "def f(n):\n    total = n + 1\n    double = total * 2\n    return double"
    told = forward_monologue(trace_call(code, "f(3)"))
    field = forward_field(code, "f(3)")
    record = make_record("fwd_1", "fwd_mnl", field, told)
    assert faults_of_told_runs([record], sandbox, Recheck()) == {}
    record = make_record("fwd_1", "fwd_mnl", field, told.replace("4", "5"))  # `total` is 4
    wrong = faults_of_told_runs([record], sandbox, Recheck())
    assert "5" in wrong["fwd_1"] and "4" in wrong["fwd_1"]


def test_a_fault_of_the_tracer_is_named_with_row_and_line(sandbox, monkeypatch):
    """A tracer that loses what a comprehension changes, as Python 3.11's did."""
    read = service.trace_from_json

    def lose(data, program):
        trace = read(data, program)
        events = [
            dataclasses.replace(e, changed={}) if e.line == 4 and e.part == 1 else e
            for e in trace.events
        ]
        return dataclasses.replace(trace, events=tuple(events))

    monkeypatch.setattr(service, "trace_from_json", lose)
    found = Recheck()
    wrong = faults_of_told_runs(rows(), sandbox, found)
    assert set(wrong) == {"fwd_mnl_1_ipt1", "bwd_mnl_1_ipt1", "fault_1"}
    assert found.traces == {"different": 4}
    for why in wrong.values():
        assert why.startswith(CALL) and "\n" not in why
        assert "the tracer is wrong: line 4:" in why and "`seen` is [2, 3]" in why


def test_a_program_that_changes_its_second_record_is_told(sandbox):
    code = "def f(x):\n    __second_recorder__.records.append(['no'])\n    return x"
    field = forward_field(code, "f(1)")
    text = answer("f(1)", "1")
    found = Recheck()
    faults_of_told_runs([make_record("fwd_mnl_2_ipt1", "fwd_mnl", field, text)], sandbox, found)
    assert not found.traces["equal"]
