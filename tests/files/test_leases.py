"""Tests that one process at a time holds a lock in an object store, and who has it next."""

import dataclasses
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from data_pipeline.files import FileError, LockError, as_path, hold_lock, leases
from data_pipeline.files.objects import read_object, write_object

REPOSITORY = Path(__file__).parents[2]
HOLDER = """
import sys, time
from data_pipeline.files import hold_lock
with hold_lock(sys.argv[1], wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["gs", "s3"])
def path(request, tmp_path, object_stores):
    return as_path(object_stores[request.param].path(tmp_path.name, "lock"))


def held_elsewhere(path, seconds: float) -> None:
    """Writes the lock as another machine's process would."""
    holder = {"process": 7, "host": "far", "machine": "far 1 2", "started": "3"}
    write_object(
        path, json.dumps(holder | {"seconds": seconds, "nonce": "x"}).encode(), replaces=None
    )


def try_lock(path) -> None:
    with hold_lock(path, wait=False) as lock:
        lock.check()


def test_it_is_held_and_released(path):
    told = f"in use by process .* on {socket.gethostname()}"
    with hold_lock(path, wait=False), pytest.raises(LockError, match=told):
        try_lock(path)
    try_lock(path)
    try_lock(path)


def test_one_of_many_gets_it(path):
    results, barrier = [], threading.Barrier(6)

    def race():
        barrier.wait()
        try:
            with hold_lock(path, wait=False):
                results.append("held")
                barrier.wait()
        except LockError:
            results.append("refused")
            barrier.wait()

    threads = [threading.Thread(target=race) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["held"] + ["refused"] * 5


def test_another_machine_holds_it_until_its_time_is_over(path):
    held_elsewhere(path, 60)
    with pytest.raises(LockError, match=r"process 7 on far \(free 60 s after it is killed\)"):
        try_lock(path)
    stored = read_object(path)
    content = json.loads(stored.content) | {"seconds": 1.0}
    write_object(path, json.dumps(content).encode(), replaces=stored.version)
    began = time.monotonic()
    with hold_lock(path, wait=True):
        waited = time.monotonic() - began
        assert json.loads(read_object(path).content)["host"] == socket.gethostname()
    assert 0.3 < waited < 4  # the store tells whole seconds


def test_a_killed_process_of_this_machine_frees_it_at_once(tmp_path, object_store):
    path = object_store.path(tmp_path.name, "lock")
    command = [sys.executable, "-c", HOLDER, path]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockError, match=f"process {process.pid} on"):
            try_lock(path)
        process.kill()
    try_lock(path)


def test_it_is_renewed_while_it_is_held(path, monkeypatch):
    monkeypatch.setattr(leases, "RENEWALS", 1000)
    with hold_lock(path, wait=False) as lock:
        versions = set()
        while len(versions) < 4:
            versions.add(read_object(path).version)
        lock.check()


def test_a_holder_learns_that_it_lost_it(path, monkeypatch):
    monkeypatch.setattr(leases, "RENEWALS", 1000)
    with (
        pytest.raises(LockError, match="in use by process 7 on far"),
        hold_lock(path, wait=False) as lock,
    ):
        path.unlink()
        held_elsewhere(path, 60)
        while True:
            lock.check()
            time.sleep(0.01)
    assert json.loads(read_object(path).content)["host"] == "far"  # and does not release it


def test_a_holder_that_cannot_renew_may_have_lost_it(tmp_path, object_store, monkeypatch):
    monkeypatch.setattr(leases, "SECONDS", 0.3)
    path = object_store.path(tmp_path.name, "lock")
    with (
        pytest.raises(LockError, match="could not be renewed in time"),
        hold_lock(path, wait=False) as lock,
        object_store.failing(403),
    ):
        time.sleep(0.35)
        lock.check()


def test_a_foreign_object_is_no_lock(path):
    path.write_bytes(b"notes")
    with pytest.raises(FileError, match="not a lock of this program; remove it"):
        try_lock(path)
    assert path.read_bytes() == b"notes"


def test_a_process_is_not_mistaken_for_a_later_one_of_its_id():
    ours = leases._Holder(**json.loads(leases._content(60.0)))
    assert not ours.has_ended()
    assert dataclasses.replace(ours, started="1").has_ended()
    assert not dataclasses.replace(ours, started="1", machine="another").has_ended()
