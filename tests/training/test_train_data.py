"""Tests the data of a training config: prepared tokens, mixtures, and refused data."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaConfig

from data_pipeline.tokens.tokenize import prepare
from data_pipeline.toy.vocabulary import train_tokenizer
from semcoder_jax.commands.train import main
from semcoder_jax.config import parse_run
from semcoder_jax.training import data as train_data
from semcoder_jax.training.loop import train
from semcoder_jax.training.workdir import LOCK_FILE
from tests.support.config_file import write_config_file
from tests.support.sections import data_of
from tests.support.tiny_run import tiny_config, write_data

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rows of kind nl and their tokens, 20 of instruction data and theirs, another tokenizer."""
    folder = write_data(tmp_path_factory.mktemp("data"))
    rows = [{"instruction": f"Add {n} and 1.", "response": f"{n + 1}"} for n in range(20)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = folder / "tokenizer"
    prepare(
        [folder / "train.jsonl"],
        tokenizer,
        folder / "tokens",
        held_out=[folder / "eval.jsonl"],
        shard_records=32,
    )
    prepare([folder / "rows.jsonl"], tokenizer, folder / "more")
    train_tokenizer(["another one"], 100).save_pretrained(folder / "another")
    prepare([folder / "rows.jsonl"], folder / "another", folder / "foreign")
    return folder


def tokens_config(data, names=("tokens",), **changes) -> dict:
    config = tiny_config(data, data__source="tokens", **changes)
    for name in ("train", "eval", "tokenizer"):
        del config["data"][name]
    config["data"]["datasets"] = {name: str(data / name) for name in names}
    return config


def batches(config, workdir, count: int) -> list:
    opened = data_of(parse_run(config), workdir)
    held_out = [opened.eval.batch(step) for step in range(opened.eval.num_steps())]
    return [next(opened.train) for _ in range(count)] + held_out, opened


def test_tokens_give_the_batches_of_the_records(data, tmp_path, monkeypatch):
    monkeypatch.setattr(train_data, "PLANS_KEPT_FROM", 100)
    of_records, opened = batches(tiny_config(data), tmp_path / "a", 12)
    of_tokens, opened_tokens = batches(tokens_config(data), tmp_path / "b", 12)
    for ours, expected in zip(of_tokens, of_records, strict=True):
        assert all(np.array_equal(ours[name], expected[name]) for name in expected)
    assert opened_tokens.record_ids(7) == opened.record_ids(7)
    assert len(opened.record_ids(7)) > 8
    plans = sorted((tmp_path / "b" / "packs").glob("epoch_*.npz"))
    # 12 steps of 8 rows are more than two epochs of 100 short records, and planned beforehand.
    assert len(plans) >= 3


@pytest.mark.slow
def test_of_two_processes_one_plans_and_both_get_their_rows(data, tmp_path):
    config = tokens_config(data, ("tokens", "more"), data__mixture={"instruction": 2.5})
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    script = REPOSITORY / "tests" / "support" / "data_process.py"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(REPOSITORY)}
    outputs = [tmp_path / f"{index}.npz" for index in range(2)]
    command = [sys.executable, script, coordinator, "2"]
    pair = [
        subprocess.Popen(
            [*command, str(index), json.dumps(config), tmp_path / "shared", output],
            env=environment,
        )
        for index, output in enumerate(outputs)
    ]
    assert [process.wait(timeout=120) for process in pair] == [0, 0]
    expected = data_of(parse_run(config), tmp_path / "alone").train
    halves = [np.load(output) for output in outputs]
    for step in range(10):
        for name, array in next(expected).items():
            parts = [half[name][step] for half in halves]
            assert [len(part) for part in parts] == [4, 4]
            assert np.array_equal(np.concatenate(parts), array)


@pytest.mark.slow
def test_a_mixture_of_datasets_trains_and_goes_on(data, tmp_path):
    config = tokens_config(
        data,
        ("tokens", "more"),
        data__mixture={"instruction": 2.0, "tokens": 0.5},
        data__packing_window=16,
        train__num_steps=6,
        train__checkpoint_every=3,
    )
    unbroken = train(config, tmp_path / "whole")
    config["train"]["stop_after_step"] = 3
    train(config, tmp_path / "parts")
    # Folders may be moved between two sessions.
    moved = data / "moved"
    shutil.copytree(data / "more", moved, dirs_exist_ok=True)
    config["data"]["datasets"]["more"] = str(moved)
    config["train"]["stop_after_step"] = None
    resumed = train(config, tmp_path / "parts")
    assert (resumed.step, resumed.eval_loss) == (unbroken.step, unbroken.eval_loss)
    opened = data_of(parse_run(config), tmp_path / "parts")
    lines = [line.split() for line in opened.mixture.splitlines()[2:]]
    assert [line[:5] for line in lines] == [
        ["more", "instruction", "20", "2", "40"],
        ["tokens", "nl", "100", "0.5", "50"],
    ]


def refused(config, workdir, capsys, tmp_path) -> str:
    """What the command says of a config; it must be one line, and the exit code 2."""
    path = write_config_file(tmp_path, config)
    assert main([f"--config={path}", f"--workdir={workdir}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and lines[-1] == errors[0]
    return errors[0]


def test_what_cannot_be_mixed_or_read_is_told_in_one_line(data, tmp_path, capsys):
    def said(config) -> str:
        return refused(config, tmp_path / "run", capsys, tmp_path)

    wrong = tokens_config(data, data__mixture={"froward": 2.0})
    assert "data.mixture: 'froward' is neither a kind nor a dataset; did you mean for" in said(
        wrong
    )
    assert "data.mixture: nl: expected a weight" in said(
        tokens_config(data, data__mixture={"nl": -1.0})
    )
    assert "mixture: refine: expected the name of records in the data; got only nl, tokens" in said(
        tokens_config(data, data__mixture={"refine": 1.0})
    )
    assert "data.datasets is missing" in said(tokens_config(data, ()))
    assert "data.datasets: only for data.source 'tokens'" in said(
        tiny_config(data, data__datasets={"x": "y"})
    )
    assert "nothing: expected prepared tokens (manifest.json); make them" in said(
        tokens_config(data, ("nothing",))
    )
    assert "data.source 'token': did you mean tokens?" in said(
        tiny_config(data, data__source="token")
    )
    assert not (tmp_path / "run" / "config.json").exists()


def test_another_tokenizer_is_told_in_one_line(data, tmp_path, capsys):
    def said(config, workdir="run") -> str:
        return refused(config, tmp_path / workdir, capsys, tmp_path)

    # Of one dataset beside another; than data.tokenizer names.
    assert f"{data}/tokens: expected tokens of {data}/foreign's tokenizer" in said(
        tokens_config(data, ("foreign", "tokens"))
    )
    named = tokens_config(data)
    named["data"]["tokenizer"] = str(data / "another")
    assert f"{data}/tokens: expected tokens of the model's tokenizer" in said(named)
    # Than the model's that it starts from, and than that of the run in the workdir.
    model = tmp_path / "model"
    shutil.copytree(data / "another", model)
    LlamaConfig(
        vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2,
    ).save_pretrained(model)  # fmt: skip
    started = tokens_config(data)
    started["model"] = {"init_from": str(model)}
    assert f"is not that of model.init_from ({model}): token " in said(started)
    shutil.copytree(data / "another", tmp_path / "begun" / "model")
    (tmp_path / "begun" / LOCK_FILE).touch()  # as a run leaves it
    assert "was begun with another tokenizer" in said(tokens_config(data), "begun")
