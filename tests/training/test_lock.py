"""Tests how long a run waits for the lock of its workdir."""

import contextlib

import jax
import pytest

from data_pipeline.files import HeldLock, LockError
from semcoder_jax.training import workdir as module
from semcoder_jax.training.workdir import WorkdirError, lock_workdir


class Store:
    """A lock that another process holds for `seconds` of a clock that only `sleep` moves."""

    def __init__(self, seconds):
        self.now, self._free = 0.0, seconds

    @contextlib.contextmanager
    def hold_lock(self, path, *, wait):
        if self.now < self._free:
            raise LockError(path, "process 7 on gone")
        yield HeldLock()

    def sleep(self, seconds):
        self.now += seconds

    def monotonic(self):
        return self.now


@pytest.fixture
def lock_held_for(monkeypatch, tmp_path):
    """Locks a workdir whose lock is held by another; returns the seconds waited."""

    def lock(seconds, *, remote, processes):
        store = Store(seconds)
        monkeypatch.setattr(module, "hold_lock", store.hold_lock)
        monkeypatch.setattr(module, "time", store)
        monkeypatch.setattr(module, "is_remote", lambda path: remote)
        monkeypatch.setattr(jax, "process_count", lambda: processes)
        with lock_workdir(tmp_path):
            return store.now

    return lock


def test_a_run_that_is_started_again_waits_until_the_lease_of_the_former_ends(lock_held_for):
    assert 60 <= lock_held_for(60, remote=True, processes=2) <= 63
    assert lock_held_for(0, remote=True, processes=2) == 0


@pytest.mark.parametrize(
    ("seconds", "remote", "processes"),
    [(1000, True, 2), (60, True, 1), (60, False, 2)],
)
def test_it_waits_no_longer_and_never_without_a_lease(seconds, remote, processes, lock_held_for):
    with pytest.raises(WorkdirError, match=r"another run \(process 7 on gone\) is training here"):
        lock_held_for(seconds, remote=remote, processes=processes)
