"""Tests training from a config: it learns, resumes bit for bit, and gives one line per mistake."""

import functools
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tensorboardX.proto.event_pb2 import Event

from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.chat_template import chat_template
from data_pipeline.pyx.records import read_jsonl
from data_pipeline.tokens.batches import tokenize_records
from data_pipeline.tokens.packing import lay_out, plan_packs
from semcoder_jax import hf
from semcoder_jax.checkpoints import CheckpointError, Checkpoints
from semcoder_jax.config import ConfigError, parse_run
from semcoder_jax.loading import load_model
from semcoder_jax.model import sharding
from semcoder_jax.training import loop as training
from semcoder_jax.training.architecture import resolve_architecture
from semcoder_jax.training.goodput import read_goodput
from semcoder_jax.training.metrics import read_metrics
from semcoder_jax.training.state import TrainSetup, initial_state
from semcoder_jax.training.step import batch_loss_sums, make_train_step
from semcoder_jax.training.workdir import lock_workdir
from tests.support.config_file import write_config_file
from tests.support.sections import data_of
from tests.support.tiny_run import tiny_config, write_data
from tests.support.training_command import run_command

REPOSITORY = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    """The workdir of a run of 12 steps without a stop."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    result = training.train(tiny_config(data), workdir)
    assert (result.step, result.num_steps) == (12, 12)
    assert result.tokens_per_second > 0
    return workdir


def steps_of(workdir):
    return [row for row in read_metrics(workdir / "metrics.jsonl") if "loss" in row]


def eval_loss_of(workdir):
    return [row for row in read_metrics(workdir / "metrics.jsonl") if "eval_loss" in row][-1][
        "eval_loss"
    ]


def params_of(workdir):
    return nnx.to_pure_dict(load_model(workdir).params)


def assert_same_run(workdir, other):
    """Every number of every step, and every parameter, to the last bit."""
    assert steps_of(workdir) == steps_of(other)
    assert len(steps_of(workdir)) == 12
    jax.tree.map(np.testing.assert_array_equal, params_of(workdir), params_of(other))


def test_it_learns_and_evaluates(unbroken):
    rows = steps_of(unbroken)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[0]["loss"] == pytest.approx(math.log(load_model(unbroken).config.vocab_size), 0.1)
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert all(row["target_tokens"] < row["tokens"] <= 8 * 128 for row in rows)
    (held_out,) = (row for row in read_metrics(unbroken / "metrics.jsonl") if "eval_loss" in row)
    assert held_out["step"] == 12
    assert held_out["eval_loss"] == pytest.approx(rows[-1]["loss"], rel=0.3)


def test_tensorboard_files_hold_the_same_numbers(unbroken):
    (path,) = (unbroken / "tensorboard").iterdir()
    content, place, losses = path.read_bytes(), 0, {}
    while place < len(content):  # length, its CRC, event, its CRC
        (length,) = struct.unpack_from("<Q", content, place)
        event = Event.FromString(content[place + 12 : place + 12 + length])
        place += 12 + length + 4
        for value in event.summary.value:
            if value.tag == "loss":
                losses[event.step] = value.simple_value
    assert losses == {row["step"]: row["loss"] for row in steps_of(unbroken)}


def test_stopped_and_resumed_it_is_the_same_run(data, unbroken, tmp_path):
    """Stopped between checkpoints, at one, and resumed with other harmless settings."""
    for stop in (3, 5, None):
        changes = {"train__log_every": 2} if stop == 5 else {}
        config = tiny_config(data, train__stop_after_step=stop, **changes)
        result = training.train(config, tmp_path)
        assert result.step == (stop or 12)
    assert_same_run(tmp_path, unbroken)


def test_a_finished_run_is_left_alone(data, unbroken):
    before = (unbroken / "metrics.jsonl").read_bytes()
    result = training.train(tiny_config(data), unbroken)
    assert result.step == 12
    assert result.eval_loss == eval_loss_of(unbroken)
    assert (unbroken / "metrics.jsonl").read_bytes() == before


def test_steps_after_the_last_checkpoint_are_made_again(data, unbroken, tmp_path):
    """A kill leaves metrics beyond the checkpoint, the last line cut short."""
    training.train(tiny_config(data, train__stop_after_step=5), tmp_path)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "loss": 99.0}\n{"step": 7, "lo')
    training.train(tiny_config(data), tmp_path)
    assert_same_run(tmp_path, unbroken)


def test_accumulation_leaves_the_losses_as_they_are(data, unbroken, tmp_path):
    training.train(
        tiny_config(data, train__accumulation_steps=4, train__stop_after_step=4), tmp_path
    )
    for ours, whole in zip(steps_of(tmp_path), steps_of(unbroken), strict=False):
        assert ours["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        assert ours["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-4)


def test_starts_from_another_runs_model(data, unbroken, tmp_path):
    config = tiny_config(data, train__num_steps=3)
    config["model"]["init_from"] = str(unbroken)
    training.train(config, tmp_path)
    assert steps_of(tmp_path)[0]["loss"] == pytest.approx(eval_loss_of(unbroken), rel=0.3)


def test_refuses_a_model_of_another_architecture(data, unbroken, tmp_path):
    config = tiny_config(data, model__init_from=str(unbroken), model__num_layers=3)
    with pytest.raises(ConfigError, match="num_layers is 3, but 2 in"):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_number_of_epochs_gives_the_number_of_steps(data, tmp_path):
    config = tiny_config(data, data__num_epochs=2, train__num_steps=None)
    result = training.train(config, tmp_path)
    rows = steps_of(tmp_path)
    assert result.step == result.num_steps == len(rows)
    # two passes over the records and nothing else
    tokenizer = load_model(tmp_path).tokenizer
    responses = [json.loads(line)["response"] for line in (data / "train.jsonl").open()]
    targets = sum(len(tokenizer.encode(r, add_special_tokens=False)) + 1 for r in responses)
    assert sum(row["target_tokens"] for row in rows) == 2 * targets


def test_load_model_reads_the_saved_parameters(data, unbroken):
    model = load_model(unbroken)
    tokens = np.array([[1, 5, 6, 7]])
    positions, segments = np.arange(4)[None], np.ones((1, 4), int)
    decode = jax.jit(lambda params, *batch: nnx.merge(model.graphdef, params)(*batch))
    logits = decode(model.params, tokens, positions, segments)
    assert logits.shape == (1, 4, model.config.vocab_size) and np.isfinite(logits).all()
    assert len(model.tokenizer) <= model.config.vocab_size
    low = load_model(unbroken, dtype="bfloat16")
    for leaf, full in zip(jax.tree.leaves(low.params), jax.tree.leaves(model.params), strict=True):
        np.testing.assert_array_equal(leaf, full.astype("bfloat16"))


def test_load_model_reads_an_exported_directory(unbroken, tmp_path):
    """Workdir and its HF export give the same model."""
    ours = load_model(unbroken)
    hf.export(tmp_path / "hf", ours.config, ours.params, ours.tokenizer, dtype="float32")
    exported = load_model(tmp_path / "hf")
    assert exported.config == ours.config
    assert exported.tokenizer.chat_template == ours.tokenizer.chat_template == chat_template()
    for model in (ours, exported):
        assert model.tokenizer.encode("Add 1 and 2.") == ours.tokenizer.encode("Add 1 and 2.")
    jax.tree.map(np.testing.assert_array_equal, exported.params, ours.params)


def test_packing_leaves_the_loss_of_every_record_as_it_is(data, unbroken):
    """Sum of losses of packed rows against each record alone in a row."""
    model = load_model(unbroken)
    records = list(read_jsonl(data / "train.jsonl"))[:12]
    table = tokenize_records(records, model.tokenizer)
    packs = plan_packs(table.lengths_R - 1, 256)
    assert len(packs) < len(records) / 2
    rows = [packs[number] for number in range(len(packs))]
    sums = jax.jit(functools.partial(batch_loss_sums, model.graphdef))
    packed = sums(model.params, lay_out(table, rows, 256))
    alone = sums(model.params, lay_out(table, [np.array([r]) for r in range(12)], 256))
    assert packed[1].weight == alone[1].weight
    np.testing.assert_allclose(packed[0], alone[0], rtol=1e-5)


def test_exploding_gradients_update_nothing_and_end_the_run(data, tmp_path, capsys):
    """A bound below every gradient's norm: no step is used, too many end the session."""
    config = tiny_config(
        data, train__skip_gradient_norm=1e-9, train__max_skipped_steps=2, train__log_every=1
    )
    path = write_config_file(tmp_path, config)
    workdir = tmp_path / "run"
    code, output = run_command(capsys, f"--config={path}", f"--workdir={workdir}")
    assert code == 2
    assert re.search(
        r"error: .*/run: [34] steps were skipped, more than .* step \d is saved", output.err
    )
    rows = steps_of(workdir)
    assert all(row["skipped"] == 1 and row["gradient_norm"] > 1e-9 for row in rows)
    skipped = read_metrics(workdir / "skipped.jsonl")
    assert [row["step"] for row in skipped] == [row["step"] for row in rows]

    # The records named are those of the batch: their responses have as many targets.
    tokenizer = load_model(workdir).tokenizer
    responses = {
        row["id"]: row["response"] for row in map(json.loads, (data / "train.jsonl").open())
    }
    for row, told in zip(rows, skipped, strict=True):
        lengths = (
            len(tokenizer.encode(responses[name], add_special_tokens=False)) + 1
            for name in told["records"]
        )
        assert sum(lengths) == row["target_tokens"]

    # The saved parameters are the initial ones, and the session that follows starts from them.
    run = parse_run(config)
    decoder_config = hf.read_config(workdir / "model")
    mesh = sharding.make_mesh(run.mesh)
    initial = TrainSetup.of(run, decoder_config, 12, mesh).trainable.initialize()
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)  # compiled there, not here
    jax.tree.map(close, params_of(workdir), initial)
    code, output = run_command(
        capsys, f"--config={path}", f"--workdir={workdir}", "--config.train.max_skipped_steps=99"
    )
    assert code == 0 and "step 12 of 12" in output.out


