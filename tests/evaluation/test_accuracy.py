"""Tests the accuracy that is measured while a model trains: counts, mistakes, and whole runs."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.files import read_rows
from semcoder_jax.commands.hf import main as hf_main
from semcoder_jax.config import AccuracyConfig, ConfigError, DataConfig, parse_run
from semcoder_jax.errors import UserError
from semcoder_jax.evaluation import accuracy
from semcoder_jax.inference.generate import Generation
from semcoder_jax.loading import load_model
from semcoder_jax.training import loop as training
from semcoder_jax.training.metrics import read_metrics
from tests.support.compiling import QUICK
from tests.support.config_file import write_config_file
from tests.support.learnable_calls import learnable_config, write_learnable
from tests.support.random_runs import write_problems

REPOSITORY = Path(__file__).parents[2]
DATA = DataConfig("jsonl", sequence_length=8, global_batch_size=8)


class KnownAnswers:
    """A source in the model's place: the first `right` answers of each benchmark are right."""

    def __init__(self, rows, right):
        self.rows, self.right = rows, right
        self.asked = []

    def __call__(self, model, identity, *, name, batch_size, speculation):
        assert speculation == "off"  # drafts are chosen by timing
        return self

    def stream(self, prompts, params, *, row_seeds, progress):
        self.asked.append((len(prompts), params.temperature, params.max_new_tokens))
        for i, row in reversed(list(enumerate(self.rows[: len(prompts)]))):
            assert row["program"].splitlines()[0] in prompts[i]
            answer = f"assert {row['call']} == {row['output']}" if i < self.right else "no"
            yield i, Generation(f"[ANSWER]{answer}[/ANSWER]", (), "stop")


