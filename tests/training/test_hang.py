"""Tests when a process is taken for hung: by hand and with a clock of ours.

tests/launch/test_rehearsal.py has real processes.
"""

import threading

import jax
import pytest

from semcoder_jax.config import TrainConfig, parse_run
from semcoder_jax.training import hang
from semcoder_jax.training.hang import HangDetector, HangWatch, end_without_peers
from tests.support.tiny_run import tiny_config


def test_a_step_that_does_not_finish():
    detector = HangDetector(step_seconds=10, phase_seconds=100)
    detector.finish_step(1)
    assert [detector.tick(4), detector.tick(6)] == [None, None]
    assert detector.tick(1) == ("no step has finished for 10 s after step 1 (train.hang_timeout)")


def test_every_step_begins_anew():
    detector = HangDetector(10, 100)
    for step in range(1, 50):
        detector.finish_step(step)
        assert detector.tick(9) is None
    assert detector.longest_step == 9


def test_phases_have_their_own_bound_and_are_no_part_of_a_step():
    detector = HangDetector(10, 100)
    assert detector.tick(99) is None  # the start
    detector.finish_step(1)
    assert detector.tick(8) is None
    detector.enter_phase("evaluation")
    assert detector.tick(99) is None
    detector.enter_phase(None)
    assert detector.tick(99) is None  # a step that waits for others, still in their evaluation
    detector.finish_step(2)
    assert detector.tick(8) is None
    assert detector.longest_step == 8  # without the evaluation and the wait after it
    detector.enter_phase("checkpoint")
    assert detector.tick(101) == (
        "no sign of life for 100 s in or after the phase 'checkpoint' (train.phase_timeout)"
    )


def test_waiting_for_a_batch_belongs_to_the_step():
    detector = HangDetector(10, 100)
    detector.finish_step(1)
    detector.tick(8)
    detector.enter_phase("input")
    assert "no step has finished" in detector.tick(8)


def test_zero_is_no_bound():
    detector = HangDetector(0, 0)
    assert detector.tick(1e9) is None
    detector.finish_step(1)
    assert detector.tick(1e9) is None


class Clock:
    """A clock that goes on by `stride` whenever it is read."""

    def __init__(self, stride):
        self.now, self.stride, self.reads = 0.0, stride, 0

    def __call__(self):
        self.now, self.reads = self.now + self.stride, self.reads + 1
        return self.now


@pytest.fixture
def quick_ticks(monkeypatch):
    monkeypatch.setattr(hang, "_TICK", 0.001)


def watched(clock, bound, reads):
    """(what was found, whether so many looks found nothing)."""
    found, done = [], threading.Event()

    def leave(what, linger):
        found.append((what, linger))
        done.set()

    config = TrainConfig(hang_timeout=bound, phase_timeout=bound)
    with HangWatch(config, clock=clock, leave=leave):
        while clock.reads < reads and not done.wait(0.001):
            pass
    return found


def test_the_watch_finds_it_alone(quick_ticks):
    ((what, linger),) = watched(Clock(0.002), bound=0.01, reads=10**6)
    assert "the phase 'start'" in what
    assert linger == 0  # no other process has stacks to print


def test_a_process_that_was_stopped_does_not_hang(quick_ticks):
    """A clock that leaps an hour a look: each counts as two ticks."""
    assert watched(Clock(3600.0), bound=1.0, reads=50) == []


def test_an_error_in_a_run_of_one_process_is_raised():
    with pytest.raises(jax.errors.JaxRuntimeError), end_without_peers():
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")


@pytest.mark.parametrize(
    ("error", "tells_of_others"),
    [("UNKNOWN: Gloo all-reduce failed: reset", True), ("RESOURCE_EXHAUSTED: no memory", False)],
)
def test_a_collective_that_fails_ends_a_process_of_several(
    error, tells_of_others, monkeypatch, capsys
):
    ended = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(hang.os, "_exit", ended.append)
    with end_without_peers():
        raise jax.errors.JaxRuntimeError(error)
    assert ended == [1]
    said = capsys.readouterr().err
    assert error in said and ("another process ended" in said) == tells_of_others


def test_the_bounds_may_change_when_a_run_goes_on(data):
    from semcoder_jax.config import differing_fields

    changed = tiny_config(data, train__hang_timeout=5.0, train__phase_timeout=0)
    assert not differing_fields(parse_run(tiny_config(data)), parse_run(changed))