def test_a_step_that_is_not_finite_leaves_the_state_as_it_was(data, tmp_path):
    """One bad step in the middle: parameters and moments stay, counters go on."""
    run = parse_run(tiny_config(data))
    mesh = sharding.make_mesh(run.mesh)
    opened = data_of(run, tmp_path)
    config = resolve_architecture(run.model, run.data.sequence_length, opened.tokenizer)
    setup = TrainSetup.of(run, config, 12, mesh)
    state = initial_state(setup.trainable, setup.optimizer)
    step = make_train_step(setup, run.train)
    batch = sharding.put_batch(next(opened.train), mesh)
    opened.train.close()
    bad = batch | {"loss_mask": batch["loss_mask"] * jnp.inf}
    state, metrics = step(jax.device_put(state, setup.shardings), {}, batch)
    assert metrics["skipped"] == 0
    before = jax.device_get(state)
    state, metrics = step(state, {}, bad)
    assert metrics["skipped"] == 1 and not np.isfinite(metrics["loss"])
    after = jax.device_get(state)
    assert after.step == before.step + 1
    for (path, new), old in zip(
        jax.tree_util.tree_leaves_with_path(after), jax.tree.leaves(before), strict=True
    ):
        if np.issubdtype(new.dtype, np.integer):
            assert new == old + 1, path
        else:
            np.testing.assert_array_equal(new, old, err_msg=str(path))


