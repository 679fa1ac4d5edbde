"""Tests the valid fields of a config, and the one-line error for each mistake."""

import dataclasses
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from semcoder_jax.config import (
    LORA_TARGETS,
    MODELS,
    REMAT_POLICIES,
    ConfigError,
    differing_fields,
    parse_run,
)
from semcoder_jax.model.lora import TARGETS
from semcoder_jax.model.remat import POLICIES
from tests.support.tiny_run import tiny_config


def config(**changes):
    return tiny_config(Path("data"), **changes)


def test_a_record_survives_json_and_config_dict():
    run = parse_run(ConfigDict(config(initialization__offset_heads=(1, 2))))
    assert parse_run(run.to_record()) == run
    assert run.optimizer.peak_learning_rate == 0.01 and run.train.keep_checkpoints == 2


def test_architecture_from_few_fields():
    architecture = parse_run(config()).decoder_config(100)
    assert (architecture.head_dim, architecture.num_kv_heads) == (8, 2)
    assert (architecture.vocab_size, architecture.max_positions) == (100, 128)
    assert parse_run(config(model__vocab_size=128)).decoder_config(100).vocab_size == 128


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data__sequence_lenght": 8},
            "unknown field data.sequence_lenght; did you mean sequence_length?",
        ),
        ({"optimizer__lr": 8}, "unknown field optimizer.lr; expected one of name, "),
        ({"mesh__pipeline": 8}, "unknown field mesh.pipeline; expected one of data, fsdp, tensor"),
        ({"model__hidden": 8}, "unknown field model.hidden; did you mean hidden_size?"),
        ({"data__global_batch_size": "8"}, "data.global_batch_size is '8', expected int"),
        ({"train__num_steps": True}, "train.num_steps is True, expected int or None"),
        ({"train__num_steps": None}, "expected one of train.num_steps and data.num_epochs"),
        ({"train__log_every": 0}, "train.log_every is 0, expected at least 1"),
        ({"train__accumulation_steps": 3}, "global_batch_size 8 is not divisible by train.accum"),
        ({"train__num_steps": 2}, "optimizer.warmup_steps 2 must be below train.num_steps 2"),
        ({"optimizer__warmup_steps": 99}, "optimizer.warmup_steps 99 must be below train.num"),
        ({"train__eval_every": -1}, "train.eval_every is -1, expected at least 0"),
        ({"train__eval_batches": -5}, "train.eval_batches is -5, expected at least 0"),
        ({"train__max_skipped_steps": -1}, "train.max_skipped_steps is -1, expected at least 0"),
        ({"train__skip_gradient_norm": 0.0}, "train.skip_gradient_norm is 0.0, expected more"),
        ({"train__skip_gradient_norm": float("nan")}, "train.skip_gradient_norm is nan, expected"),
        ({"train__keep_checkpoints": 0}, "train.keep_checkpoints is 0, expected at least 1"),
        ({"train__checkpoint_every": 0}, "train.checkpoint_every is 0, expected at least 1"),
        ({"data__source": "json"}, "data.source 'json': did you mean jsonl?"),
        ({"data__tokenizer": None}, "data.tokenizer is missing"),
        ({"data__source": "pyx"}, "data.directory is missing"),
        ({"data__overlong": "cut"}, "data.overlong 'cut'"),
        ({"optimizer__name": "sgd"}, "optimizer.name 'sgd' is none of ['adamw', 'muon']"),
        (
            {"optimizer__peak_learning_rate": float("nan")},
            "peak_learning_rate nan must be positive",
        ),
        ({"optimizer__adam_peak_learning_rate": -1.0}, "adam_peak_learning_rate -1.0 must be pos"),
        ({"optimizer__b1": 2.0}, "optimizer.b1 2.0 must be 0 to below 1"),
        ({"optimizer__b2": float("nan")}, "optimizer.b2 nan must be 0 to below 1"),
        ({"optimizer__muon_momentum": 1.0}, "optimizer.muon_momentum 1.0 must be 0 to below 1"),
        ({"optimizer__clip_norm": -1.0}, "optimizer.clip_norm -1.0 must not be negative"),
        ({"optimizer__weight_decay": float("inf")}, "optimizer.weight_decay inf must not be neg"),
        ({"optimizer__eps": 0.0}, "optimizer.eps 0.0 must be positive"),
        ({"optimizer__muon_update_rms": 0.0}, "optimizer.muon_update_rms 0.0 must be positive"),
        ({"model__architecture": "6.7"}, "model.architecture '6.7': did you mean 6.7b?"),
        ({"model__init_from": "x", "initialization__offset_heads": [1]}, "drop initialization"),
        ({"initialization__offset_heads": 1}, "initialization.offset_heads is 1, expected tuple"),
        ({"initialization__matching_heads": 1}, "initialization.offset_heads: []"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(ConfigError) as error:
        parse_run(config(**changes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_named_architecture_and_what_differs_from_it():
    run = parse_run(config() | {"model": {"architecture": "6.7b", "num_layers": 2}})
    assert run.decoder_config(32_022) == dataclasses.replace(MODELS["6.7b"], num_layers=2)


def test_mistakes_of_sections():
    with pytest.raises(ConfigError, match="section train is missing"):
        parse_run({"model": {}, "data": {}})
    with pytest.raises(ConfigError, match=r"unknown field trian; did you mean train\?"):
        parse_run(config() | {"trian": {}})
    with pytest.raises(ConfigError, match="data must be a section"):
        parse_run(config() | {"data": 3})
    with pytest.raises(ConfigError, match=r"compute.dtype 'float23': did you mean float32\?"):
        parse_run(config() | {"compute": {"dtype": "float23"}})
    with pytest.raises(ConfigError, match=r"compute.attention 'flsh': did you mean flash\?"):
        parse_run(config() | {"compute": {"attention": "flsh"}})
    with pytest.raises(ConfigError, match=r"compute.remat 'dots': "):
        parse_run(config() | {"compute": {"remat": "dots"}})
    with pytest.raises(ConfigError, match="vocab_size 8 is below the tokenizer's 100"):
        parse_run(config(model__vocab_size=8)).decoder_config(100)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("hidden_size", 0, "at least 1"),
        ("num_layers", -1, "at least 1"),
        ("num_heads", 0, "at least 1"),
        ("intermediate_size", 0, "at least 1"),
        ("head_dim", 0, "at least 1"),
        ("max_positions", 0, "at least 1"),
        ("rope_original_positions", -8, "0 or more"),
        ("rope_theta", 0.0, "a positive number"),
        ("rope_scaling_factor", -2.0, "a positive number"),
        ("rms_norm_eps", float("inf"), "a positive number"),
        ("initializer_range", float("nan"), "a positive number"),
    ],
)
def test_sizes_that_no_model_has_are_one_line(field, value, expected):
    with pytest.raises(ConfigError) as error:
        parse_run(config(**{f"model__{field}": value})).decoder_config(100)
    assert str(error.value) == f"config: model.{field} is {value}, expected {expected}"


def test_differing_fields_leave_out_what_is_harmless():
    run = parse_run(config())
    other = parse_run(config(optimizer__b2=0.9, train__log_every=1, mesh__data=8))
    assert differing_fields(run, other) == {"optimizer.b2": (0.999, 0.9)}
    more = parse_run(config(train__num_steps=13))
    assert differing_fields(run, more) == {"train.num_steps": (12, 13)}
    # A default written out is no difference.
    assert differing_fields(run, parse_run(config(optimizer__b1=0.9))) == {}


def test_every_allowed_name_is_one_that_the_model_knows():
    assert set(REMAT_POLICIES) == set(POLICIES)
    assert set(LORA_TARGETS) == set(TARGETS)
