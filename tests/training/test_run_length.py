"""Tests when a run ends, which checkpoints it keeps, and what may change beside a started run."""

import dataclasses
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from semcoder_jax import hf
from semcoder_jax.checkpoints import CheckpointError, Checkpoints, restore_step
from semcoder_jax.commands import reinforce
from semcoder_jax.commands.hf import main as hf_main
from semcoder_jax.config import ConfigError, TrainConfig, parse_run
from semcoder_jax.hf.config import config_fields
from semcoder_jax.hf.shards import stored_dtype
from semcoder_jax.loading import load_model
from semcoder_jax.training import loop as training
from semcoder_jax.training.architecture import resolve_architecture
from semcoder_jax.training.held_out import HeldOutHistory
from semcoder_jax.training.metrics import read_metrics
from semcoder_jax.training.workdir import check_workdir, write_config
from tests.support.tiny_run import tiny_config

pytestmark = pytest.mark.usefixtures("compiled_once")
NAN = math.nan
REPOSITORY = Path(__file__).parents[2]


def test_float16_is_refused(data, tmp_path):
    with pytest.raises(ConfigError, match=r"compute.dtype 'float16': .*expected bfloat16 or"):
        training.train(tiny_config(data, compute__dtype="float16"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def longer(data, workdir, **changes):
    """Checks a workdir of 12 steps against a config with other changes."""
    constant = {"optimizer__min_learning_rate": 0.01} if changes.pop("constant") else {}
    workdir.mkdir()
    write_config(parse_run(tiny_config(data, **constant)), workdir)
    check_workdir(parse_run(tiny_config(data, **constant, **changes)), workdir)


def test_a_run_of_constant_rate_may_become_longer(data, tmp_path):
    longer(data, tmp_path / "a", constant=True, train__num_steps=20)
    with pytest.raises(ConfigError, match=r"num_steps is 8, there 12; choose another --workdir"):
        longer(data, tmp_path / "b", constant=True, train__num_steps=8)
    with pytest.raises(ConfigError, match=r"num_steps is 20, there 12.*; choose another"):
        longer(data, tmp_path / "c", constant=True, train__num_steps=20, data__packing_window=9)


def test_where_the_rate_has_fallen_the_way_is_shown(data, tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(ConfigError) as error:
        longer(data, workdir, constant=False, train__num_steps=20)
    assert f"set model.init_from={workdir} and another --workdir" in str(error.value)


@pytest.mark.parametrize(
    ("losses", "best", "ends_after"),  # ends_after: patience -> number of evaluations
    [
        ([3.0, 2.0, 2.5, 1.0, 1.5, 1.0], 4, {1: 3, 2: 6, 3: None}),
        ([1.0, 2.0, 3.0, 4.0], 1, {1: 2, 3: 4, 4: None}),
        ([2.0, 2.0, 1.0], 3, {1: 2, 2: None}),
        ([NAN, 2.0, NAN], 2, {1: 1, 2: None}),
        ([NAN, NAN], None, {2: 2, 3: None}),
    ],
)
def test_history_of_held_out_losses(losses, best, ends_after):
    history = HeldOutHistory(list(enumerate(losses, 1)))
    assert history.best_step == best
    for patience, number in ends_after.items():
        config = TrainConfig(num_steps=1, eval_every=1, early_stopping=patience)
        over = [
            count
            for count in range(1, len(losses) + 1)
            if HeldOutHistory(history.losses[:count]).is_over(config)
        ]
        assert (over[0] if over else None) == number
    assert not history.is_over(TrainConfig(num_steps=1, eval_every=1))


def test_history_of_accuracies():
    """The best is the highest; equal ones count as no progress; losses beside them do not count."""
    history = HeldOutHistory([])
    for step, accuracy in enumerate([0.25, 0.5, 0.5, 0.375], 1):
        history.record_figures(step, {"eval_loss": 9.0 - step, "accuracy": accuracy}, "accuracy")
    history.record_figures(5, {"eval_loss": 0.1}, "accuracy")
    assert history.best_step == 2 and len(history.losses) == 4
    stops = [history.is_over(TrainConfig(num_steps=1, early_stopping=n)) for n in (1, 2, 3)]
    assert stops == [True, True, False]


class Position:
    def get_state(self):
        return {}


def saved(workdir, losses, keep, keep_best):
    """Saves a checkpoint of {"w": step} for each step and its held-out loss (None: none)."""
    checkpoints, history = Checkpoints(workdir, keep=keep), HeldOutHistory([])
    for step, loss in losses.items():
        if loss is not None:
            history.record(step, loss)
        best = history.best_step if keep_best else None
        params = {"w": jnp.full(2, float(step))}
        moments = {"count": jnp.zeros(1)}
        checkpoints.save(step, params, moments, Position(), eval_loss=loss, best_step=best)
    checkpoints.wait()
    checkpoints.close()
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def weight(workdir, which):
    wanted = {"w": jax.ShapeDtypeStruct((2,), jnp.float32)}
    return float(restore_step(workdir, wanted, which).params["w"][0])


def test_the_best_checkpoint_stays_and_is_found(tmp_path):
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: None, 5: 1.5, 6: 9.0}
    assert saved(tmp_path / "best", losses, 2, True) == [2, 5, 6]
    assert weight(tmp_path / "best", "best") == 2.0
    assert [weight(tmp_path / "best", step) for step in (None, 5, 6)] == [6.0, 5.0, 6.0]
    with pytest.raises(CheckpointError, match="no checkpoint of step 4, expected 2, 5, 6 or best"):
        weight(tmp_path / "best", 4)
    assert saved(tmp_path / "newest", losses, 2, False) == [5, 6]
    assert weight(tmp_path / "newest", "best") == 5.0
    record = tmp_path / "newest" / "config.json"
    record.write_text('{"train": {"keep_best": true}}')
    assert weight(tmp_path / "newest", "best") == 5.0
    record.write_text('{"train": {"keep_best": false}}')
    with pytest.raises(CheckpointError, match=r"newest: the run kept no best step .*it has 5, 6$"):
        weight(tmp_path / "newest", "best")
    assert weight(tmp_path / "newest", None) == 6.0
    saved(tmp_path / "none", {1: None, 2: None}, 2, True)
    with pytest.raises(CheckpointError, match="none of its checkpoints was evaluated"):
        weight(tmp_path / "none", "best")


def test_the_best_checkpoint_may_be_that_of_the_highest_accuracy(tmp_path):
    """By the newest checkpoint's `best_by`, though another has the least loss."""
    checkpoints = Checkpoints(tmp_path, keep=9)
    figures = {1: (1.0, 0.5), 2: (3.0, 0.75), 3: (2.0, 0.75), 4: (0.5, None), 5: (0.6, 0.1)}
    for step, (loss, accuracy) in figures.items():
        params = {"w": jnp.full(2, float(step))}
        checkpoints.save(
            step, params, {"count": jnp.zeros(1)}, Position(),
            eval_loss=loss, accuracy=accuracy, best_by="accuracy" if step < 5 else "loss",
        )  # fmt: skip
        checkpoints.wait()
        if step == 4:
            assert weight(tmp_path, "best") == 2.0
    checkpoints.close()
    assert weight(tmp_path, "best") == 4.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__best_by": "accuracy"}, "accuracy.every is missing: train.best_by 'accuracy'"),
        ({"train__best_by": "acuracy"}, "train.best_by 'acuracy': did you mean accuracy"),
        ({"accuracy__max_tasks": 3}, "accuracy.every is missing"),
        ({"accuracy__every": 0}, "accuracy.every is 0, expected at least 1"),
        ({"accuracy__every": 5, "accuracy__benchmarks": ()}, "accuracy.benchmarks is "),
        ({"accuracy__every": 5, "accuracy__data": {"mbpp": "x"}}, "accuracy.data.mbpp: not among"),
        ({"accuracy__every": 5, "accuracy__max_task": 1}, "accuracy.max_task; did you mean"),
        ({"train__keep_best": True}, "train.eval_every is missing"),
        ({"train__early_stopping": 2}, "train.eval_every is missing"),
        ({"train__early_stopping": -1, "train__eval_every": 2}, "early_stopping is -1"),
    ],
)
def test_contradictions_are_named(data, changes, message):
    with pytest.raises(ConfigError, match=message):
        parse_run(tiny_config(data, **changes))