def a_large_file(checkpoint):
    return max(
        (path for path in checkpoint.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )


def cut(checkpoint):
    path = a_large_file(checkpoint)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(checkpoint):
    """One bit of the largest file, in the middle of the data."""
    path = a_large_file(checkpoint)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(checkpoint):
    shutil.rmtree(checkpoint / "params")


@pytest.mark.parametrize("damage", [cut, alter, empty])
def test_a_damaged_checkpoint_is_skipped(data, unbroken, tmp_path, capsys, damage):
    training.train(tiny_config(data, train__stop_after_step=10), tmp_path)
    damage(tmp_path / "checkpoints" / "10")
    training.train(tiny_config(data), tmp_path)
    said = capsys.readouterr().err
    assert "checkpoints/10 is damaged" in said and "from step 5" in said
    assert (tmp_path / "checkpoints" / "10.damaged").is_dir()
    assert_same_run(tmp_path, unbroken)


def test_checkpoints_that_are_all_damaged_end_in_one_line(data, tmp_path, capsys):
    config = tiny_config(data, train__stop_after_step=3)
    training.train(config, tmp_path / "run")
    cut(tmp_path / "run" / "checkpoints" / "3" / "params")
    with pytest.raises(CheckpointError, match=r"checkpoints/3: cannot be restored"):
        load_model(tmp_path / "run")
    path = write_config_file(tmp_path, tiny_config(data))
    code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert code == 2 and "no checkpoint here can be restored" in output.err


def test_a_second_run_on_the_same_workdir_is_refused(data, tmp_path, capsys):
    path = write_config_file(tmp_path, tiny_config(data))
    with lock_workdir(tmp_path / "run"):
        code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert code == 2
    assert f"another run (process {os.getpid()} on " in output.err
    assert not (tmp_path / "run").exists()  # made by the first, which left nothing in it
    code, output = run_command(
        capsys, f"--config={path}", f"--workdir={tmp_path / 'run'}",
        "--config.train.stop_after_step=1",
    )  # fmt: skip
    assert code == 0


def test_load_model_without_a_model(tmp_path):
    with pytest.raises(CheckpointError, match="no such directory"):
        load_model(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="neither an HF directory"):
        load_model(tmp_path)


def test_a_checkpoint_holds_the_moment_of_its_saving(data, tmp_path):
    """Saving is asynchronous and the state is donated to the next step: nothing may leak in."""
    config = tiny_config(
        data, train__checkpoint_every=1, train__keep_checkpoints=12, train__log_every=100
    )
    training.train(config, tmp_path)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest_step() == 12
    checkpoints.close()
    rows = {row["step"]: row for row in steps_of(tmp_path)}
    for step in (4, 9):  # go on from the middle: same numbers
        branch = tmp_path.with_name(f"{tmp_path.name}-{step}")
        _copy_run(tmp_path, branch, step)
        training.train(config | {"train": config["train"] | {"stop_after_step": step + 2}}, branch)
        assert steps_of(branch)[-2:] == [rows[step + 1], rows[step + 2]]


def _copy_run(workdir, branch, step):
    """The workdir as it was when `step` was its last checkpoint."""
    shutil.copytree(workdir, branch)
    for checkpoint in (branch / "checkpoints").iterdir():
        if int(checkpoint.name) > step:
            shutil.rmtree(checkpoint)


def test_a_workdir_of_another_config_is_refused(data, unbroken, tmp_path, capsys):
    before = (unbroken / "config.json").read_bytes()
    path = write_config_file(tmp_path, tiny_config(data))
    arguments = [f"--config={path}", f"--workdir={unbroken}"]
    changes = ["--config.optimizer.peak_learning_rate=0.5", "--config.model.num_layers=3"]
    code, output = run_command(capsys, *changes, *arguments)
    assert code == 2
    assert (
        "begun with another config: model.num_layers is 3, there 2; optimizer.peak_learning_rate "
        "is 0.5, there 0.01; choose another --workdir" in output.err
    )
    assert (unbroken / "config.json").read_bytes() == before
    code, output = run_command(capsys, *arguments, "--config.train.log_every=7")
    assert code == 0 and "step 12 of 12" in output.out


def environment_of(compiled_programs):
    """For a process of its own."""
    return os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "JAX_COMPILATION_CACHE_DIR": str(compiled_programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


@pytest.mark.slow
def test_sigterm_saves_and_the_next_run_goes_on(data, unbroken, tmp_path, compiled_programs):
    """A real signal, sent at a step of its own choosing, to a real process, which ends before a
    scheduler would lose patience (30 s). The second process compiles nothing."""
    config = tiny_config(data, train__log_every=1)
    path = write_config_file(tmp_path, config)
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "semcoder_jax.train", f"--config={path}"]
    command.append(f"--workdir={workdir}")
    environment = environment_of(compiled_programs)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        done = len(steps_of(workdir))
        while len(steps_of(workdir)) < done + 2 and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal_number)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        stopped = (
            rf"stopped [\d.]+ s after {signal_number.name}: step \d+ is saved; the same command"
        )
        assert re.search(stopped, err), err
        assert signal_number == signal.SIGTERM or "read from the compilation cache" in err
        assert "Traceback" not in err
    stopped = len(steps_of(workdir))
    assert 4 <= stopped < 12
    training.train(config, workdir)
    assert_same_run(workdir, unbroken)


