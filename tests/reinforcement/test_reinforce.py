"""Tests whole runs: a bandit learned to its optimum, stopped and resumed ones, meshes, a command.

`python FILE` measures on simulated devices, for JAX fixes their number when it starts.
"""

import itertools
import json
import shutil
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from data_pipeline.errors import UserError
from data_pipeline.pyx.prompts import training_prompt
from data_pipeline.pyx.records import read_jsonl
from semcoder_jax import hf
from semcoder_jax.checkpoints import CheckpointError
from semcoder_jax.config import ConfigError, parse_run
from semcoder_jax.loading import load_adapters, load_model
from semcoder_jax.reinforcement import loop
from semcoder_jax.reinforcement.loop import DriftError, reinforce, stale_rows
from semcoder_jax.reinforcement.prompts import PositionError, Prompts
from semcoder_jax.training import loop as training
from tests.support.bandit import BEST, bandit_config, pull, pull_and_stop_at, steps_of
from tests.support.compiling import QUICK
from tests.support.learnable_calls import learnable_config, write_learnable
from tests.support.simulated_devices import measure_on_devices

slow = pytest.mark.slow
pytestmark = pytest.mark.usefixtures("compiled_once", "one_device")
# A vocabulary with padding, chunks that do not divide a row, and two microbatches.
ALL = {
    "objective": {"kl_weight": 0.05, "passes": 2, "ratio_bound": 1.5},
    "model": {"vocab_size": 300},
    "compute": {"loss_chunk": 20},
    "train": {"accumulation_steps": 2},
}
MESHES = {"one": {"data": 1}, "mixed": {"data": 2, "fsdp": 2, "tensor": 2}}


