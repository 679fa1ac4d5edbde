"""Writes files and folders whole or not at all.

New content goes into a hidden file beside the target, `.NAME.PID.RANDOM.semcoder-partial`, and one
rename gives it the target's name. Readers and kills at any moment therefore find the old content
or the new one. A killed writer leaves its hidden file; `remove_partials` deletes such files.

In an object store there is no rename and none is needed: one upload replaces an object whole or
not at all (`uploads`).

Every rename and removal of the user's files is in this module and in `uploads`.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from data_pipeline.errors import UserError
from data_pipeline.files.file_error import FileError
from data_pipeline.files.paths import AnyPath, as_path, is_remote
from data_pipeline.files.unfinished import is_unfinished

PARTIAL = ".semcoder-partial"
REPLACED = ".semcoder-replaced"

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_REPLACED = "this program did not write the existing folder; remove it or name another one"
_LONGEST_NAME = 255  # bytes, on every common file system


def write_text(
    path: str | os.PathLike, text: str, *, durable: bool = False, errors: str = "strict"
) -> None:
    """Writes `text` as UTF-8, atomically. `errors` is that of str.encode. See `write_bytes`."""
    write_bytes(path, text.encode("utf-8", errors), durable=durable)


def write_json(
    path: str | os.PathLike,
    value: Any,
    *,
    indent: int | None = None,
    ensure_ascii: bool = True,
    durable: bool = False,
) -> None:
    """Writes `value` as JSON and a newline, atomically. See `write_bytes`.

    Escapes half of a surrogate pair as JSON does.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii) + "\n"
    write_text(path, text, durable=durable, errors="backslashreplace")


def write_bytes(path: str | os.PathLike, content: bytes, *, durable: bool = False) -> None:
    """Replaces the content of the file `path` atomically; makes missing folders.

    durable: writes the content to the disk before the rename, so that it also survives a power
    failure. Raises FileError.
    """
    with open_atomically(path, durable=durable, size=len(content)) as file:
        file.write(content)


def make_folder(folder: str | os.PathLike) -> None:
    """Makes the folder and its missing parents; an object store needs none. Raises FileError."""
    if is_remote(folder):
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise FileError(error.errno, "expected a folder; it is a file", error.filename) from None
    except OSError as error:
        raise FileError(error.errno, error.strerror, error.filename) from None


def partial_folder(folder: str | os.PathLike) -> Path:
    """Returns the hidden folder beside `folder` in which to build it.

    It is always the same one, so that a new attempt can remove what a killed one left there. Of a
    link it is beside the folder that the link points to. For a folder in an object store it is a
    local folder for temporary files.
    """
    if is_remote(folder):
        from data_pipeline.files.uploads import staging_folder

        return staging_folder(as_path(folder))
    folder = _linked(Path(folder))
    return folder.with_name(f".{folder.name}{PARTIAL}")


def _linked(folder: Path) -> Path:
    """Returns the folder that a link points to, which is the one to replace; others unchanged."""
    return Path(os.path.realpath(folder)) if folder.is_symlink() else folder


@contextlib.contextmanager
def open_atomically(
    path: str | os.PathLike, *, durable: bool = False, size: int | None = None
) -> Iterator[BinaryIO]:
    """Yields a binary file that replaces `path` when the block ends, and is removed if it fails.

    Writes directly to a device or pipe (/dev/stdout). Raises FileError; passes other errors of the
    block on unchanged.
    size: bytes that the block will write, if known, for the message about a full disk.
    """
    if is_remote(path):
        from data_pipeline.files.uploads import upload_when_complete

        with upload_when_complete(as_path(path)) as file:
            yield file
        return
    path = Path(path)
    if path.is_dir():
        raise FileError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    is_special = path.exists() and not stat.S_ISREG(path.stat().st_mode)
    partial = path if is_special else _partial_of(path)
    make_folder(path.parent)
    with _raise_file_errors(path):
        file = partial.open("wb" if is_special else "xb")
    try:
        with _raise_full_disk_error(path, file, size), file:
            yield file
            file.flush()
            if durable and not is_special:
                os.fsync(file.fileno())
        if not is_special:
            with _raise_file_errors(path):
                os.replace(partial, path)
    except BaseException:
        if not is_special:
            partial.unlink(missing_ok=True)
        raise


def remove_partials(folder: str | os.PathLike, name: str | None = None) -> None:
    """Deletes the hidden files that killed writers left in `folder`, for the file `name` or all.

    Use it only while no other process writes to the folder, for instance under a lock. In an object
    store there are none.
    """
    if is_remote(folder):
        return
    for path in Path(folder).glob(f".*{PARTIAL}"):
        is_other = name is not None and not path.name.startswith(f".{name}.")
        if not is_other and path.is_file():
            path.unlink(missing_ok=True)


