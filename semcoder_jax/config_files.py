"""Finds and reads config files: Python modules with `get_config()`, on disk or installed."""

import ast
from pathlib import Path
from typing import Any

from data_pipeline.files import is_remote
from data_pipeline.terminal.config_modules import find_module, load_module
from semcoder_jax.errors import UserError


class ConfigFileError(UserError):
    """Raised for a config file that is missing, fails, or has no get_config()."""


def find_config(path: str | Path) -> Path:
    """Returns `path`, or its installed copy if it begins with "configs/" and is not a file here.

    Thus `configs/quickstart.py` names the same config in a checkout and with an installed
    package. A variant (`configs/lora_6p7b.py:1.3b`) stays behind the path. Returns `path` unchanged
    if neither exists. Raises ConfigFileError for a path in an object store.
    """
    if is_remote(path):
        raise ConfigFileError(
            f"{path}: expected a local file: a config is a program that this machine runs"
        )
    name, colon, variant = str(path).partition(".py:")
    found = find_module(f"{name}.py" if colon else name)
    return Path(f"{found}:{variant}") if colon else found


def check_config(path: str | Path) -> None:
    """Raises ConfigFileError if `path`, as of `find_config`, is not a Python file with get_config.

    Does not run the file.
    """
    name, colon, _ = str(path).partition(".py:")
    found = Path(f"{name}.py" if colon else name)
    if not found.exists():
        raise ConfigFileError(f"{path}: no such config file")
    try:
        tree = ast.parse(found.read_bytes(), str(found))
    except OSError as error:
        raise ConfigFileError(f"{path}: expected a config file: {error.strerror}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        told = str(error)
        if isinstance(error, SyntaxError):
            told = f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
        raise ConfigFileError(
            f"{path}: expected a Python file with get_config() ({told})"
        ) from None
    if not _defines(tree, "get_config"):
        raise ConfigFileError(f"{path}: expected a Python file with get_config(); it has none")


def _defines(tree: ast.Module, name: str) -> bool:
    """Whether a module may bind a name; a star import may bind any."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=found) | ast.ClassDef(name=found) | ast.Name(id=found):
                names = {found}
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names = {alias.asname or alias.name for alias in aliases}
            case _:
                continue
        if names & {name, "*"}:
            return True
    return False


def read_config(path: str | Path) -> Any:
    """Returns the ConfigDict of a config file's `get_config()`. Raises ConfigFileError."""
    name, colon, variant = str(find_config(path)).partition(".py:")
    found = Path(f"{name}.py" if colon else name)
    if not found.is_file():
        raise ConfigFileError(f"{path}: no such config file")
    if found.suffix != ".py":
        raise ConfigFileError(f"{path}: expected a Python file with get_config()")
    try:
        module = load_module(found)
        return module.get_config(variant) if colon else module.get_config()
    except Exception as error:  # a config file is a program of the user
        raise ConfigFileError(f"{path}: {type(error).__name__}: {error}") from error
