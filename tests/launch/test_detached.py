"""Tests what outlives a connection: a command on a worker, its log, and the local copy of it."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.detached import MARK
from launch.worker_log import WorkerLog

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def detached(tmp_path):
    """Runs `launch.detached` with a home folder of its own."""

    def run(*words, **options):
        return subprocess.run(
            [sys.executable, "-S", "-m", "launch.detached", *words],
            cwd=REPOSITORY,
            env={"HOME": str(tmp_path), "PATH": os.defpath},
            capture_output=True,
            timeout=30,
            **options,
        )

    return run


def test_a_command_runs_once_and_its_log_and_status_stay(detached):
    assert detached("start", "r", "--", "sh", "-c", "echo a; printf b; exit 7").returncode == 0
    whole = detached("follow", "r")
    assert whole.returncode == 7
    assert whole.stdout == MARK + b"log from 0\na\nb\n" + MARK + b"status 7\n"
    rest = detached("follow", "r", "--skip=2")
    assert rest.stdout == MARK + b"log from 2\nb\n" + MARK + b"status 7\n"


def test_a_running_command_is_found_not_started_again(detached):
    detached("start", "r", "--", "sh", "-c", "echo one; sleep 20")
    assert detached("start", "r", "--", "sh", "-c", "echo two").stdout == b"it runs already\n"
    began = time.monotonic()
    assert detached("stop", "r", "--seconds=10").returncode == 0
    assert time.monotonic() - began < 8
    assert b"two" not in detached("follow", "r").stdout
    assert detached("start", "r", "--", "true").stdout == b"started\n"
    assert detached("follow", "r").stdout == MARK + b"log from 0\n" + MARK + b"status 0\n"


def test_what_does_not_stop_is_killed(detached, tmp_path):
    detached("start", "r", "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    log = tmp_path / ".semcoder-jax" / "runs" / "r" / "log"
    while b"up" not in log.read_bytes():
        time.sleep(0.02)
    assert detached("stop", "r", "--seconds=0.3").returncode == 0
    assert detached("follow", "r").returncode == 137


def test_a_keeper_that_was_killed_leaves_a_status_of_its_own(detached, tmp_path):
    detached("start", "r", "--", "sh", "-c", "sleep 20")
    folder = tmp_path / ".semcoder-jax" / "runs" / "r"
    while not (folder / "process").is_file():
        time.sleep(0.02)
    command = int((folder / "process").read_text())
    keeper = int(Path(f"/proc/{command}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGKILL)
    assert detached("follow", "r").returncode == 137
    os.killpg(command, signal.SIGKILL)


def test_a_command_that_cannot_be_run_says_so(detached):
    detached("start", "r", "--", "/nowhere/python")
    told = detached("follow", "r")
    assert told.returncode == 127 and b"error: /nowhere/python cannot be run" in told.stdout


def test_a_name_that_never_ran_has_ended(detached):
    assert detached("follow", "never").returncode == 137
    assert detached("stop", "never").returncode == 0


@given(
    log=st.binary(max_size=60).map(lambda text: text.replace(MARK[:1], b"\n")),
    connections=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 120)), max_size=5),
)
def test_the_copy_is_the_log_whatever_connections_bring(log, connections, tmp_path_factory):
    """A connection begins at or before the end of the copy and may break at any byte."""
    folder = tmp_path_factory.mktemp("copies")
    shown = io.BytesIO()
    copy = WorkerLog(folder / "log", shown.write)
    for back, length in [*connections, (0, 1000)]:
        start = max(0, copy.size - back)
        sent = MARK + f"log from {start}\n".encode() + log[start:][:length]
        for line in io.BytesIO(sent):
            copy.take_line(line)
    assert copy.path.read_bytes() == shown.getvalue() == log


def test_a_copy_ends_with_the_status_and_finds_the_last_error(tmp_path):
    copy = WorkerLog(tmp_path / "log")
    for line in (MARK + b"log from 0\n", b"error: a\n", b"error: b\n", b"bye\n"):
        copy.take_line(line)
    assert copy.status is None
    copy.take_line(MARK + b"status 2\n")
    assert copy.status == 2 and copy.last_error() == "b"