@slow
def test_a_bandit_is_learned_to_its_optimum(data, tmp_path):
    """From a random model: BEST comes with a chance of about one in sixty at first."""
    config = bandit_config(data, steps=60)
    reinforce(config, tmp_path, judge=pull)
    rewards = [row["reward"] for row in steps_of(tmp_path)]
    assert rewards[0] < 0.3 and np.mean(rewards[-5:]) > 0.98
    model = load_model(tmp_path)
    tokens = np.array(model.tokenizer("Add 1 and 2.")["input_ids"])[None]
    decoder = nnx.merge(model.graphdef, model.params)
    hidden, _ = decoder.hidden(tokens, np.arange(tokens.size)[None], np.ones_like(tokens))
    chances = jax.nn.softmax(decoder.logits(hidden[:, -1]))[0]
    assert chances[BEST] > 0.9  # after a prompt that it has never seen whole


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    """The workdir of a run of five steps without a stop, with all parts of the objective."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    reinforce(bandit_config(data, steps=5, tokens=6, **ALL), workdir, judge=pull)
    return workdir


@slow
def test_engine_and_trainer_agree_and_the_reference_is_the_initial_model(unbroken):
    rows = steps_of(unbroken)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(0 < row["drift"] < 1e-4 for row in rows)
    # Two updates a step: the second of the first is measured after one update from the reference.
    assert all(row["kl"] > 0 for row in rows) and rows[-1]["kl"] > rows[0]["kl"]
    stored = [json.loads(line) for line in (unbroken / "rollouts.jsonl").open(encoding="utf-8")]
    assert len(stored) == 5 * 32
    for row in rows:
        own = [one["reward"] for one in stored if one["step"] == row["step"]]
        assert np.mean(own) == pytest.approx(row["reward"])
    assert len({one["record"] for one in stored}) == 5 * 4  # no prompt twice in a pass


@slow
def test_stopped_and_resumed_it_is_the_same_run(data, unbroken, tmp_path):
    """Stopped by SIGTERM, then by the config, with rows that a kill left behind: bit for bit."""
    config = bandit_config(data, steps=5, tokens=6, **ALL)
    assert reinforce(config, tmp_path, judge=pull_and_stop_at(2)).step == 2
    with open(tmp_path / "rollouts.jsonl", "a") as file:
        file.write('{"step": 3, "record": "nl_0"}\n{"step": 3, "rec')
    config["train"] |= {"stop_after_step": 4}
    assert reinforce(config, tmp_path, judge=pull).step == 4
    config["train"]["stop_after_step"] = None
    assert reinforce(config, tmp_path, judge=pull).step == 5
    assert steps_of(tmp_path) == steps_of(unbroken)
    files = [folder / "rollouts.jsonl" for folder in (tmp_path, unbroken)]
    assert files[0].read_bytes() == files[1].read_bytes()
    ours, theirs = (nnx.to_pure_dict(load_model(w).params) for w in (tmp_path, unbroken))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


class Watch:
    """Notes what a run tells its watch against hangs."""

    def __init__(self, config):
        self.told = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def enter_phase(self, name):
        self.told.append(name)

    def finish_step(self, step):
        self.told.append(step)


@slow
def test_hangs_are_watched_and_a_save_too_long_for_sigterm_is_told(
    data, tmp_path, monkeypatch, capsys
):
    watches = []
    monkeypatch.setattr(
        loop, "HangWatch", lambda config: watches.append(Watch(config)) or watches[0]
    )
    calls = itertools.count(1)

    def judge(records, groups):
        call, until = next(calls), time.monotonic() + 60
        while call > 2 and not (tmp_path / "checkpoints" / "2").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        return pull(records, groups)

    train = {"checkpoint_every": 2, "grace_seconds": 1e-9}
    reinforce(bandit_config(data, steps=5, train=train), tmp_path, judge=judge)
    told = watches[0].told
    phases = [told[: told.index(1)]] + [
        told[told.index(n) : told.index(n + 1)] for n in range(1, 5)
    ]
    assert all("sampling" in each and "judging" in each for each in phases)
    assert "checkpoint" in phases[2]  # after step 2
    assert capsys.readouterr().err.count("a save after SIGTERM takes up to") == 1


@slow
def test_a_run_goes_on_with_its_own_prompts_and_reference_alone(data, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "run")
    path = next((tmp_path / "run" / "checkpoints").glob("5/data/*"))
    state = json.loads(path.read_text())
    config = bandit_config(data, steps=6, tokens=6, **ALL)
    for name in ("records", "reference"):
        path.write_text(json.dumps(state | {name: "0"}))
        with pytest.raises(PositionError, match=f"expected {name} .*got 0"):
            reinforce(config, tmp_path / "run", judge=pull)


@slow
def test_drift_beyond_the_bound_ends_the_run_in_one_line(data, tmp_path):
    config = bandit_config(data, steps=5, tokens=6, **ALL)
    config["rollouts"]["max_drift"] = 1e-12
    with pytest.raises(DriftError, match=r"step 1: log-probabilities of engine and trainer differ"):
        reinforce(config, tmp_path, judge=pull)
    with pytest.raises(CheckpointError):
        load_model(tmp_path)  # nothing was saved


def test_each_command_refuses_the_configs_of_the_other(data, tmp_path):
    config = bandit_config(data, steps=5)
    with pytest.raises(ConfigError, match="semcoder reinforce"):
        training.train(config, tmp_path / "run")
    for name in ("rollouts", "objective", "rewards"):
        del config[name]
    with pytest.raises(ConfigError, match="section rollouts is missing"):
        reinforce(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_model_is_found_before_the_workdir_is_made(data, tmp_path):
    config = bandit_config(data, steps=5)
    config["model"] = {"init_from": str(tmp_path / "nowhere")}
    with pytest.raises(UserError, match="nowhere"):
        reinforce(config, tmp_path / "run")
    for name in ("rollouts", "objective", "rewards"):
        del config[name]
    with pytest.raises(UserError, match="nowhere"):
        training.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": {"tests": 0, "answer": 1.0}}, "none of 100 records is of a kind"),
        ({"data": {"mixture": {"nl": 2.0}}}, "data.mixture.nl is 2.0, expected 1"),
        ({"data": {"mixture": {"nl": 0}}}, "none of 100 records is of a kind"),
        ({"rollouts": {"max_new_tokens": 47}}, "a prompt of at most 2 tokens"),
        ({"train": {"keep_best": True, "eval_every": 1}}, "train.keep_best"),
        (
            {"data": {"source": "tokens", "datasets": {"pyx": "nowhere"}}},
            "data.source 'tokens': expected records",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_compiled(data, tmp_path, changes, message):
    config = bandit_config(data, steps=5, **changes)
    with pytest.raises(ConfigError) as caught:
        reinforce(config, tmp_path / "run", judge=pull)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_pass_asks_every_prompt_once_and_any_step_is_found_by_its_number(data):
    records = list(read_jsonl(data / "train.jsonl"))
    tokenizer = hf.read_tokenizer(data / "tokenizer")
    run = parse_run(bandit_config(data, steps=5))
    prompts = Prompts(records, tokenizer, run)
    assert (len(prompts), prompts.num_steps(2)) == (100, 50)
    passes = [
        [prompt.record.id for step in steps for prompt in prompts.of_step(step)]
        for steps in (range(1, 26), range(26, 51))
    ]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(record.id for record in records)
    assert passes[0] != passes[1] != sorted(passes[1])
    [*_, last] = Prompts(records, tokenizer, run).of_step(50)
    assert last.record.id == passes[1][-1]
    expected = tokenizer(training_prompt(last.record), add_special_tokens=False)["input_ids"]
    assert last.tokens.tolist()[-len(expected) :] == expected


def test_a_group_is_stale_if_one_of_its_answers_is():
    ratios = np.log([1.0, 1.0, 1.6, 1.0, 1.4, 1.0])
    assert stale_rows(ratios, 1.5, 2).tolist() == [False, False, True, True, False, False]


# ==== By the command, judged by the sandbox


@slow
def test_the_command_trains_adapters_by_the_verdicts_of_the_sandbox(tmp_path, capsys):
    from semcoder_jax.commands.reinforce import main
    from tests.support.config_file import write_config_file

    learnable = write_learnable(tmp_path / "learnable")
    before = learnable_config(learnable)
    del before["accuracy"]
    training.train(before, tmp_path / "trained")
    config = learnable_config(
        learnable,
        model__init_from=str(tmp_path / "trained"),
        train__num_steps=2,
        train__eval_every=0,
        accuracy__every=2,
        accuracy__max_tasks=2,
        accuracy__benchmarks=["heldout"],
        rollouts__max_new_tokens=24,
        rollouts__group_size=4,
        rollouts__max_drift=1e-4,
        objective__kl_weight=0.1,
        objective__credit="first_wrong_step",
        rewards__answer=1.0,
        rewards__format=0.5,
        optimizer__warmup_steps=0,
    )
    config["lora"] = {"rank": 4, "base": "float32"}
    workdir = tmp_path / "run"
    path = write_config_file(tmp_path, config)
    assert main([f"--config={path}", f"--workdir={workdir}"]) == 0, capsys.readouterr().err
    assert "step 2 of 2, reward 0." in capsys.readouterr().out
    rows = steps_of(workdir)
    assert all(row["drift"] < 1e-4 and 0 < row["reward"] < 1 for row in rows)
    assert {"reward/answer", "reward/format"} <= set(rows[0])
    stored = [json.loads(line) for line in (workdir / "rollouts.jsonl").open()]
    assert {row["kind"] for row in stored} <= {"forward", "backward"}
    for row in stored:  # the sandbox's verdict: programs here return one number
        if row["kind"] == "forward" and row["terms"]["answer"] == 1.0:
            assert row["answer"].isdigit() and f"== {row['answer']}" in row["text"]
    assert load_adapters(workdir).lora.rank == 4


# ==== On simulated devices


@slow
def test_steps_do_not_depend_on_the_mesh():
    """The same answers, and losses and gradients to rounding."""
    measured = measure_on_devices(8, __file__, flags=QUICK)
    for one, many in zip(measured["one"], measured["mixed"], strict=True):
        assert many["reward"] == one["reward"] and many["drift"] < 1e-4
        assert many["target_tokens"] == one["target_tokens"]
        for number, tolerance in (("loss", 1e-4), ("gradient_norm", 1e-3), ("kl", 1e-3)):
            assert many[number] == pytest.approx(one[number], rel=tolerance, abs=1e-6), number


def measure() -> dict:
    import tempfile

    from semcoder_jax.model import sharding
    from tests.support.tiny_run import write_data

    make_mesh, found = sharding.make_mesh, {}
    with tempfile.TemporaryDirectory() as directory:
        data = write_data(Path(directory) / "data")
        for name, mesh in MESHES.items():
            config = bandit_config(data, steps=2, tokens=4, **ALL) | {"mesh": mesh}
            if name == "one":  # of the eight
                sharding.make_mesh = lambda shape: make_mesh(shape, jax.devices()[:1])
            reinforce(config, Path(directory) / name, judge=pull)
            sharding.make_mesh = make_mesh
            found[name] = steps_of(Path(directory) / name)
    return found


if __name__ == "__main__":
    print(json.dumps(measure()))
