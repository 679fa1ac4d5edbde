"""Tests that a run whose workdir is in an object store is the run of a local workdir."""

import json
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tensorboardX.proto.event_pb2 import Event

from data_pipeline.errors import UserError
from data_pipeline.files import FileError, LockError, as_path, hold_lock, local_copy
from semcoder_jax.checkpoints import Checkpoints
from semcoder_jax.config import ConfigError
from semcoder_jax.loading import load_model
from semcoder_jax.training import loop as training
from semcoder_jax.training.goodput import read_goodput
from semcoder_jax.training.metrics import MetricWriter, read_metrics
from semcoder_jax.training.workdir import LOCK_FILE, WorkdirError, lock_workdir
from tests.support.config_file import write_config_file
from tests.support.tiny_run import tiny_config

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    training.train(tiny_config(data, train__log_every=1), workdir)
    return workdir


def losses(workdir) -> list[tuple[int, float]]:
    rows = read_metrics(workdir / "metrics.jsonl")
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def assert_same_run(workdir, other) -> None:
    assert losses(workdir) == losses(other)
    models = [load_model(each) for each in (workdir, other)]
    params = [nnx.to_pure_dict(model.params) for model in models]
    jax.tree.map(np.testing.assert_array_equal, *params)
    assert models[0].tokenizer.get_vocab() == models[1].tokenizer.get_vocab()


def scalars(content: bytes) -> list[int]:
    """Returns the steps of the scalars in an event file."""
    steps, place = [], 0
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        event = Event.FromString(content[place + 12 : place + 12 + length])
        steps += [event.step] * len(event.summary.value)
        place += 16 + length
    return steps


class Position:
    """The place of a data iterator, as a checkpoint keeps it."""

    def __init__(self, place: int):
        self.place = place

    def get_state(self) -> dict[str, int]:
        return {"place": self.place}

    def set_state(self, state: dict[str, int]) -> None:
        self.place = state["place"]


@pytest.mark.parametrize(
    "name", ["object_store", pytest.param("gcs_emulator", marks=pytest.mark.peer)]
)
def test_a_workdir_in_a_store_is_written_and_read(name, request, tmp_path):
    """What a run writes, without the run: metrics and a checkpoint, under its lock."""
    store = request.getfixturevalue(name)
    workdir = as_path(store.path(tmp_path.name, "run"))
    content = partial(store.content, tmp_path.name, "run")
    params, momenta = {"w": np.arange(6.0, dtype=np.float32)}, {"m": np.full((2, 3), 7, np.int32)}
    with lock_workdir(workdir):
        assert content(LOCK_FILE) is not None
        log, checkpoints = MetricWriter(workdir, resumed_step=0), Checkpoints(workdir)
        log.write(3, {"loss": 2.5})
        log.save()
        assert json.loads(content("metrics.jsonl")) == {"step": 3, "loss": 2.5}
        checkpoints.save(3, *jax.tree.map(jnp.asarray, (params, momenta)), Position(5))
        checkpoints.close()
        log.close()
    assert losses(workdir) == [(3, 2.5)]
    assert content("checkpoints", "3", "commit_success.txt") is not None
    [events] = (workdir / "tensorboard").iterdir()
    assert scalars(content("tensorboard", events.name)) == [3]

    device, checkpoints, position = jax.devices()[0], Checkpoints(workdir), Position(0)
    wanted = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(
            array.shape, array.dtype, sharding=jax.sharding.SingleDeviceSharding(device)
        ),
        (params, momenta),
    )
    restored = checkpoints.restore_last(*wanted, position)
    checkpoints.close()
    assert (restored.step, position.place) == (3, 5)
    np.testing.assert_array_equal(restored.params["w"], params["w"])
    np.testing.assert_array_equal(restored.optimizer["m"], momenta["m"])
    assert not (Path.cwd() / "gs:").exists()


@pytest.mark.slow
def test_a_run_goes_on_bit_for_bit_and_starts_others(data, unbroken, object_store, tmp_path):
    workdir = as_path(object_store.path(tmp_path.name, "run"))
    stopping = tiny_config(data, train__log_every=1, train__stop_after_step=7)
    assert training.train(stopping, str(workdir), profile_steps=1).step == 7
    config = tiny_config(data, train__log_every=1)
    assert training.train(config, workdir).step == 12
    assert_same_run(workdir, unbroken)
    assert read_goodput(workdir).sessions == 2
    assert json.loads((workdir / "config.json").read_text())["train"]["num_steps"] == 12
    events = sorted((workdir / "tensorboard").iterdir())
    assert {step for path in events for step in scalars(path.read_bytes())} == set(range(1, 13))
    assert any(path.name.endswith(".xplane.pb") for path in (workdir / "profile").rglob("*"))
    assert not (Path.cwd() / "gs:").exists()

    best = load_model(workdir, step=10)
    assert best.config == load_model(unbroken).config
    stopping = tiny_config(data, train__log_every=1, train__stop_after_step=1)
    for source, name in ((workdir, "from_store"), (unbroken, "from_disk")):
        training.train(stopping | {"model": {"init_from": str(source)}}, tmp_path / name)
    assert losses(tmp_path / "from_store") == losses(tmp_path / "from_disk") != []


