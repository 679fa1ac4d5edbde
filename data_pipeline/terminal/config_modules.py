"""Finds and loads Python files of configs, in a checkout and with an installed package."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

PREFIX = "configs/"
_PACKAGES = Path(__file__).parents[2]
# Of the installed package and of a checkout.
_FOLDERS = (_PACKAGES / "semcoder_jax" / "configs", _PACKAGES / "configs")


def find_module(name: str) -> Path:
    """Returns the file, or its installed copy if `name` begins with "configs/" and is no file here.

    Returns `name` unchanged if neither exists.
    """
    if name.startswith(PREFIX) and not Path(name).is_file():
        for folder in _FOLDERS:
            installed = folder / name.removeprefix(PREFIX)
            if installed.is_file():
                return installed
    return Path(name)


def load_module(path: Path) -> ModuleType:
    """Runs a Python file (NAME.py); raises whatever it raises."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with no_bytecode():
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def no_bytecode() -> Iterator[None]:
    """Keeps Python from writing bytecode of the config that it loads.

    Python takes bytecode for current by the second and the size of its source, so a config that is
    changed twice in a second, 1 to 2 and 2 to 4, would be read as it was before.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
