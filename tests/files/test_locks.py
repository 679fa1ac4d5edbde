"""Tests that one process holds a lock at a time, and that the kernel frees a killed one's lock."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from data_pipeline.files import FileError, LockError, hold_lock, lock_file

REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import sys, time
from data_pipeline.files import hold_lock
with hold_lock(sys.argv[1], wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Yields (lock file, process that holds it)."""
    path = tmp_path / "new" / "file.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()


def test_the_error_says_who_holds_it_until_the_holder_is_killed(holder):
    path, process = holder
    with pytest.raises(LockError) as raised, hold_lock(path, wait=False):
        pass
    told = f"process {process.pid} on {socket.gethostname()}"
    assert str(raised.value) == f"{path}: in use by {told}" and raised.value.holder == told
    process.kill()
    process.wait()
    with hold_lock(path, wait=False):
        assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_a_waiting_process_gets_it_after_the_holder(holder):
    path, process = holder
    got = threading.Event()

    def wait():
        with hold_lock(path, wait=True):
            got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not got.wait(0.2)
    process.kill()
    waiter.join(30)
    assert got.is_set()


def test_a_lock_on_the_data_file_ends_with_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    with path.open("a+b") as first, path.open("a+b") as second:
        lock_file(first, path, wait=False)
        with pytest.raises(LockError, match=r"rows\.jsonl: in use by another process"):
            lock_file(second, path, wait=False)
        first.close()
        lock_file(second, path, wait=False)


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with hold_lock(tmp_path / "lock", wait=False):
        assert (tmp_path / "lock").exists()


def test_a_place_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file: expected a folder"):
        hold_lock(tmp_path / "file" / "lock", wait=False).__enter__()
    with pytest.raises(FileError, match="Is a directory"):
        hold_lock(tmp_path, wait=False).__enter__()
