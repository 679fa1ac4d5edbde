"""Tests that training refuses a wrong tokenizer or mesh in one line before it compiles."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_pipeline.tokens.tokenizer_identity import tokenizer_difference, tokenizer_digest
from semcoder_jax import hf
from semcoder_jax.commands.train import main
from semcoder_jax.training import loop as training
from tests.support.compiling import QUICK
from tests.support.config_file import write_config_file
from tests.support.tiny_run import tiny_config

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def other(data, tmp_path_factory):
    """The data's tokenizer with two of its words in each other's place."""
    folder = tmp_path_factory.mktemp("other") / "tokenizer"
    shutil.copytree(data / "tokenizer", folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["Add"], vocabulary["Code"] = vocabulary["Code"], vocabulary["Add"]
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("begun") / "run"
    training.train(tiny_config(data, train__stop_after_step=1), workdir)
    return workdir


def refused(capsys, *arguments):
    """The one line of a command that fails, and compiled nothing."""
    code = main([*map(str, arguments)])
    output = capsys.readouterr()
    assert code == 2 and output.err.count("\n") == 1, output.err
    assert output.err.startswith("error: ") and "compil" not in output.err
    return output.err


def test_a_workdir_of_another_tokenizer(data, other, begun, tmp_path, capsys):
    """The folder that the config names is the same; what lies in it is not."""
    moved = tmp_path / "data"
    shutil.copytree(data, moved)
    workdir = tmp_path / "run"
    training.train(tiny_config(moved, train__stop_after_step=1), workdir)
    capsys.readouterr()
    shutil.copyfile(other / "tokenizer.json", moved / "tokenizer" / "tokenizer.json")
    before = (workdir / "model" / "tokenizer.json").read_bytes()
    path = write_config_file(tmp_path, tiny_config(moved))
    line = refused(capsys, f"--config={path}", f"--workdir={workdir}")
    assert f"{workdir}/model: this workdir was begun with another tokenizer" in line
    assert "token 'Add' is 264 here, 263 there" in line
    assert (workdir / "model" / "tokenizer.json").read_bytes() == before


def test_a_model_of_another_tokenizer(data, other, begun, tmp_path, capsys):
    config = tiny_config(data, model__init_from=str(begun), data__tokenizer=str(other))
    path = write_config_file(tmp_path, config)
    line = refused(capsys, f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert f"({other}) is not that of model.init_from ({begun}): token 'Add' is 264" in line
    assert not (tmp_path / "run" / "config.json").exists()


def test_differences_of_tokenizers(data, other, tmp_path):
    ours = hf.read_tokenizer(data / "tokenizer")
    assert tokenizer_difference(ours, hf.read_tokenizer(data / "tokenizer")) is None
    ids = ours.get_vocab()
    theirs = hf.read_tokenizer(other)
    first = min(("Add", "Code"), key=theirs.get_vocab().get)
    assert tokenizer_difference(ours, theirs) == (
        f"token {first!r} is {ids[first]} here, {theirs.get_vocab()[first]} there"
    )

    more = hf.read_tokenizer(data / "tokenizer")
    more.add_tokens(["<new>"])
    assert "'<new>' is" in tokenizer_difference(more, ours)
    assert tokenizer_difference(more, ours, may_add_tokens=True) is None
    assert "is missing here" in tokenizer_difference(ours, more, may_add_tokens=True)

    end = hf.read_tokenizer(data / "tokenizer")
    end.eos_token = "Add"
    assert "eos_token_id is" in tokenizer_difference(end, ours)

    # The same words, cut in another way: nothing but a text shows that.
    path = tmp_path / "tokenizer"
    shutil.copytree(data / "tokenizer", path)
    content = json.loads((path / "tokenizer.json").read_text())
    letters = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"]["pretokenizers"][0] = letters
    (path / "tokenizer.json").write_text(json.dumps(content))
    assert "same tokens, but a text" in tokenizer_difference(ours, hf.read_tokenizer(path))
    assert len({tokenizer_digest(each) for each in (ours, theirs, more, end)}) == 4
    assert tokenizer_digest(hf.read_tokenizer(data / "tokenizer")) == tokenizer_digest(ours)


EIGHT_DEVICES = """
import sys
from semcoder_jax.commands import train
for change in sys.argv[3:]:
    workdir = f"--workdir={sys.argv[2]}"
    print(train.main([f"--config={sys.argv[1]}", workdir, *change.split()]), flush=True)
"""


@pytest.mark.slow
def test_batches_and_meshes_that_do_not_fit_eight_devices(data, tmp_path):
    path = write_config_file(tmp_path, tiny_config(data))
    mistakes = {
        "--config.mesh.data=8 --config.data.global_batch_size=12": (
            "data.global_batch_size 12 in 1 microbatch(es) gives 12 rows, which the mesh's 8 batch "
            "shards (data x fsdp) do not divide; the next batch size that they divide is 16"
        ),
        "--config.mesh.data=2 --config.mesh.fsdp=4 --config.train.accumulation_steps=2": (
            "gives 4 rows, which the mesh's 8 batch shards"
        ),
        "--config.mesh.data=3": "{'data': 3, 'fsdp': 1, 'tensor': 1} needs 3 devices, found 8",
        "--config.mesh.data=16": "needs 16 devices, found 8",
        "--config.mesh.data=-1 --config.mesh.fsdp=3": "needs 6 devices, found 8",
        "--config.mesh.dta=8": "unknown field mesh.dta; did you mean data?",
    }
    process = subprocess.run(
        [sys.executable, "-c", EIGHT_DEVICES, path, tmp_path / "run", *mistakes],
        env=os.environ
        | {
            "PYTHONPATH": str(REPOSITORY),
            "XLA_FLAGS": f"--xla_force_host_platform_device_count=8 {QUICK}",
            "JAX_PLATFORMS": "cpu",
        },
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert process.stdout.split() == ["2"] * len(mistakes), process.stderr
    lines = process.stderr.splitlines()
    for line, message in zip(lines, mistakes.values(), strict=True):
        assert line.startswith("error: ") and message in line
    assert not (tmp_path / "run").exists()
