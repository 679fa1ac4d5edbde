"""Tests that every training config is valid and its docstring is a complete experiment record."""

import importlib.util
from pathlib import Path

import pytest

from semcoder_jax.config import parse_run, parse_study
from semcoder_jax.training.optimizer import make_optimizer

STUDIES = sorted((Path(__file__).parents[2] / "configs" / "reproduction").glob("*.py"))
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_sound_and_says_what_it_is(path):
    module = load(path)
    run = parse_run(module.get_config())
    make_optimizer(run.optimizer, run.train.num_steps or 200)
    for part in ("Reproduces:", "Command", f"configs/{path.name}", "Hardware:"):
        assert part in module.__doc__
    # 256 real ids and those of the family's tokenizer: both fit what the config says.
    vocab_size = 32_022 if "architecture" in run.model else 256
    config = run.decoder_config(vocab_size)
    assert config.max_positions >= run.data.sequence_length


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_is_sound_and_says_what_it_is(path):
    module = load(path)
    study, run = parse_study(module.get_config())
    assert study.seeds >= 3
    make_optimizer(run.optimizer, run.train.num_steps or 200)
    for part in ("Reproduces:", "Command", f"configs/reproduction/{path.name}", "Hardware:"):
        assert part in module.__doc__
