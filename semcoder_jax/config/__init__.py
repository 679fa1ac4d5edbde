"""Configs: frozen dataclasses of all sections, and the check that makes them of a user's fields."""

from semcoder_jax.config.architecture import MODELS, DecoderConfig
from semcoder_jax.config.fields import check_arguments
from semcoder_jax.config.run import RunConfig, differing_fields, parse_run
from semcoder_jax.config.sections import (
    ATTENTION_BACKENDS,
    LORA_BASES,
    LORA_TARGETS,
    MESH_AXES,
    QUANTIZED_BASES,
    REMAT_POLICIES,
    Compute,
    ConfigError,
    DataConfig,
    InitializationConfig,
    LoRAConfig,
    OptimizerConfig,
    TrainConfig,
)

__all__ = [
    "ATTENTION_BACKENDS",
    "LORA_BASES",
    "LORA_TARGETS",
    "MESH_AXES",
    "MODELS",
    "QUANTIZED_BASES",
    "REMAT_POLICIES",
    "Compute",
    "ConfigError",
    "DataConfig",
    "DecoderConfig",
    "InitializationConfig",
    "LoRAConfig",
    "OptimizerConfig",
    "RunConfig",
    "TrainConfig",
    "check_arguments",
    "differing_fields",
    "parse_run",
]
