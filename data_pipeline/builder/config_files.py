"""Reads configs of a build: Python files whose `get_config()` returns flags of the command.

    {"runner": "FlinkRunner", "tier": "A", "pipeline": {"flink_master": None, "parallelism": 16}}

`pipeline` holds options of Beam; None stands for one that the command line must give.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data_pipeline.builder.options import BuildError
from data_pipeline.terminal.config_modules import find_module, load_module

_PIPELINE = "--pipeline."


def add_config(path: str, arguments: Sequence[str]) -> list[str]:
    """Returns the flags of a config, then `arguments`, which count in their place.

    Raises BuildError for a config that cannot be used, or a missing option that it demands.
    """
    config = _read_config(path)
    pipeline = config.pop("pipeline", {})
    if not isinstance(pipeline, Mapping):
        raise BuildError(f"--config={path}: pipeline: expected a dict of options of Beam")
    given = {one.partition("=")[0] for one in arguments}
    for name, value in pipeline.items():
        if value is None and f"{_PIPELINE}{name}" not in given:
            raise BuildError(f"{_PIPELINE}{name}: missing; {path} needs it (see its first lines)")
    flags = [f"--{name}={value}" for name, value in config.items() if f"--{name}" not in given]
    return [*flags, *_pipeline_flags(pipeline, given), *arguments]


def _pipeline_flags(pipeline: Mapping[str, Any], given: set[str]) -> Iterator[str]:
    for name, value in pipeline.items():
        if f"{_PIPELINE}{name}" not in given:
            yield f"{_PIPELINE}{name}" if value is True else f"{_PIPELINE}{name}={value}"


def _read_config(path: str) -> dict[str, Any]:
    found = find_module(path)
    if not found.is_file():
        raise BuildError(f"--config={path}: no such file")
    if found.suffix != ".py":
        raise BuildError(f"--config={path}: expected a Python file with get_config()")
    try:
        config = load_module(found).get_config()
    except Exception as error:  # a config file is a program of the user
        reason = " ".join(str(error).split())
        raise BuildError(f"--config={path}: {type(error).__name__}: {reason}") from error
    if not isinstance(config, dict):
        raise BuildError(f"--config={path}: get_config(): expected a dict of flags")
    return dict(config)
