"""Refuses to replace what this program did not write.

A command asks before its work begins, so that nobody waits for an output that cannot be written.
Rows are recognized by their fields, pages by their generator, folders by a file in them.
"""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable

from data_pipeline.errors import UserError
from data_pipeline.files.file_error import FileError
from data_pipeline.files.paths import as_path, is_remote

GENERATOR = "semcoder-jax"
PAGE_MARK = f'<meta name="generator" content="{GENERATOR}">'.encode()

_MOST = 4 << 20  # bytes of a first line that are looked at
_FOREIGN = "this command did not write what is there; remove it or name another one"


def check_replaceable(
    flag: str, path: str | os.PathLike | None, is_ours: Callable[[bytes], bool]
) -> None:
    """Raises UserError if `path` is an existing file that is not empty and not ours.

    A folder is refused too; a device or pipe is written to and never replaced.
    flag: names the path in the message, such as "--output".
    is_ours: takes the beginning of the file, at least its first line unless that is very long.
    """
    if path is None:
        return
    path = as_path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileError(error.errno, error.strerror, os.fspath(path)) from None
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{flag}={os.fspath(path)}: expected a file; it is a folder")
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return
    try:
        with path.open("rb") as file:
            begin = file.readline(_MOST) + file.read(4096)
    except OSError as error:
        raise FileError(error.errno, error.strerror, os.fspath(path)) from None
    if not is_ours(begin):
        raise UserError(f"{flag}={os.fspath(path)}: {_FOREIGN}")


def check_output(
    flag: str, path: str | os.PathLike | None, is_ours: Callable[[bytes], bool]
) -> None:
    """Raises UserError unless the file `path` may be written: as `check_replaceable`, and its
    folder must exist.

    For commands that write a single file, whose folder is more likely mistyped than meant to be
    made. An object store has no folders.
    """
    if path is None:
        return
    check_replaceable(flag, path, is_ours)
    check_has_folder(flag, path)


def check_has_folder(flag: str, path: str | os.PathLike) -> None:
    """Raises UserError if a local file is to be written into a folder that does not exist."""
    path = as_path(path)
    if not is_remote(path) and not path.parent.is_dir():
        raise UserError(f"{flag}={os.fspath(path)}: there is no folder {path.parent}")


def check_continuable(flag: str, path: str | os.PathLike) -> None:
    """Raises UserError if `path` is a device or pipe, whose rows no later run could read."""
    path = as_path(path)
    if not is_remote(path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(
            f"{flag}={os.fspath(path)}: expected a file, from which a stopped command goes on; "
            "it is a device or pipe"
        )


def has_fields(*names: str) -> Callable[[bytes], bool]:
    """Returns a test for JSON lines whose first row has these fields (.gz: any gzip file)."""

    def is_ours(begin: bytes) -> bool:
        if begin.startswith(b"\x1f\x8b"):
            return True
        try:
            row = json.loads(begin.partition(b"\n")[0])
        except (ValueError, RecursionError):
            return False
        return isinstance(row, dict) and set(names) <= set(row)

    return is_ours


def is_page(begin: bytes) -> bool:
    """Returns whether a file begins as the pages of this program do."""
    return PAGE_MARK in begin


def check_folder_ours(
    flag: str, folder: str | os.PathLike, mark: str, names: Iterable[str]
) -> None:
    """Raises FileError if writing `names` into `folder` would replace foreign files.

    A folder that holds `mark` is ours; in any other one, none of the names may exist.
    """
    folder = as_path(folder)
    if (folder / mark).exists():
        return
    for name in names:
        if (folder / name).exists():
            raise FileError(errno.EEXIST, f"{flag}: {_FOREIGN}", str(folder / name))
