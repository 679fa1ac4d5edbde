"""Tests the verifier on whole monologues judged by hand: it finds exactly the errors."""

import pytest

from data_pipeline.tracing import trace_call
from data_pipeline.verify import CONTRADICTED, verify_trace
from tests.support.free_monologues import MONOLOGUES, PROGRAMS


@pytest.mark.parametrize("number", range(len(MONOLOGUES)))
def test_whole_monologue_is_judged_as_by_hand(number):
    name, told = MONOLOGUES[number]
    lines = [line.partition(" !! ") for line in told.split("\n")]
    text = "### Execution Simulation\n" + "\n".join(line for line, _, _ in lines)
    expected = {at: truth for at, (_, mark, truth) in enumerate(lines, 2) if mark}
    found: dict[int, list[str]] = {}
    for claim in verify_trace(trace_call(*PROGRAMS[name]), text):
        if claim.verdict == CONTRADICTED:
            found.setdefault(claim.line, []).append(f"{claim.text}: {claim.truth}")
    missed = [text.split("\n")[at - 1] for at in expected if at not in found]
    wrong = {text.split("\n")[at - 1]: said for at, said in found.items() if at not in expected}
    assert not missed and not wrong, (missed, wrong)
    for at, truth in expected.items():
        assert any(truth in said.partition(": ")[2] or truth in said for said in found[at]), found
