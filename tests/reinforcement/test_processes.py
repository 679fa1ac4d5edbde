"""Tests learning from rewards in two processes, as on two workers of a pod."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bandit import bandit_config, steps_of
from tests.support.compiling import QUICK
from tests.support.config_file import write_config_file

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def start(module, devices, programs, *arguments):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {QUICK}",
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(programs),
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment, cwd=REPOSITORY, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_two_processes_learn_as_one_of_two_devices(data, tmp_path, compiled_programs):
    """The answers have a reward by their length alone; they are sampled and weighed alike.

    A new model ends an answer by chance, about once in 280 tokens: some of 96 do, before the last.
    """
    config = bandit_config(data, steps=2, tokens=96)
    config["data"]["sequence_length"] = 144
    config |= {"mesh": {"data": 2}, "rewards": {"length": 1.0}}
    config["optimizer"]["peak_learning_rate"] = config["optimizer"]["min_learning_rate"] = 0.1
    file = write_config_file(tmp_path, config)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    group = [f"--coordinator=localhost:{port}", "--num_processes=2"]
    one = start(
        "semcoder_jax.reinforce", 2, compiled_programs,
        f"--config={file}", f"--workdir={tmp_path / 'one'}",
    )  # fmt: skip
    pair = [
        start(
            "launch.worker", 1, compiled_programs,
            f"--config={file}", f"--workdir={tmp_path / 'pair'}", *group, f"--process_id={index}",
        )
        for index in range(2)
    ]  # fmt: skip
    for process in (one, *pair):
        _, said = process.communicate(timeout=280)
        assert process.returncode == 0, said[-3000:]
    for alone, together in zip(
        steps_of(tmp_path / "one"), steps_of(tmp_path / "pair"), strict=True
    ):
        assert together["reward"] == alone["reward"] and together["drift"] < 1e-4
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4, abs=1e-7)
        assert together["gradient_norm"] == pytest.approx(alone["gradient_norm"], rel=1e-3)
    assert steps_of(tmp_path / "one")[0]["gradient_norm"] > 0
    stored = [
        [json.loads(line) for line in (tmp_path / name / "rollouts.jsonl").open(encoding="utf-8")]
        for name in ("one", "pair")
    ]
    assert [row["text"] for row in stored[0]] == [row["text"] for row in stored[1]]
