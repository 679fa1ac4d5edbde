"""Resolves the architecture of the model that a run trains."""

import dataclasses
import math
from collections.abc import Mapping

from data_pipeline.files import AnyPath, as_path
from semcoder_jax import hf
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.config import MODELS, ConfigError, DecoderConfig, build_decoder_config

_QUICKSTART = "runs/quickstart"  # the workdir of launch/quickstart.sh

# A model can go on with another scaling of RoPE, and with the context that it is scaled for.
SCALING = frozenset(
    {
        "rope_scaling_factor",
        "rope_original_positions",
        "rope_low_turns",
        "rope_high_turns",
        "max_positions",
    }
)


def resolve_architecture(model: Mapping, sequence_length: int, tokenizer) -> DecoderConfig:
    """Returns the architecture of the `model` section, or of the model it starts from.

    The section may scale the RoPE of `model.init_from` anew. Raises ConfigError if another of its
    fields differs from that model.
    """
    if "init_from" not in model:
        return build_decoder_config(
            model, vocab_size=hf.tokenizer_size(tokenizer), sequence_length=sequence_length
        )
    source = as_path(model["init_from"])
    folder = source / MODEL if (source / MODEL).is_dir() else source
    if not (folder / "config.json").exists():
        raise ConfigError(f"config: model.init_from: {source}: no model; {_maker(source)}")
    found = hf.read_config(folder)
    own = {name: model[name] for name in model if name not in ("init_from", "architecture")}
    named = dataclasses.asdict(MODELS[model["architecture"]]) if "architecture" in model else {}
    rescaled = {name: own[name] for name in own if name in SCALING}
    _check_equal(named | own, found, source, ignored={"initializer_range", *rescaled})
    return _rescale(found, rescaled, source)


def _maker(source: AnyPath) -> str:
    """Names the commands that put a model where a config looks for one."""
    if source == as_path(_QUICKSTART):
        return f"`semcoder train --config=configs/quickstart.py --workdir={source}` trains it"
    return (
        f"`semcoder import --source=HF_DIR_OR_ID --output={source}` brings one, "
        f"`semcoder train --config=FILE.py --workdir={source}` trains one"
    )


def check_start(model: Mapping, sequence_length: int) -> None:
    """Raises a UserError if the model that a run starts from is missing or differs."""
    if "init_from" in model:
        resolve_architecture(model, sequence_length, None)


def _check_equal(given: Mapping, found: DecoderConfig, source: AnyPath, ignored: set[str]) -> None:
    for name, value in given.items():
        # initializer_range applies to new parameters only.
        if name not in ignored and not math.isclose(value, getattr(found, name), rel_tol=1e-6):
            raise ConfigError(
                f"config: model: {name} is {value}, but {getattr(found, name)} in "
                f"model.init_from ({source})"
            )


def _rescale(found: DecoderConfig, fields: Mapping, source: AnyPath) -> DecoderConfig:
    """Returns `found` with another scaling of RoPE. Raises ConfigError."""
    try:
        scaled = dataclasses.replace(found, **fields)
    except ValueError as error:
        raise ConfigError(f"config: model: {error}") from None
    is_same_scaling = dataclasses.replace(scaled, max_positions=found.max_positions) == found
    if scaled != found and is_same_scaling:
        raise ConfigError(
            f"config: model: max_positions is {scaled.max_positions}, but {found.max_positions} in "
            f"model.init_from; another context needs another model.rope_scaling_factor"
        )
    return scaled
