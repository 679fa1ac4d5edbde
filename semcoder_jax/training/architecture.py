"""The architecture of the model that a run trains."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

from semcoder_jax import hf
from semcoder_jax.checkpoints import MODEL
from semcoder_jax.config import ConfigError, DecoderConfig, build_decoder_config


def resolve_architecture(model: Mapping, sequence_length: int, tokenizer) -> DecoderConfig:
    """The architecture that the `model` section gives, or that of the model it starts from.

    Raises ConfigError if it gives one that differs from that model's.
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
        del given["initializer_range"]  # of parameters that are new
        for name, value in given.items():
            if not math.isclose(value, getattr(found, name), rel_tol=1e-6):
                raise ConfigError(
                    f"config: model: {name} is {value}, but {getattr(found, name)} in "
                    f"model.init_from ({source})"
                )
    return found
