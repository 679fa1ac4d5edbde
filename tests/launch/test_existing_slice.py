"""Tests a slice that exists: training runs on it, and it is neither created nor deleted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.fake_cloud import Session
from tests.support.launching import QUEUED, TRAINING, make_launcher

REPOSITORY = Path(__file__).parents[2]
SLICE = ("--tpu=pod1", "--zone=z")


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    launcher = make_launcher(tmp_path, monkeypatch, capfd)
    launcher.cloud.add_node("pod1", workers=1)
    return launcher


def test_training_runs_on_the_slice_which_stays(launch):
    done = launch(*SLICE, "--project=p")
    assert done.status == 0, done.text
    assert set(launch.actions()) == {"scp", "ssh"}
    assert "neither created nor deleted" in done.output and "step 2\n" in done.output
    assert done.log(1, "worker0").endswith("step 1\nstep 2\n")
    assert all("--project=p" in words for words in launch.cloud.calls())


@pytest.mark.slow
def test_the_copied_code_runs_in_the_folder_of_the_flag(launch):
    assert launch(*SLICE, "--directory=a folder", "--python=python3").status == 0
    assert (launch.cloud.state.home("pod1", 0) / "a folder" / "launch" / "detached.py").is_file()


@pytest.mark.parametrize(
    ("state", "told"),
    [("PREEMPTED", "pod1 is PREEMPTED, expected READY"), (None, "there is no TPU VM pod1 in z")],
)
def test_a_slice_that_cannot_be_used_is_told_before_anything_is_copied(launch, state, told):
    if state is None:
        with launch.cloud.state.open() as cloud:
            del cloud["nodes"]["pod1"]
    else:
        launch.cloud.set_node_state("pod1", state)
    done = launch(*SLICE)
    assert done.status == 2 and told in done.error and done.error.count("\n") == 1
    assert launch.actions() == []


@pytest.mark.slow
def test_training_that_stopped_is_started_again_and_a_user_error_is_not(launch):
    launch.cloud.train(Session((), (75,)), Session(("error: no such file",), (2,)))
    done = launch(*SLICE)
    assert done.status == 2 and "refused to start: no such file" in done.error
    assert "training stopped after saving" in done.output


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_lets_training_save_and_deletes_what_was_created(launch, number, status):
    launch.cloud.train(Session(("step 1",), (None,)))
    process = launch_process(QUEUED)
    launch.cloud.wait_for_session(1, "semcoder")
    wait_for_log("worker0", "step 1")
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == status, output
    assert launch.cloud.resources() == {} and "nothing of this launch is left running" in output
    [stop] = [words for words in launch.cloud.calls() if "launch.detached stop" in str(words)]
    assert stop.index("ssh") == 4 and "--worker=all" in stop


@pytest.mark.slow
def test_ctrl_c_while_waiting_gives_the_request_up(launch):
    launch.cloud.tell(states=["ACCEPTED"] * 1000)
    process = launch_process(QUEUED)
    while "semcoder" not in launch.cloud.resources():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and launch.cloud.resources() == {}, output
    assert "stopped; nothing of this launch is left running" in output


@pytest.mark.slow
def test_ctrl_c_on_an_existing_slice_stops_training_there(launch):
    launch.cloud.train(Session(("step 1",), (None,)))
    process = launch_process(SLICE)
    wait_for_log("worker0", "step 1")
    assert launch.cloud.running() == ["pod1"]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) and process.returncode == 130
    assert launch.cloud.running() == []


@pytest.mark.slow
def test_a_launcher_that_was_killed_finds_its_training_again(launch):
    launch.cloud.train(Session(("step 1",), (0,), seconds=4.0))
    process = launch_process(SLICE)
    wait_for_log("worker0", "step 1")
    process.kill()
    process.wait()
    done = launch(*SLICE)
    assert done.status == 0, done.text
    assert "session 0 of worker 0" in done.output and "session 1" not in done.output


def launch_process(words) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "launch.command", *words, *TRAINING],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )


def wait_for_log(worker: str, line: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        logs = list(Path("launches").glob(f"*/session1/{worker}.log"))
        if logs and line in logs[0].read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {line!r} in the log of {worker}")
