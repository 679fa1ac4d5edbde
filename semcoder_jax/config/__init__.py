"""Defines configs: a frozen dataclass per section, and the checks that build them from fields."""

from semcoder_jax.config.architecture import MODELS, DecoderConfig, build_decoder_config
from semcoder_jax.config.fields import check_arguments
from semcoder_jax.config.reinforcement import REWARD_TERMS, ObjectiveConfig, RolloutsConfig
from semcoder_jax.config.run import RunConfig, differing_fields, parse_run
from semcoder_jax.config.sections import (
    ATTENTION_BACKENDS,
    LORA_BASES,
    LORA_TARGETS,
    MESH_AXES,
    QUANTIZED_BASES,
    REMAT_POLICIES,
    AccuracyConfig,
    Compute,
    ConfigError,
    DataConfig,
    InitializationConfig,
    LoRAConfig,
    OptimizerConfig,
    TrainConfig,
)
from semcoder_jax.config.study import (
    STUDIES,
    FormsStudy,
    RewardsStudy,
    RubberDuckStudy,
    StudyConfig,
    differing_study_fields,
    parse_study,
)

__all__ = [
    "ATTENTION_BACKENDS",
    "LORA_BASES",
    "LORA_TARGETS",
    "MESH_AXES",
    "MODELS",
    "QUANTIZED_BASES",
    "REMAT_POLICIES",
    "REWARD_TERMS",
    "STUDIES",
    "AccuracyConfig",
    "Compute",
    "ConfigError",
    "DataConfig",
    "DecoderConfig",
    "FormsStudy",
    "InitializationConfig",
    "LoRAConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "RewardsStudy",
    "RolloutsConfig",
    "RubberDuckStudy",
    "RunConfig",
    "StudyConfig",
    "TrainConfig",
    "build_decoder_config",
    "check_arguments",
    "differing_fields",
    "differing_study_fields",
    "parse_run",
    "parse_study",
]
