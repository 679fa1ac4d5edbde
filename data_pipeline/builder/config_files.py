"""Reads configs of a build: Python files whose `get_config()` returns flags of the command.

    {"runner": "FlinkRunner", "tier": "A", "pipeline": {"flink_master": None, "parallelism": 16}}

`pipeline` holds options of Beam; None stands for one that the command line must give.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.builder.options import BuildError

_PREFIX = "configs/"
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
    found = _find_config(path)
    if not found.is_file():
        raise BuildError(f"--config={path}: no such file")
    spec = importlib.util.spec_from_file_location(found.stem, found)
    if spec is None or spec.loader is None:
        raise BuildError(f"--config={path}: expected a Python file with get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:  # a config file is a program of the user
        reason = " ".join(str(error).split())
        raise BuildError(f"--config={path}: {type(error).__name__}: {reason}") from error
    if not isinstance(config, dict):
        raise BuildError(f"--config={path}: get_config(): expected a dict of flags")
    return dict(config)


def _find_config(path: str) -> Path:
    """Returns `path`, or its copy in the checkout or the installed package."""
    packages = Path(__file__).parents[2]
    if path.startswith(_PREFIX) and not Path(path).is_file():
        for folder in (packages / "configs", packages / "semcoder_jax" / "configs"):
            if (folder / path.removeprefix(_PREFIX)).is_file():
                return folder / path.removeprefix(_PREFIX)
    return Path(path)