def test_right_answers_are_counted_by_benchmark(tmp_path, monkeypatch):
    path = write_problems(tmp_path / "problems.jsonl", 6)
    source = KnownAnswers([row for _, row in read_rows(path)], right=2)
    monkeypatch.setattr(accuracy, "ModelSource", source)
    config = AccuracyConfig(every=1, max_tasks=5, max_new_tokens=9, data={"heldout": str(path)})
    data = dataclasses.replace(DATA, eval=str(tmp_path / "eval.jsonl"))
    measure = accuracy.open_accuracy(config, data, tmp_path)
    assert measure(None) == {"heldout": 2 / 5, "heldout_backward": 2 / 5}
    assert source.asked == [(5, 0.0, 9)] * 2


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        ({"benchmarks": ("mmlu",)}, {}, "accuracy.benchmarks: 'mmlu': expected some of heldout"),
        ({}, {}, "accuracy.data.heldout is missing: no problems.jsonl belongs to data.source"),
        ({}, {"eval": "nowhere/eval.jsonl"}, "no problems.jsonl in nowhere"),
        ({}, {"source": "pyx", "directory": "nowhere"}, "no problems.jsonl in nowhere"),
        ({}, {"source": "tokens"}, "belongs to data.source 'tokens'"),
        ({"data": {"heldout": "nowhere.jsonl"}}, {}, "nowhere.jsonl: cannot read the file"),
        ({"variant": "spoken"}, {"eval": "HERE"}, "accuracy.variant 'spoken': heldout knows mono"),
    ],
)
def test_mistakes_are_one_clear_line(changes, data, message, tmp_path):
    if data.get("eval") == "HERE":
        write_problems(tmp_path / "problems.jsonl", 1)
        data = {"eval": str(tmp_path / "eval.jsonl")}
    with pytest.raises(UserError) as caught:
        accuracy.open_accuracy(
            AccuracyConfig(every=1, **changes), dataclasses.replace(DATA, **data), tmp_path
        )
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_train_itself_knows_no_benchmarks(data, tmp_path):
    with pytest.raises(ConfigError, match="passes no open_accuracy"):
        training.train(learnable_config(data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ==== Whole runs


@pytest.fixture(scope="module")
def learnable(tmp_path_factory):
    return write_learnable(tmp_path_factory.mktemp("learnable"))


def train(config, workdir):
    return training.train(config, workdir, open_accuracy=accuracy.open_accuracy)


def values(workdir, key):
    return [row[key] for row in read_metrics(workdir / "metrics.jsonl") if key in row]


@pytest.fixture(scope="module")
def whole(learnable, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole") / "run"
    config = learnable_config(learnable, train__keep_best=True, train__best_by="accuracy")
    return train(config, workdir), workdir


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once")
def test_accuracies_are_those_of_an_evaluation(whole, learnable, tmp_path):
    """`evaluate` on each checkpoint, exported: another way to the weights, and drafts."""
    from semcoder_jax.commands.evaluate import main as evaluate_main
    from semcoder_jax.evaluation.results import read_runs

    result, workdir = whole
    rows = {
        row["step"]: row for row in read_metrics(workdir / "metrics.jsonl") if "accuracy" in row
    }
    assert sorted(rows) == [16, 32, 48]
    for name in ("heldout", "heldout_backward"):
        for step, row in rows.items():
            out = tmp_path / f"{name} {step}"
            if name == "heldout":
                export = ["export", f"--checkpoint={workdir}", f"--output={tmp_path / str(step)}"]
                assert hf_main([*export, f"--step={step}"]) == 0
            line = [
                f"--config=configs/eval/{name}.py", f"--checkpoint={tmp_path / str(step)}",
                f"--workdir={out}", f"--config.data={learnable / 'problems.jsonl'}",
                "--config.variants=('direct',)", "--config.sampling.max_new_tokens=24",
            ]  # fmt: skip
            assert evaluate_main(line) == 0
            (run,) = read_runs(out / "result.json")
            assert row[f"accuracy/{name}"] == run.scores[0].right / 12
    means = {
        s: (r["accuracy/heldout"] + r["accuracy/heldout_backward"]) / 2 for s, r in rows.items()
    }
    assert {step: row["accuracy"] for step, row in rows.items()} == means
    assert result.accuracy == means[48]
    assert len(set(means.values())) > 1 and max(means.values()) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once")
def test_training_and_resumption_are_not_disturbed(whole, learnable, tmp_path):
    """Stopped between two measurements, and trained without any: the numbers are the same."""
    _, workdir = whole
    only_forward = {"accuracy__benchmarks": ("heldout",)}
    for stop in (20, None):
        config = learnable_config(learnable, train__stop_after_step=stop, **only_forward)
        train(config, tmp_path / "parts")
    plain = learnable_config(learnable, train__stop_after_step=20)
    del plain["accuracy"]
    training.train(plain, tmp_path / "plain")
    for key in ("accuracy/heldout", "eval_loss", "loss"):
        assert values(tmp_path / "parts", key) == values(workdir, key)
    assert values(tmp_path / "plain", "loss") == values(workdir, "loss")[:20]


@pytest.mark.slow
@pytest.mark.exclusive
def test_two_processes_measure_what_one_device_does(learnable, tmp_path, compiled_programs):
    """On a mesh that splits all parameters, over both processes."""
    config = learnable_config(
        learnable,
        train__num_steps=64,
        accuracy__every=64,
        accuracy__benchmarks=("heldout",),
    )
    config["mesh"] = {"data": 1, "fsdp": 2, "tensor": 2}
    file = write_config_file(tmp_path, config)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count=2 {QUICK}",
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(compiled_programs),
    }
    group = [f"--coordinator=localhost:{port}", "--num_processes=2"]
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "launch.worker", f"--config={file}", f"--workdir={workdir}"]
    processes = [
        subprocess.Popen(
            [*command, *group, f"--process_id={index}"],
            env=environment, cwd=REPOSITORY, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for index in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=280) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said[0][1][-3000:]
    run = parse_run(config)
    measure = accuracy.open_accuracy(run.accuracy, run.data, workdir)
    expected = measure(load_model(workdir))["heldout"]
    assert values(workdir, "accuracy/heldout") == [expected]
    assert expected > 0
    assert all(f"accuracy {expected:.1%}" in out for out, _ in said)