def replace_folder(
    new: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    is_ours: Callable[[AnyPath], bool] = lambda _: True,
    marker: str | None = None,
) -> None:
    """Renames the complete folder `new` to `folder`, then deletes the one it replaces.

    A kill between the two renames leaves the old folder beside it as `.NAME.semcoder-replaced`.
    If `folder` is a link, the folder that it points to is replaced. Raises FileError.

    A folder in an object store is replaced by removing its `marker`, uploading the local folder
    `new` with the marker as its last file, and removing `new`. Killed in between, it has no marker.
    is_ours: returns whether an existing, non-empty `folder` may be deleted.
    marker: the file in `new` by which readers recognize a complete folder.
    """
    new, folder = Path(new), as_path(folder)
    if (
        folder.is_dir()
        and any(folder.iterdir())
        and not is_ours(folder)
        and not is_unfinished(folder)
    ):
        raise FileError(
            errno.EEXIST,
            _NOT_REPLACED,
            folder,
        )
    if is_remote(folder):
        from data_pipeline.files.uploads import upload_folder

        upload_folder(new, folder, marker)
        shutil.rmtree(new)
        return
    folder = _linked(folder)
    replaced = folder.with_name(f".{folder.name}{REPLACED}")
    make_folder(folder.parent)
    with _raise_file_errors(folder):
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            os.rename(folder, replaced)
        os.rename(new, folder)
    shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def built_folder(folder: str | os.PathLike, *, last: str | None = None) -> Iterator[Path]:
    """Yields a local folder for files of `folder`: itself, made, if it is local.

    Else uploads the files, `last` as the last one, when the block ends without an error.
    """
    if not is_remote(folder):
        make_folder(folder)
        yield Path(folder)
        return
    from data_pipeline.files.uploads import upload_files

    with tempfile.TemporaryDirectory(prefix="semcoder-folder-") as here:
        yield Path(here)
        upload_files(Path(here), as_path(folder), last)


def check_separate(paths: Mapping[str, str | os.PathLike | None]) -> None:
    """Raises UserError if two flags name the same file; `paths` is such as {"--input": path}."""
    seen: dict[str | tuple[int, int], str] = {}
    for flag, path in paths.items():
        if path is None or _is_special(path):
            continue  # folders have their own checks; a device may be given twice
        first = seen.setdefault(_identity(path), flag)
        if first != flag:
            raise UserError(f"{first} and {flag}: expected two files; both name {path}")


def _is_special(path: str | os.PathLike) -> bool:
    return not is_remote(path) and os.path.exists(path) and not os.path.isfile(path)


def _identity(path: str | os.PathLike) -> str | tuple[int, int]:
    """Returns what all names of one file share."""
    if is_remote(path):
        return str(as_path(path))
    place = os.path.realpath(path)
    if os.path.exists(place):  # a hard link is the same file
        return os.stat(place).st_dev, os.stat(place).st_ino
    return place


def is_same_place(first: str | os.PathLike, second: str | os.PathLike) -> bool:
    """Returns whether two paths name the same file or folder, links followed."""
    return _identity(first) == _identity(second)


def check_outside(
    flag: str, folders: Iterable[str | os.PathLike], output_flag: str, output: str | os.PathLike
) -> None:
    """Raises UserError if `output` is in one of the folders, which a later run would then read."""
    place = _real(output)
    for folder in folders:
        if as_path(folder).is_dir() and place.is_relative_to(_real(folder)):
            raise UserError(
                f"{output_flag}={os.fspath(output)}: lies in {flag}={os.fspath(folder)}, which "
                "would then be read with what is written there; name a folder outside"
            )


def _real(path: str | os.PathLike) -> AnyPath:
    return as_path(path if is_remote(path) else os.path.realpath(path))


def _partial_of(path: Path) -> Path:
    end = f".{os.getpid()}.{secrets.token_hex(4)}{PARTIAL}"
    name = os.fsencode(path.name)[: _LONGEST_NAME - 1 - len(end)]
    return path.with_name(f".{os.fsdecode(name)}{end}")


@contextlib.contextmanager
def _raise_file_errors(path: Path) -> Iterator[None]:
    """Raises any OSError of the block as a FileError about `path`."""
    try:
        yield
    except OSError as error:
        raise FileError(error.errno, error.strerror or str(error), str(path)) from error


@contextlib.contextmanager
def _raise_full_disk_error(path: Path, file: BinaryIO, size: int | None) -> Iterator[None]:
    """Raises the error of a full disk as a FileError about `path`, with the bytes needed.

    The system's own error names no file if it comes from a write to an open one.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_IS_FULL or error.filename is not None:
            raise
        needed = "" if size is None else f" (needed {size:,} bytes)"
        raise FileError(error.errno, f"{error.strerror}{needed}", str(path)) from error
