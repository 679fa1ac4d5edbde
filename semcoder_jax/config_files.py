"""Config files: Python modules with `get_config()`, found on disk or among those installed."""

import importlib.util
from pathlib import Path
from typing import Any

from semcoder_jax.errors import UserError

PREFIX = "configs/"


class ConfigFileError(UserError):
    """A config file that is missing, fails, or has no get_config()."""


def find_config(path: str | Path) -> Path:
    """`path`, or the installed copy where it begins with "configs/" and is no file here.

    So `configs/quickstart.py` names the same config in a checkout and beside an installed
    package. A path that is found nowhere comes back as it is.
    """
    if Path(path).is_file() or not str(path).startswith(PREFIX):
        return Path(path)
    package = Path(__file__).parent
    for folder in (package / "configs", package.parent / "configs"):  # installed, a checkout
        installed = folder / str(path).removeprefix(PREFIX)
        if installed.is_file():
            return installed
    return Path(path)


def read_config(path: str | Path) -> Any:
    """The ConfigDict that a config file's `get_config()` returns. Raises ConfigFileError."""
    found = find_config(path)
    if not found.is_file():
        raise ConfigFileError(f"{path}: no such config file")
    spec = importlib.util.spec_from_file_location(found.stem, found)
    if spec is None or spec.loader is None:
        raise ConfigFileError(f"{path}: expected a Python file with get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.get_config()
    except Exception as error:  # a config file is a program of the user
        raise ConfigFileError(f"{path}: {type(error).__name__}: {error}") from error