def test_a_prepared_dataset_is_read_with_its_tokenizer_or_one_of_its_own_words(tmp_path):
    data = write_data(tmp_path / "data")
    expected = training.train(tiny_config(data, train__num_steps=4), tmp_path / "files")
    splits = {"train": data / "train.jsonl", "eval": data / "eval.jsonl"}
    pyx.prepare(splits, tmp_path / "built")
    changes = {
        "data__source": "pyx",
        "data__directory": str(tmp_path / "built"),
        "data__train": None,
        "data__eval": None,
        "train__num_steps": 4,
    }

    same = training.train(tiny_config(data, **changes), tmp_path / "same")
    assert same.eval_loss == expected.eval_loss  # the same records in the same order

    changes |= {"data__tokenizer": None, "data__vocabulary_words": 100}
    begun = tiny_config(data, **changes, train__stop_after_step=2)
    assert training.train(begun, tmp_path / "own").step == 2
    own = training.train(tiny_config(data, **changes), tmp_path / "own")  # goes on
    assert own.step == 4
    assert math.isfinite(own.eval_loss)


def test_a_folder_without_a_dataset_is_named(tmp_path):
    changes = {"data__directory": str(tmp_path / "none"), "data__tokenizer": None}
    config = tiny_config(tmp_path, data__source="pyx", **changes)
    with pytest.raises(pyx.PyxError, match="expected the --output of a build"):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def saved_steps(workdir):
    return [path.name for path in (workdir / "checkpoints").glob("*") if path.name.isdigit()]


