"""Tests command lines: overrides work in any order, and each mistake is reported in one line."""

import os

import pytest

from data_pipeline.terminal.config_modules import load_module
from semcoder_jax.commands.config_flags import CommandLineError, parse_arguments
from semcoder_jax.config_files import ConfigFileError

CONFIG = """
from ml_collections import ConfigDict

def get_config():
    return ConfigDict({"train": {"steps": 3, "rate": 0.5}})
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return f"--config={path}"


def test_overrides_may_come_before_the_config(config):
    record, values = parse_arguments(
        ["--config.train.steps=7", "--out=there", config], {"out": ""}, {"other": ""}
    )
    assert record.train.steps == 7
    assert record.train.rate == 0.5
    assert values == {"out": "there", "other": None}


def test_new_fields_only_where_the_caller_knows_their_names(config):
    argv = [config, "--config.train.extra=4"]
    record, _ = parse_arguments(argv, {}, new_fields=True)
    assert record.train.extra == 4
    with pytest.raises(CommandLineError, match="extra"):
        parse_arguments(argv, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config.train.stepz=7"], "stepz"),
        (["--config.optimizer.rate=1"], "no section or field 'optimizer'"),
        (["--config.train.steps=many"], "expected a whole number: 'many'"),
        (["--nope"], "nope"),
        (["stray"], "unexpected argument 'stray'"),
    ],
)
def test_mistakes_are_one_line(config, arguments, said):
    with pytest.raises(CommandLineError, match=said) as caught:
        parse_arguments([config, "--out=there", *arguments], {"out": ""})
    assert len(str(caught.value).splitlines()) == 1


def test_missing_flags_are_named(config, tmp_path):
    with pytest.raises(CommandLineError, match="--out=… is missing"):
        parse_arguments([config], {"out": ""})
    with pytest.raises(CommandLineError, match="--config=… is missing"):
        parse_arguments(["--out=there"], {"out": ""})
    with pytest.raises(ConfigFileError, match=r"absent\.py: no such config file"):
        parse_arguments([f"--config={tmp_path}/absent.py", "--out=there"], {"out": ""})


def test_a_config_changed_within_a_second_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    path = tmp_path / "changed.py"
    for steps in (3, 4):
        path.write_text(CONFIG.replace("3", str(steps)))
        os.utime(path, (0, 0))
        record, _ = parse_arguments([f"--config={path}"], {})
        assert record.train.steps == load_module(path).get_config().train.steps == steps
    assert not list(tmp_path.glob("**/*.pyc"))
