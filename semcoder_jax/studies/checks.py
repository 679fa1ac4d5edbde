"""Checks a study before anything of it is made, so that no stage finds a mistake hours later."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipeline.errors import UserError
from data_pipeline.files import is_remote
from data_pipeline.pyx.records import read_jsonl
from semcoder_jax.config import (
    ConfigError,
    DecoderConfig,
    RunConfig,
    build_decoder_config,
    parse_run,
)
from semcoder_jax.model.sharding import make_mesh
from semcoder_jax.training.architecture import resolve_architecture
from semcoder_jax.training.loop import check_batch, check_precision
from semcoder_jax.training.state import TrainSetup
from semcoder_jax.training.wandb_sink import check_wandb

_MADE_VOCABULARY = 1024  # tokens, where the study makes the tokenizer: any mesh divides them


def check_recipe(recipe: RunConfig) -> None:
    """Raises ConfigError for a recipe that no study can use; needs no device and no file."""
    if recipe.train.num_steps is None:
        raise ConfigError("config: train.num_steps is missing: all models see as many steps")
    for name, value in (
        ("accuracy", recipe.accuracy),
        ("rollouts", recipe.rollouts),
        ("train.stop_after_step", recipe.train.stop_after_step),
        ("train.early_stopping", recipe.train.early_stopping),
    ):
        if value:
            raise ConfigError(
                f"config: {name}: not in a study, which sets the length of its trainings and "
                "measures by itself"
            )


def check_training(
    record: Mapping[str, Any], *, starts_from_study: bool = False
) -> tuple[RunConfig, DecoderConfig]:
    """Checks a training of a study on this machine's devices; returns it and its architecture.

    starts_from_study: `model.init_from` is a model that the study trains before.

    Raises a UserError.
    """
    if starts_from_study:
        model = {name: value for name, value in record["model"].items() if name != "init_from"}
        record = {**record, "model": model}
    run = parse_run(record)
    mesh = make_mesh(run.mesh)
    check_batch(run.data, run.train, mesh)
    check_precision(run.compute)
    check_wandb(run.train.wandb_project)
    config = _architecture(run)
    setup = TrainSetup.of(run, config, run.train.num_steps or 1, mesh)
    setup.trainable.check_load()
    return run, config


def _architecture(run: RunConfig) -> DecoderConfig:
    length = run.data.sequence_length
    if "init_from" in run.model:
        return resolve_architecture(run.model, length, None)
    vocabulary = run.model.get("vocab_size", _MADE_VOCABULARY)
    return build_decoder_config(run.model, vocab_size=vocabulary, sequence_length=length)


def check_answer_length(max_new_tokens: int, config: DecoderConfig) -> None:
    """Raises ConfigError if an answer leaves no room for a prompt in the model's context."""
    if max_new_tokens >= config.max_positions:
        raise ConfigError(
            f"config: study.max_new_tokens is {max_new_tokens}, expected less than "
            f"model.max_positions ({config.max_positions}), which also holds the prompt"
        )


def check_records(field: str, path: str) -> None:
    """Raises ConfigError unless the file that a field names begins with a record."""
    if is_remote(path):
        raise ConfigError(f"config: {field}: {path}: expected a local file")
    try:
        first = next(iter(read_jsonl(Path(path))), None)
    except UserError as error:
        raise ConfigError(f"config: {field}: {error}") from None
    if first is None:
        raise ConfigError(f"config: {field}: {path}: holds no record")