@pytest.mark.slow
def test_a_damaged_checkpoint_is_set_aside(data, object_store, tmp_path, capsys):
    workdir = as_path(object_store.path(tmp_path.name, "run"))
    config = tiny_config(data, train__log_every=1, train__stop_after_step=6)
    training.train(config, workdir)
    [shard] = [path for path in (workdir / "checkpoints/6/params/d").iterdir()]
    shard.write_bytes(b"damaged")
    config = tiny_config(data, train__log_every=1, train__stop_after_step=7)
    training.train(config, workdir)
    assert "checkpoints/6 is damaged" in capsys.readouterr().err
    names = {path.name for path in (workdir / "checkpoints").iterdir()}
    assert {"5", "6.damaged", "7"} <= names
    assert [step for step, _ in losses(workdir)] == list(range(1, 8))


def test_one_run_at_a_time(data, object_store, tmp_path):
    workdir = as_path(object_store.path(tmp_path.name, "run"))
    with (
        hold_lock(workdir / LOCK_FILE, wait=False),
        pytest.raises(WorkdirError, match=r"another run .* is training here"),
    ):
        training.train(tiny_config(data), workdir)
    assert not (workdir / "config.json").exists()


@pytest.mark.slow
def test_a_run_that_lost_its_lock_saves_no_more(data, object_store, tmp_path, monkeypatch):
    workdir = as_path(object_store.path(tmp_path.name, "run"))
    first = iter([None])

    def check(lease) -> None:
        if next(first, "lost") == "lost":
            raise LockError(workdir / LOCK_FILE, "process 7 on far")

    monkeypatch.setattr("data_pipeline.files.leases.Lease.check", check)
    with pytest.raises(UserError, match="in use by process 7 on far"):
        training.train(tiny_config(data), workdir)
    assert (workdir / "checkpoints" / "5").exists()
    assert not (workdir / "checkpoints" / "10").exists()


@pytest.mark.slow
def test_a_checkpoint_that_the_store_refuses_is_one_line(data, object_store, tmp_path, capfd):
    workdir = as_path(object_store.path(tmp_path.name, "run"))
    part = "checkpoints%2F10%2Fparams"
    with (
        object_store.failing(403, part=part, method="POST"),
        pytest.raises(FileError, match="the checkpoint cannot be saved") as raised,
    ):
        training.train(tiny_config(data), workdir)
    assert str(raised.value).startswith(f"{workdir}/checkpoints: ")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
    assert training.train(tiny_config(data), workdir).step == 12
    assert "from step 5" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("workdir", "told"),
    [
        ("ftp://host/run", "no storage ftp://"),
        ("s3://bucket/run", "checkpoints are written to local folders and gs:// only"),
        ("gs://no-such-bucket/run", "the bucket does not exist"),
    ],
)
def test_a_workdir_that_cannot_be_is_one_line(data, object_stores, workdir, told):
    with pytest.raises(UserError) as raised:
        training.train(tiny_config(data), workdir)
    assert told in str(raised.value) and "\n" not in str(raised.value)


def test_paths_of_the_config_are_checked(data, object_store, tmp_path):
    for field in ("data__train", "data__tokenizer"):
        with pytest.raises((ConfigError, UserError)) as raised:
            training.train(tiny_config(data, **{field: "ftp://host/a"}), tmp_path / "run")
        assert "no storage ftp://" in str(raised.value)


@pytest.mark.slow
def test_killed_in_the_middle_of_a_save_it_goes_on_from_the_former_one(
    data, unbroken, object_store, tmp_path, compiled_programs
):
    """The store kills the process at the third upload of checkpoint 10's parameters."""
    for source in data.rglob("*"):
        if source.is_file():
            name = source.relative_to(data)
            as_path(object_store.path(tmp_path.name, "data", *name.parts)).write_bytes(
                source.read_bytes()
            )
    store_data = object_store.path(tmp_path.name, "data")
    changes = {
        "train": f"{store_data}/train.jsonl",
        "eval": f"{store_data}/eval.jsonl",
        "tokenizer": f"{store_data}/tokenizer",
    }
    config = tiny_config(data, train__log_every=1)
    config = config | {"data": config["data"] | changes}
    workdir = as_path(object_store.path(tmp_path.name, "run"))
    command = [sys.executable, "-m", "semcoder_jax.train", f"--workdir={workdir}"]
    command.append(f"--config={write_config_file(tmp_path, config)}")
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(compiled_programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    started, running = threading.Event(), []

    def kill() -> None:
        started.wait()
        running[0].kill()
        running[0].wait()

    part = "checkpoints%2F10%2Fparams"
    with (
        object_store.failing(503, part=part, method="POST", skip=2, act=kill) as fault,
        subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        running.append(process)
        started.set()
        _, err = process.communicate(timeout=120)
    assert fault.times < 1 << 30 and process.returncode == -9, err
    steps = {path.name for path in (workdir / "checkpoints").iterdir()}
    assert "5" in steps
    assert losses(workdir)[:10] == losses(unbroken)[:10]  # not one row before the save is lost
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "from step 5" in done.stderr and "damaged" not in done.stderr
    assert_same_run(workdir, unbroken)
    assert local_copy(workdir / "model").is_dir()
