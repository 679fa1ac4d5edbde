"""Starting on many workers: the commands for a pod, and two real processes that train as one."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import tiny_config, write_data

from semcoder_jax.metrics import read_metrics

REPOSITORY = Path(__file__).parents[1]
STEPS = 30
QUICK = "--xla_backend_optimization_level=1"  # compile fast: the steps are tiny
POD = REPOSITORY / "launch" / "pod.sh"


def pod(*arguments):
    return subprocess.run(["bash", POD, *arguments], capture_output=True, text=True, timeout=60)


def test_dry_run_prints_what_every_worker_would_run():
    process = pod(
        "--tpu=pod1", "--zone=z", "--project=p", "--dry-run",
        "--", "--config=c.py", "--workdir=/mnt/w", "--config.data.train=a b.jsonl",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    commands = [shlex.split(line.removeprefix("+ ")) for line in process.stdout.splitlines()]
    assert [command[0] for command in commands] == ["git", "gcloud", "gcloud", "gcloud", "gcloud"]
    for command in commands[1:]:
        assert {"--worker=all", "--zone=z", "--project=p"} <= set(command)
    remote = shlex.split(commands[-1][-1].removeprefix("--command="))
    assert remote[-5:] == [
        "-m", "launch.worker", "--config=c.py", "--workdir=/mnt/w", "--config.data.train=a b.jsonl"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zone=z"], "--tpu=NAME is missing"),
        (["--tpu=t"], "--zone=ZONE is missing"),
        (["--tpu=t", "--zone=z", "--workdir=w"], "unknown argument '--workdir=w'"),
        (["--tpu=t", "--zone=z", "--", "--workdir=w"], "--config=FILE is missing"),
        (["--tpu=t", "--zone=z", "--", "--config=c"], "--workdir=DIR is missing"),
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


def start(module, devices, *arguments):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {QUICK}",
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err[-3000:]
    return out + err


def start_pair(*arguments):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [
        start(
            "launch.worker", 4, *arguments, f"--coordinator=localhost:{port}",
            "--num_processes=2", f"--process_id={index}",
        )
        for index in range(2)
    ]  # fmt: skip


def steps_of(workdir):
    return [row for row in read_metrics(workdir / "metrics.jsonl") if "loss" in row]


@pytest.mark.slow
def test_two_processes_of_four_devices_train_as_one_of_eight(tmp_path):
    """Losses to 1e-5 (sums over devices are taken in another order). On the way SIGTERM to one of
    the two saves a step common to both, and a single process goes on from it."""
    data = write_data(tmp_path / "data")
    config = tiny_config(data, train__log_every=1, train__num_steps=STEPS)
    config["mesh"] = {"data": 2, "fsdp": 2, "tensor": 2}
    config_file = tmp_path / "config.py"
    config_file.write_text(
        "from ml_collections import ConfigDict\n\n"
        f"def get_config():\n    return ConfigDict({config!r})\n"
    )
    arguments = f"--config={config_file}", f"--workdir={tmp_path / 'one'}"
    finish(start("semcoder_jax.train", 8, *arguments))

    arguments = f"--config={config_file}", f"--workdir={tmp_path / 'two'}"
    pair = start_pair(*arguments)
    while len(steps_of(tmp_path / "two")) < 5 and pair[0].poll() is None:
        time.sleep(0.002)
    pair[1].send_signal(signal.SIGTERM)
    said = [finish(process) for process in pair]
    assert "is saved; the same command goes on from there" in said[0]
    by_pair = len(steps_of(tmp_path / "two"))
    assert 5 <= by_pair < STEPS
    finish(start("semcoder_jax.train", 8, *arguments))

    ours, theirs = steps_of(tmp_path / "two"), steps_of(tmp_path / "one")
    assert [row["step"] for row in ours] == list(range(1, STEPS + 1))
    for row, expected in zip(ours, theirs, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert row["target_tokens"] == expected["target_tokens"]
