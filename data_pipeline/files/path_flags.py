"""Checks the paths of a command line while its flags are read, before any work starts.

These functions are the `type` of a flag: `parser.add_argument("--output", type=path_flag)`. They
raise argparse's own error, so that the message names the flag.
"""

import argparse
import os
from collections.abc import Callable

from data_pipeline.errors import UserError
from data_pipeline.files.paths import AnyPath, as_path, expand_home, is_remote


def path_flag(text: str) -> AnyPath:
    """Returns the path that a flag names: a local one, or one in a store that answers."""
    try:
        return check_given_path(text)
    except (UserError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path_text(text: str) -> str:
    """Returns `text`, which may be a path or the name of something else, such as a hub id.

    Replaces `~/` at its begin.
    """
    path_flag(text)
    return expand_home(text)


def path_texts(text: str) -> str:
    """Returns `text`: paths or other names, with commas between them."""
    return ",".join(map(path_text, text.split(",")))


def named_path(text: str) -> str:
    """Returns `text` of the form NAME=PATH, or `text` itself where a command refuses it later."""
    name, equals, path = text.partition("=")
    return name + equals + path_text(path) if equals else name


def local_path_flag(reason: str) -> Callable[[str], str]:
    """Returns the type of a flag whose text names a file of this machine; `reason` says why."""

    def local_path(text: str) -> str:
        try:
            _refuse_no_path(text)
            if not is_remote(text):
                return expand_home(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        raise argparse.ArgumentTypeError(f"{text}: expected a local path: {reason}")

    return local_path


def check_given_path(text: str) -> AnyPath:
    """Returns the path that a flag with this text names; see `check_path`.

    Raises UserError also for an empty text, which would name the current folder, and for `-`, which
    other programs take for standard input or output.
    """
    _refuse_no_path(text)
    return check_path(text)


def _refuse_no_path(text: str) -> None:
    if not text.strip():
        raise UserError("empty; expected a path")
    if text == "-":
        raise UserError(
            "-: expected a path; standard input is /dev/stdin, standard output /dev/stdout, and a "
            "file of that name ./-"
        )


def check_path(text: str | os.PathLike) -> AnyPath:
    """Returns the path that `text` names, once its store has answered.

    Raises UserError for a scheme without a store and an extra that is missing, and FileError for a
    bucket that does not exist, that this account may not list, or that cannot be reached.
    """
    path = as_path(text)
    if is_remote(path):
        from data_pipeline.files.buckets import check_bucket

        check_bucket(path)
    return path
