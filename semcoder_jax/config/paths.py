"""Names the config fields that hold paths, and checks them before work starts."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence

from data_pipeline.files import check_path
from semcoder_jax.config.sections import ConfigError
from semcoder_jax.errors import UserError

# Of a training config; * stands for any name in a mapping.
RUN_PATHS = (
    "model.init_from",
    "data.train",
    "data.eval",
    "data.tokenizer",
    "data.directory",
    "data.datasets.*",
    "lora.init_from",
    "accuracy.data.*",
)
STUDY_PATHS = (*RUN_PATHS, "study.cruxeval")
BENCHMARK_PATHS = ("data",)  # of an evaluation's config


def check_paths(config: Mapping, patterns: Sequence[str]) -> None:
    """Raises ConfigError for a path of `config` that no storage holds or whose store is silent."""
    for name, value in _texts(config):
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            try:
                check_path(value)
            except UserError as error:
                raise ConfigError(f"config: {name}: {error}") from None


def _texts(config: Mapping, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields (name, text) of all fields with text."""
    for name, value in config.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", value
        elif hasattr(value, "items"):
            yield from _texts(value, f"{prefix}{name}.")
