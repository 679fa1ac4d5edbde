"""Tests that a real training on two workers survives a preemption of its slice.

The launcher, the worker command and JAX's preemption service are real; the cloud is the fake one.
That a run which goes on has the losses of one without a break is shown in tests/training.
"""

import random
import re
import threading
import time
from pathlib import Path

import pytest

from launch import working_tree
from semcoder_jax.training.metrics import read_metrics
from tests.support.compiling import QUICK
from tests.support.config_file import write_config_file
from tests.support.launching import make_launcher
from tests.support.tiny_run import tiny_config, write_data

STEPS = 60

pytestmark = [pytest.mark.slow, pytest.mark.exclusive]  # processes wait for each other

POD = """\
from ml_collections import ConfigDict


def get_config():
    return ConfigDict({record!r})
"""


def test_training_goes_on_after_its_slice_was_preempted(tmp_path, monkeypatch, capfd):
    files = working_tree.list_files()
    launch = make_launcher(tmp_path, monkeypatch, capfd)
    monkeypatch.setattr(working_tree, "list_files", lambda *_: files)
    (launch.cloud.folder / "worker.py").unlink()  # no stand-in: training itself
    launch.cloud.tell(workers=2, cluster=random.randrange(4096))
    folder = tmp_path / "shared"
    config = write_run(folder)
    workdir = folder / "run"
    pod = write_pod(folder)

    def preempt():
        while len(losses_of(workdir)) < 5:
            time.sleep(0.1)
        launch.cloud.preempt("tiny", grace=60.0)

    thread = threading.Thread(target=preempt, daemon=True)
    thread.start()
    done = launch(f"--pod={pod}", "--", f"--config={config}", f"--workdir={workdir}")
    thread.join()
    assert done.status == 0, done.text
    assert "training lost its machine: tiny is " in done.output
    assert launch.actions().count("create") == launch.actions().count("delete") == 2
    first = done.log(1, "worker0")
    told = re.search(r"step (\d+) is saved; the same command goes on", first)
    assert told, first
    saved = int(told[1])
    assert 0 < saved < STEPS
    assert f"from step {saved}" in done.log(2, "worker0")
    for worker in ("worker0", "worker1"):
        assert f"step {STEPS} of {STEPS}" in done.log(2, worker)
    losses = losses_of(workdir)
    assert list(losses) == list(range(1, STEPS + 1))
    assert losses[STEPS] < losses[saved] < losses[1]


def write_run(folder: Path) -> Path:
    data = write_data(folder / "data")
    changes = {"data__eval": None, "train__num_steps": STEPS, "train__log_every": 1}
    config = tiny_config(data, **changes, train__checkpoint_every=15)
    config["mesh"] = {"data": -1}
    return write_config_file(folder, config)


def write_pod(folder: Path) -> Path:
    record = {
        "way": "queued_resource",
        "name": "tiny",
        "zone": "z",
        "topology": "v5e:2x4",
        "spot": True,
        "mounts": (str(folder),),
        "poll_seconds": 0.5,
        "variables": {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count=1 {QUICK}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    }
    path = folder / "pod.py"
    path.write_text(POD.format(record=record))
    return path


def losses_of(workdir: Path) -> dict[int, float]:
    rows = read_metrics(workdir / "metrics.jsonl") if workdir.is_dir() else []
    return {row["step"]: row["loss"] for row in rows if "loss" in row}