@pytest.mark.slow
def test_killed_at_any_moment_it_is_the_same_run(data, tmp_path, compiled_programs):
    """SIGKILL 8 to 20 times, at random moments, until one fell into a save. What is damaged or half
    written is passed over, and the losses are those of the unbroken run."""
    config = tiny_config(data, train__num_steps=200, train__log_every=1, train__checkpoint_every=1)
    path = write_config_file(tmp_path, config)
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "semcoder_jax.train", f"--config={path}"]
    command.append(f"--workdir={workdir}")
    environment = environment_of(compiled_programs)
    chance, killed, saving = random.Random(8), 0, 0
    for _ in range(20):
        if killed >= 8 and saving:
            break
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        saved = set(saved_steps(workdir))
        while process.poll() is None and saved.issuperset(saved_steps(workdir)):
            time.sleep(0.002)  # until it saves a step of its own
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        _, err = process.communicate(timeout=120)
        saving += any("tmp" in entry.name for entry in (workdir / "checkpoints").iterdir())
        killed += process.returncode == -signal.SIGKILL
        assert "Traceback" not in err, err
    lost = read_goodput(workdir)
    assert lost.sessions >= 8 and lost.repeated_steps > 0
    assert killed >= 8, "the run ended before it could be killed"
    assert saving, "no kill fell into a save"
    training.train(config, workdir)
    whole = config | {"train": config["train"] | {"checkpoint_every": 1000}}
    training.train(whole, tmp_path / "unbroken")
    assert steps_of(workdir) == steps_of(tmp_path / "unbroken")
    assert len(steps_of(workdir)) == 200
    jax.tree.map(
        np.testing.assert_array_equal, params_of(workdir), params_of(tmp_path / "unbroken")
    )
