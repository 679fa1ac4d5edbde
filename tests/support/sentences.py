"""Reads sentences about programs as the verifier reads descriptions."""

from collections.abc import Mapping

from data_pipeline.tracing import trace_call
from data_pipeline.tracing.replay import Replay
from data_pipeline.verify.claims import CONFIRMED
from data_pipeline.verify.descriptions import read_description


def replay_all(programs: Mapping[str, tuple[str, str]]) -> dict[str, Replay]:
    """Runs programs, given by name with their call."""
    return {name: Replay(trace_call(*source)) for name, source in programs.items()}


def verdicts(run: Replay, sentence: str) -> set[str]:
    """Returns the verdicts of a sentence's claims, and "unread" if it has more than they say."""
    found = read_description(run, sentence)
    return {claim.verdict for claim in found.claims} | ({"unread"} if found.unread else set())


def is_confirmed(run: Replay, sentence: str) -> bool:
    """Returns whether all of a sentence is confirmed."""
    return verdicts(run, sentence) == {CONFIRMED}
