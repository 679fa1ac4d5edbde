"""Finds and reads config files: Python modules with `get_config()`, on disk or installed."""

import importlib.util
from pathlib import Path
from typing import Any

from semcoder_jax.errors import UserError

PREFIX = "configs/"


class ConfigFileError(UserError):
    """Raised for a config file that is missing, fails, or has no get_config()."""


def find_config(path: str | Path) -> Path:
    """Returns `path`, or its installed copy if it begins with "configs/" and is not a file here.

    Thus `configs/quickstart.py` names the same config in a checkout and with an installed
    package. A variant (`configs/lora_6p7b.py:1.3b`) stays behind the path. Returns `path` unchanged
    if neither exists.
    """
    name, colon, variant = str(path).partition(".py:")
    name += ".py" if colon else ""
    if Path(name).is_file() or not name.startswith(PREFIX):
        return Path(path)
    package = Path(__file__).parent
    for folder in (package / "configs", package.parent / "configs"):  # installed, a checkout
        installed = folder / name.removeprefix(PREFIX)
        if installed.is_file():
            return Path(f"{installed}:{variant}") if colon else installed
    return Path(path)


def read_config(path: str | Path) -> Any:
    """Returns the ConfigDict of a config file's `get_config()`. Raises ConfigFileError."""
    name, colon, variant = str(find_config(path)).partition(".py:")
    found = Path(f"{name}.py" if colon else name)
    if not found.is_file():
        raise ConfigFileError(f"{path}: no such config file")
    spec = importlib.util.spec_from_file_location(found.stem, found)
    if spec is None or spec.loader is None:
        raise ConfigFileError(f"{path}: expected a Python file with get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.get_config(variant) if colon else module.get_config()
    except Exception as error:  # a config file is a program of the user
        raise ConfigFileError(f"{path}: {type(error).__name__}: {error}") from error
