"""Tests that a run continues with fewer or more devices and processes: same records and losses.

Starts real processes as on a pod; each records the input of its steps.
"""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import make_record, read_jsonl, write_jsonl
from semcoder_jax import hf
from semcoder_jax.loading import load_model
from semcoder_jax.training.metrics import read_metrics
from tests.support.compiling import QUICK
from tests.support.config_file import write_config_file
from tests.support.tiny_run import tiny_config, write_data
from tests.support.watched_training import digest

REPOSITORY = Path(__file__).parents[2]
EPOCHS = 8

# Processes wait for each other, and only so long.
pytestmark = [pytest.mark.slow, pytest.mark.exclusive]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """tiny_run's records, no two alike."""
    directory = write_data(tmp_path_factory.mktemp("data"))
    path = directory / "train.jsonl"
    records = [
        make_record(f"nl_{number}", "nl", f"Add {number} and 1.", old.response)
        for number, old in enumerate(read_jsonl(path))
    ]
    write_jsonl(path, records)
    return directory


class Site:
    """Where runs of one config are started, with what they were given."""

    def __init__(self, data, folder, programs, **changes):
        config = tiny_config(
            data,
            data__eval=None,
            data__num_epochs=EPOCHS,
            train__num_steps=None,
            train__log_every=1,
            train__checkpoint_every=4,
            **changes,
        )
        config["mesh"] = {"data": 2, "fsdp": -1, "tensor": 2}
        self._folder, self._programs, self._started = folder, programs, 0
        self._config = write_config_file(folder, config)

    def start(self, workdir, devices, *arguments, program="semcoder_jax.commands.train"):
        """(process, file of what it was given)."""
        environment = os.environ | {
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {QUICK}",
            "PYTHONPATH": str(REPOSITORY),
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(self._programs),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self._started += 1
        given = self._folder / f"given_{self._started}.jsonl"
        command = [
            sys.executable, REPOSITORY / "tests/support/watched_training.py", given, program,
            f"--config={self._config}", f"--workdir={workdir}", *arguments,
        ]  # fmt: skip
        process = subprocess.Popen(
            list(map(str, command)), env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return process, given

    def start_pair(self, workdir, *arguments):
        """Two processes of four devices, as two workers of a pod."""
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        group = [f"--coordinator=localhost:{port}", "--num_processes=2"]
        return [
            self.start(
                workdir, 4, *arguments, *group, f"--process_id={index}", program="launch.worker"
            )
            for index in range(2)
        ]


def finish(process, code=0, seconds=280):
    """What it said, in time."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == code, err[-3000:]
    assert "Traceback" not in err, err[-3000:]
    return out + err


def names_by_digest(data):
    """The ids of the records by the digest of their input tokens, made here."""
    tokenizer = hf.read_tokenizer(data / "tokenizer")
    names = {}
    for record in read_jsonl(data / "train.jsonl"):
        texts = (training_prompt(record), record.response)
        ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
        names[digest([tokenizer.bos_token_id, *ids[0], *ids[1]])] = record.id
    return names


def given_by(*files):
    """{step: rows} of the processes of a session, in their order."""
    steps: dict[int, list] = {}
    for file in files:
        for line in file.read_text().splitlines():
            row = json.loads(line)
            steps.setdefault(row["step"], []).extend(row["rows"])
    return steps


def steps_of(workdir):
    return [row for row in read_metrics(workdir / "metrics.jsonl") if "loss" in row]


def assert_same_run(workdir, other):
    """Losses to 1e-5 (sums over devices are taken in another order), and the parameters that come
    of them as close as Adam leaves them."""
    ours, theirs = steps_of(workdir), steps_of(other)
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for row, expected in zip(ours, theirs, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert row["target_tokens"] == expected["target_tokens"]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
    jax.tree.map(close, load_model(workdir).params, load_model(other).params)


@pytest.fixture(scope="module")
def site(data, tmp_path_factory, compiled_programs):
    return Site(data, tmp_path_factory.mktemp("site"), compiled_programs)


@pytest.fixture(scope="module")
def unbroken(site, tmp_path_factory):
    """(workdir, {step: rows}) of one process with eight devices, never stopped."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    process, given = site.start(workdir, 8)
    finish(process)
    return workdir, given_by(given)


def test_every_record_comes_once_an_epoch(unbroken, data):
    """What the steps were given, against the records, tokenized here."""
    workdir, given = unbroken
    assert sorted(given) == [row["step"] for row in steps_of(workdir)]
    assert len(given) > 20
    names = names_by_digest(data)
    assert len(names) == 100
    expected = Counter(dict.fromkeys(names, EPOCHS))
    assert Counter(name for rows in given.values() for row in rows for name in row) == expected


def test_eight_devices_then_four_then_two(site, unbroken, tmp_path):
    whole, expected = unbroken
    workdir, given = tmp_path / "run", {}
    # Stopped at a checkpoint, between two, and never.
    for devices, arguments in [
        (8, ["--config.train.stop_after_step=8"]),
        (4, ["--config.train.stop_after_step=15"]),
        (2, ["--config.mesh.data=1"]),
    ]:
        process, file = site.start(workdir, devices, *arguments)
        said = finish(process)
        assert f"on {devices} device(s)" in said
        session = given_by(file)
        assert not session.keys() & given.keys()  # none repeated
        given |= session
    assert given == expected
    assert_same_run(workdir, whole)


def test_two_processes_then_one_then_two(site, unbroken, tmp_path):
    """SIGTERM to one of the two saves a step common to both, before a
    scheduler would lose patience."""
    whole, expected = unbroken
    workdir, given = tmp_path / "run", {}

    pair = site.start_pair(workdir)
    while len(steps_of(workdir)) < 5 and pair[0][0].poll() is None:
        time.sleep(0.01)
    pair[1][0].send_signal(signal.SIGTERM)
    said = [finish(process, seconds=60) for process, _ in pair]
    assert re.search(r"stopped [\d.]+ s after SIGTERM reached all: step \d+ is saved", said[0])
    stopped = len(steps_of(workdir))
    assert 5 <= stopped < len(expected) - 4
    given |= given_by(*(file for _, file in pair))
    assert sorted(given) == list(range(1, stopped + 1))

    process, file = site.start(workdir, 8, f"--config.train.stop_after_step={stopped + 2}")
    assert f"from step {stopped}" in finish(process)
    given |= given_by(file)

    pair = site.start_pair(workdir)
    for process, _ in pair:
        finish(process)
    session = given_by(*(file for _, file in pair))
    assert min(session) == stopped + 3
    assert given | session == expected
    assert_same_run(workdir, whole)


def test_steps_that_no_process_uses(data, tmp_path, compiled_programs):
    """A bound below every gradient's norm, on two processes: both skip the same steps, and stop
    with the state saved, a step later (which was under way). The first tells the records, of
    both."""
    site = Site(
        data, tmp_path, compiled_programs, train__skip_gradient_norm=1e-9,
        train__max_skipped_steps=2,
    )  # fmt: skip
    workdir = tmp_path / "run"
    pair = site.start_pair(workdir)
    said = [finish(process, code=2) for process, _ in pair]
    for text in said:
        assert re.search(r"error: .*/run: 4 steps were skipped, more than .* step 4 is saved", text)
    assert (workdir / "checkpoints" / "4").is_dir()
    names = names_by_digest(data)
    given = given_by(*(file for _, file in pair))
    rows = read_metrics(workdir / "skipped.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        expected = [names[found] for records in given[row["step"]] for found in records]
        assert row["records"] == expected
