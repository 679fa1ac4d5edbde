"""Tests that the free reader contradicts no true monologue of the small family."""

import random

from data_pipeline.monologue.inline import NarrationError, inline_monologue
from data_pipeline.toy.corpus import random_program
from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify import CONFIRMED, CONTRADICTED
from data_pipeline.verify.prose import free_claims


def test_two_hundred_true_monologues_read_freely():
    rng = random.Random(0)
    told = claims = confirmed = 0
    wrong = []
    while told < 200:
        program = random_program(rng)
        trace = trace_call(program.code, program.call)
        if trace.raised is not None or trace.truncated is not None:
            continue
        try:
            text = inline_monologue(trace)
        except NarrationError:
            continue
        told += 1
        for claim in free_claims(Replay(trace), text):
            claims += claim.kind != "unread"
            confirmed += claim.verdict == CONFIRMED
            if claim.verdict == CONTRADICTED:
                wrong.append((text.split("\n")[claim.line - 1], claim))
    assert not wrong, wrong[:5]
    assert claims > 3000 and confirmed > 0.95 * claims