def test_held_out_losses_need_held_out_records(data, tmp_path):
    config = tiny_config(data, train__keep_best=True, train__eval_every=2, data__eval=None)
    with pytest.raises(ConfigError, match="need held-out records"):
        training.train(config, tmp_path)


@pytest.mark.slow
def test_a_run_ends_early_and_exports_its_best_model(data, tmp_path, capsys):
    """A rate far too high: the held-out loss rises from some evaluation on."""
    config = tiny_config(
        data,
        optimizer__peak_learning_rate=0.3,
        optimizer__min_learning_rate=0.3,
        train__num_steps=40,
        train__eval_every=1,
        train__early_stopping=3,
        train__keep_best=True,
        train__keep_checkpoints=1,
        train__checkpoint_every=100,
    )
    result = training.train(config, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    losses = {row["step"]: row["eval_loss"] for row in rows if "eval_loss" in row}
    best = min(losses, key=losses.get)
    assert result.step == best + 3 == max(losses) < 40
    assert f"ended early at step {best + 3}" in capsys.readouterr().err
    again = training.train(config, tmp_path / "run")
    assert (again.step, again.seconds) == (result.step, 0.0)

    run = f"--checkpoint={tmp_path / 'run'}"
    for step in ("best", str(best)):
        out = tmp_path / step
        assert hf_main(["export", run, f"--output={out}", f"--step={step}"]) == 0
        exported, kept = load_model(out), load_model(tmp_path / "run", step=best)
        for ours, theirs in zip(
            *(jax.tree.leaves(nnx.to_pure_dict(m.params)) for m in (exported, kept)), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    last = load_model(tmp_path / "run").params
    assert not np.array_equal(last["embed_VxD"][...], kept.params["embed_VxD"][...])
    assert hf_main(["export", run, f"--output={tmp_path / 'x'}", "--step=99"]) == 2


@pytest.mark.slow
def test_a_longer_run_is_the_run_of_that_length(data, tmp_path):
    constant = {"optimizer__min_learning_rate": 0.01}
    for steps in (4, 9):
        training.train(tiny_config(data, train__num_steps=steps, **constant), tmp_path / "a")
    training.train(tiny_config(data, train__num_steps=9, **constant), tmp_path / "b")
    found, expected = (
        [row["loss"] for row in read_metrics(tmp_path / name / "metrics.jsonl") if "loss" in row]
        for name in ("a", "b")
    )
    assert found == expected and len(found) == 9


# ---- what may stand beside model.init_from


@pytest.fixture(scope="module")
def base(data, tmp_path_factory):
    """A model directory without weights."""
    directory = tmp_path_factory.mktemp("base")
    config = parse_run(tiny_config(data)).decoder_config(100)
    fields = config_fields(config, dtype="float32", token_ids={})
    (directory / "config.json").write_text(json.dumps(fields))
    return directory, config


def test_rope_may_be_scaled_anew_and_is_exported(base, tmp_path):
    directory, config = base
    for change in (
        {"rope_scaling_factor": 8.0},
        {"rope_scaling_factor": 8.0, "max_positions": 4096},
        {"rope_original_positions": 128, "rope_scaling_factor": 8},
        {"rope_original_positions": 128, "rope_low_turns": 2.0, "rope_high_turns": 3.0},
    ):
        found = resolve_architecture({"init_from": str(directory)} | change, 128, None)
        assert found == dataclasses.replace(config, **change)
        fields = config_fields(found, dtype="float32", token_ids={})
        (tmp_path / "config.json").write_text(json.dumps(fields))
        assert hf.read_config(tmp_path) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 64}, "hidden_size is 64, but 32 in"),
        ({"rope_theta": 5e5}, "rope_theta is 500000.0, but 100000.0 in"),
        ({"qkv_bias": True}, "qkv_bias is True, but False in"),
        ({"max_positions": 4096}, "another context needs another model.rope_scaling_factor"),
        ({"rope_scaling_factor": 8.0, "num_layers": 3}, "num_layers is 3, but 2 in"),
        ({"architecture": "6.7b", "rope_scaling_factor": 8.0}, "vocab_size is 32256, but 100"),
        ({"rope_original_positions": 128, "rope_low_turns": 9.0}, "rope_low_turns=9.0 must be"),
    ],
)
def test_other_fields_must_be_the_models(base, change, message):
    with pytest.raises(ConfigError) as error:
        resolve_architecture({"init_from": str(base[0])} | change, 128, None)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_types_beside_init_from_are_checked(data):
    with pytest.raises(ConfigError, match=r"model.rope_scaling_factor is '8', expected float"):
        parse_run(tiny_config(data, model__init_from="x", model__rope_scaling_factor="8"))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["bfloat16"], "bfloat16"),
        (["float16"], "float16"),
        (["float32"], "float32"),
        (["bfloat16", "float16"], "float32"),
    ],
)
def test_weights_without_a_named_dtype_keep_their_own(base, tmp_path, dtypes, expected):
    fields = json.loads((base[0] / "config.json").read_text())
    del fields["torch_dtype"]
    (tmp_path / "config.json").write_text(json.dumps(fields))
    arrays = {name: np.asarray(jnp.ones(2, name)) for name in dtypes}
    save_file(arrays, tmp_path / "model.safetensors")
    assert stored_dtype(tmp_path) == expected
    (tmp_path / "config.json").write_text(json.dumps(fields | {"dtype": "float16"}))
    assert stored_dtype(tmp_path) == "float16"


@pytest.mark.parametrize(
    ("start", "maker"),
    [
        (
            "runs/quickstart",
            "`semcoder train --config=configs/quickstart.py --workdir=runs/quickstart` trains it",
        ),
        ("models/other", "`semcoder import --source=HF_DIR_OR_ID --output=models/other` brings"),
    ],
)
def test_a_start_that_is_missing_is_named_with_the_command_that_makes_it(
    start, maker, tmp_path, monkeypatch, capsys
):
    """A config as the repository's, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    config = REPOSITORY / "configs" / "grpo_quickstart.py"
    arguments = [f"--config={config}", f"--config.model.init_from={start}", "--workdir=run"]
    assert reinforce.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: config: model.init_from: {start}: no model; ") and maker in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
