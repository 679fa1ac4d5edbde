"""Parses command lines of the form --config=FILE.py --config.a.b=VALUE --name=TEXT.

Every mistake is reported in one line.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from data_pipeline.errors import UserError
from data_pipeline.files import check_given_path
from data_pipeline.terminal.command_line import CommandLineError
from data_pipeline.terminal.config_modules import no_bytecode
from semcoder_jax.config.paths import check_paths
from semcoder_jax.config_files import check_config, find_config

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def parse_arguments(
    argv: Sequence[str],
    required: Mapping[str, str],
    optional: Mapping[str, str] | None = None,
    *,
    paths: Collection[str] = (),
    path_fields: Sequence[str] = (),
    new_fields: bool = False,
    name: str = "config",
) -> "tuple[ConfigDict, dict[str, str | None]]":
    """Returns the config with its overrides, and the other flags by name.

    Args:
      argv: arguments without the program's name.
      required: help text by flag.
      optional: help text by flag.
      paths: the flags that name paths.
      path_fields: the fields of the config that hold paths, as config.paths names them.
      new_fields: whether overrides may set fields that the config file leaves at their defaults;
        the caller must then check their names.
      name: of the flag with the config file.

    Raises ConfigFileError if the file is no config, and CommandLineError for an unknown or missing
    flag or field, or a config that fails.
    """
    from absl import flags
    from ml_collections import config_flags

    optional = optional or {}
    # absl accepts overrides only after --config itself.
    for argument in argv:
        if _names_config(argument, name):
            check_config(find_config(argument.partition("=")[2]))
    first = sorted(argv, key=lambda argument: not _names_config(argument, name))
    line = ["", *(_resolve_config_path(argument, name) for argument in first)]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        name,
        None,
        "Config file (.py with get_config()).",
        flag_values=values,
        sys_argv=line,
        lock_config=not new_fields,
        accept_new_attributes=new_fields,
    )
    for flag, text in {**required, **optional}.items():
        flags.DEFINE_string(flag, None, text, flag_values=values)
    try:
        with no_bytecode():
            left = values(line)[1:]
        for flag in (name, *required):
            if values[flag].value is None:
                raise flags.Error(f"--{flag}=… is missing")
        config = values[name].value.copy_and_resolve_references()
    except Exception as error:  # absl and ml_collections raise many types, config files any
        raise CommandLineError(f"command line: {_last_line(error)}") from error
    if left:
        raise CommandLineError(f"command line: unexpected argument {left[0]!r}")
    found = {flag: values[flag].value for flag in (*required, *optional)}
    for flag in paths:
        _check_path(flag, found[flag])
    check_paths(config, path_fields)
    return config, found


def _check_path(name: str, value: str | None) -> None:
    """Raises CommandLineError if a flag, unless it is not given (None), names no usable path."""
    try:
        if value is not None:
            check_given_path(value)
    except UserError as error:
        raise CommandLineError(f"--{name}: {error}") from None


def _names_config(argument: str, name: str) -> bool:
    return re.match(rf"--?{name}=", argument) is not None


def _resolve_config_path(argument: str, name: str) -> str:
    """Replaces the path in --config=configs/… with the path of the file found."""
    flag, _, path = argument.partition("=")
    return f"{flag}={find_config(path)}" if _names_config(argument, name) else argument


def _last_line(error: Exception) -> str:
    said = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    name = said.strip("'\"")  # of a KeyError, possibly wrapped
    if name.isidentifier():
        return f"the config has no section or field '{name}'"
    lines = [text.strip() for text in said.replace("\\n", "\n").splitlines() if text.strip()]
    if not lines:
        return repr(error)
    last = lines[-1].removesuffix("'") if lines[-1].count("'") % 2 else lines[-1]
    return re.sub(r"invalid literal for int\(\) with base 10", "expected a whole number", last)
