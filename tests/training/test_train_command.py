"""Tests how the training command reports user errors."""

import pytest

from tests.support.config_file import write_config_file
from tests.support.tiny_run import tiny_config
from tests.support.training_command import run_command

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, ["--config.train.num_stepz=3"], "field train.num_stepz; did you mean num_steps?"),
        ({}, ["--config.trian.num_steps=3"], 'Did you mean "train" instead of "trian"?'),
        ({}, ["--config.train.num_steps=three"], "--config.train.num_steps=three"),
        (
            {},
            ["--config.train.accumulation_steps=3"],
            "train.accumulation_steps 3",
        ),
        ({}, ["--workdri=x"], "'workdri'. Did you mean: workdir"),
        ({}, ["surplus"], "unexpected argument 'surplus'"),
        ({"train__num_stepz": 3}, [], "train.num_stepz; did you mean num_steps?"),
        ({"data__train": "gone.jsonl"}, [], "data.train: gone.jsonl: no such file"),
        ({"data__tokenizer": "gone"}, [], "gone/tokenizer.json: no such file"),
        ({"mesh__data": 3}, [], "needs 3 devices"),
        ({"data__sequence_length": 0}, [], "data.sequence_length is 0"),
        ({"optimizer__warmup_steps": 12}, [], "optimizer.warmup_steps 12 must be below"),
        ({"model__num_kv_heads": 3}, [], "num_kv_heads=3 must divide num_heads=4"),
        ({"model__num_heads": 7}, [], "is no multiple of num_heads 7, and model.head_dim is not"),
        ({"initialization__offset_heads": [1]}, [], "4 query heads share 2"),
        ({"data__source": "synthetic", "data__synthetic": {"function": 3}}, [], "functions?"),
        ({"data__source": "synthetic", "data__synthetic": {"functions": "3"}}, [], "expected int"),
        ({"data__source": "synthetic", "data__synthetic": {"functions": 0}}, [], "functions=0"),
        ({"model__vocab_size": 5}, [], "model.vocab_size 5 is below the tokenizer's"),
    ],
)
def test_mistakes_end_in_one_line(data, tmp_path, capsys, changes, arguments, message):
    path = write_config_file(tmp_path, tiny_config(data, **changes))
    workdir = tmp_path / "run"
    code, output = run_command(capsys, f"--workdir={workdir}", f"--config={path}", *arguments)
    assert code == 2
    assert message in output.err
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert not (workdir / "config.json").exists() and not (workdir / "checkpoints").exists()


def test_a_shape_that_cannot_be_is_told_before_any_data_is_made(data, tmp_path, capsys):
    for change, told in (
        ({"model__num_layers": 0}, "config: model.num_layers is 0, expected at least 1"),
        ({"model__num_kv_heads": 3}, "config: model.num_kv_heads=3 must divide num_heads=4"),
    ):
        config = tiny_config(data, data__source="synthetic", **change)
        path = write_config_file(tmp_path, config)
        code, output = run_command(capsys, f"--workdir={tmp_path / 'run'}", f"--config={path}")
        assert code == 2 and output.err == f"error: {told}\n"
        assert not (tmp_path / "run" / "corpus").exists()


def test_functions_of_which_none_is_held_out_are_refused(data, tmp_path, capsys):
    one = {"functions": 1, "workers": 1}
    config = tiny_config(data, data__source="synthetic", data__synthetic=one)
    path = write_config_file(tmp_path, config)
    code, output = run_command(capsys, f"--workdir={tmp_path / 'run'}", f"--config={path}")
    last = output.err.splitlines()[-1]  # below the bar of the drawing
    assert code == 2
    assert last.startswith("error: config: data.synthetic.functions: of 1 none is for eval")


def test_a_workdir_of_checkpoints_alone_is_refused(data, tmp_path, capsys):
    """Such as an imported model: training would otherwise ignore it, or go on from it by chance."""
    path = write_config_file(tmp_path, tiny_config(data))
    (tmp_path / "run" / "checkpoints" / "0").mkdir(parents=True)
    code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert code == 2 and "model.init_from" in output.err and output.err.count("\n") == 1


def test_mistakes_before_any_config(tmp_path, capsys):
    for arguments, message in [
        ([f"--workdir={tmp_path}"], "--config=… is missing"),
        (["--config=gone.py", f"--workdir={tmp_path}"], "gone.py"),
    ]:
        code, output = run_command(capsys, *arguments)
        assert code == 2 and message in output.err and output.err.count("\n") == 1
    path = tmp_path / "config.py"
    path.write_text("def get_config():\n    return undefined\n")
    code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path}")
    assert code == 2 and "name 'undefined' is not defined" in output.err
    path = write_config_file(tmp_path, {"model": {}})
    code, output = run_command(capsys, f"--config={path}")
    assert code == 2 and "--workdir=… is missing" in output.err


def test_a_malformed_row_is_named(data, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "nl_0", "nl": "x", "response": 3}\n')
    path = write_config_file(tmp_path, tiny_config(data, data__train=str(rows)))
    code, output = run_command(capsys, f"--config={path}", f"--workdir={tmp_path}/run")
    assert code == 2 and "rows.jsonl:1" in output.err and output.err.count("\n") == 1
