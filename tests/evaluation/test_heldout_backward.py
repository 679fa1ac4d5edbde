"""Tests held-out functions asked backward: any input counts if a run confirms it."""

import json

import pytest

from data_pipeline.execution.service import Sandbox, SandboxUnavailable
from semcoder_jax.evaluation.benchmarks.data import DataError
from semcoder_jax.evaluation.benchmarks.heldout_backward import HeldoutBackward, read_problems
from semcoder_jax.evaluation.harness import Response

ROW = {
    "id": "p0",
    "program": "def g(a, s):\n    return s * (a % 3)\n",
    "call": "g(a=2, s='x')",
    "output": "'xx'",
}


@pytest.fixture
def benchmark(tmp_path):
    file = tmp_path / "problems.jsonl"
    file.write_text(json.dumps(ROW) + "\n")
    return HeldoutBackward(read_problems(file))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("assert g(a=2, s='x') == 'xx'", "right"),
        ("assert g(5, 'x') == 'xx'", "right"),  # another input than the row's own
        ("assert g(1, 'xx') == 'yy'", "right"),  # it was asked for the input
        ("g(1, s='xx')", "right"),
        ("assert g(1, 'x') == 'xx'", "wrong"),
        ("assert g(2, ['x']) == 'xx'", "wrong"),
        ("assert g(1, type('s', (str,), {'__eq__': lambda *a: True})()) == 'xx'", "malformed"),
        ("assert g(1, 'x') == 'xx' or True", "malformed"),
        ("assert 'xx' == 'xx'", "malformed"),
        ("assert g() == 'xx'", "malformed"),
        ("assert g(None, 'x') == 'xx'", "exception"),
        ("", "no answer"),
        (None, "missing"),
    ],
)
def test_inputs_are_judged_by_their_run(benchmark, answer, outcome):
    text = None if answer is None else f"{answer}\n"
    said = Response("p0", 0, "direct", "fixed", text, "stop")
    try:
        with Sandbox(workers=1) as sandbox:
            (judged,) = benchmark.judge([said], sandbox)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    assert judged.outcome == outcome


def test_the_prompt_holds_the_output_and_not_the_input(benchmark):
    for variant, opened in (("monologue", "[MONOLOGUE]\n"), ("direct", "[ANSWER]\n")):
        prompt = benchmark.prompt("p0", variant, "fixed")
        assert "assert g(??) == 'xx'" in prompt and prompt.endswith(opened)
        assert "a=2" not in prompt


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"call": "g(x)"}, "field 'call'"),
        ({"output": "g"}, "field 'output'"),
        ({"program": 3}, "field 'program'"),
    ],
)
def test_bad_rows_are_named(tmp_path, change, told):
    file = tmp_path / "problems.jsonl"
    file.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "id": "p1", **change}) + "\n")
    with pytest.raises(DataError, match=rf"problems\.jsonl:2: {told}"):
        read_problems(file)
