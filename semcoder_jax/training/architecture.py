"""Resolves the architecture of the model that a run trains."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

from semcoder_jax import hf
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.config import ConfigError, DecoderConfig, build_decoder_config


def resolve_architecture(model: Mapping, sequence_length: int, tokenizer) -> DecoderConfig:
    """Returns the architecture of the `model` section, or of the model it starts from.

    Raises ConfigError if the section has both and they differ.
    """

    def build_from_section() -> DecoderConfig:
        return build_decoder_config(
            model, vocab_size=hf.tokenizer_size(tokenizer), sequence_length=sequence_length
        )

    if "init_from" not in model:
        return build_from_section()
    source = Path(model["init_from"])
    found = hf.read_config(source / MODEL if (source / MODEL).is_dir() else source)
    if len(model) > 1:
        given = dataclasses.asdict(build_from_section())
        del given["initializer_range"]  # applies to new parameters only
        for name, value in given.items():
            if not math.isclose(value, getattr(found, name), rel_tol=1e-6):
                raise ConfigError(
                    f"config: model: {name} is {value}, but {getattr(found, name)} in "
                    f"model.init_from ({source})"
                )
    return found
