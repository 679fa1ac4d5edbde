"""Tests the commands that start a pod's workers.

tests/training/test_elastic.py starts real processes.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
POD = REPOSITORY / "launch" / "pod.sh"


def pod(*arguments):
    return subprocess.run(
        ["bash", POD, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHON": sys.executable},
    )


def test_dry_run_prints_what_every_worker_would_run():
    process = pod(
        "--tpu=pod1", "--zone=z", "--project=p", "--dry-run",
        "--", "--config=configs/quickstart.py", "--workdir=/mnt/w", "--config.data.tokenizer=a b",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    commands = [
        shlex.split(line.removeprefix("+ "))
        for line in process.stdout.splitlines()
        if line.startswith("+ ")
    ]
    assert [command[3:5] for command in commands] == [
        ["tpu-vm", verb] for verb in ("ssh", "scp", "ssh", "ssh", "ssh", "ssh")
    ]
    for command in commands:
        assert {"--zone=z", "--project=p", "--quiet"} <= set(command)
    assert all("--worker=all" in command for command in commands[:-1])
    [remote] = [word for word in commands[-2] if word.startswith("--command=")]
    words = shlex.split(remote.removeprefix("--command="))
    assert words[words.index("--") + 1 :] == [
        ".venv/bin/python", "-m", "launch.worker", "--stopped_status=75",
        "--config=configs/quickstart.py", "--workdir=/mnt/w", "--config.data.tokenizer=a b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zone=z"], "--tpu=NAME is missing"),
        (["--tpu=t"], "--zone=ZONE is missing"),
        (["--tpu=t", "--zone=z", "--workdir=w"], "--workdir=w"),
        (["--tpu=t", "--zone=z", "--", "--workdir=w"], "--config=FILE is missing"),
        (["--tpu=t", "--zone=z", "--", "--config=c"], "--workdir=gs://BUCKET/RUN is missing"),
        (["--tpu=t", "--zone=z", "--", "--config=c", "--workdir=w"], "each worker by itself"),
    ],
)
def test_mistakes_of_the_pod_command(arguments, message):
    process = pod("--dry-run", *arguments)
    assert process.returncode == 2 and not process.stdout
    assert message in process.stderr and process.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_processes=2"], "go together"),
        (["--coordinator=h:1", "--num_processes=2", "--process_id=2"], "between 0 and 1"),
        (["--coordinator=h:1", "--num_processes=two", "--process_id=0"], "whole numbers"),
    ],
)
def test_mistakes_of_the_worker_command(arguments, message, capsys):
    from launch import worker

    assert worker.main(["worker", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
