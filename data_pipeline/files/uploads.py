"""Uploads files and folders to an object store: an object appears complete or not at all."""

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from data_pipeline.files.cache import cache_folder
from data_pipeline.files.file_error import FileError
from data_pipeline.files.listings import list_objects
from data_pipeline.files.object_path import NO_BUCKET, ObjectPath, object_errors
from data_pipeline.files.unfinished import UNFINISHED, mark_finished, mark_unfinished

_AT_ONCE = 8


@contextlib.contextmanager
def upload_when_complete(path: ObjectPath) -> Iterator[BinaryIO]:
    """Yields a temporary binary file; uploads it to `path` if the block ends without an error.

    Raises FileError.
    """
    with tempfile.NamedTemporaryFile(prefix="semcoder-upload-") as file:
        yield file
        file.flush()
        upload_file(Path(file.name), path)


def upload_file(source: Path, path: ObjectPath) -> None:
    """Uploads a file in one request, or in parts that become visible together. Raises FileError."""
    try:
        with object_errors(path):
            path.fs.put_file(str(source), str(path))
    except FileNotFoundError as error:
        raise FileError(errno.ENOENT, NO_BUCKET, str(path)) from error


def upload_folder(source: Path, folder: ObjectPath, marker: str | None = None) -> None:
    """Replaces `folder` by the files of the local folder `source`. Raises FileError.

    Removes the old `marker` first and uploads the new one last: whoever finds it finds the rest.
    Until then an object named UNFINISHED marks the folder as ours.
    """
    mark_unfinished(folder)
    if marker is not None:
        (folder / marker).unlink(missing_ok=True)
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    stale = {each.name for each in list_objects(folder)} - names - {UNFINISHED}
    _at_once(lambda name: upload_file(source / name, folder / name), names - {marker})
    _at_once(lambda name: (folder / name).unlink(missing_ok=True), stale - {marker})
    if marker in names:
        upload_file(source / marker, folder / marker)
    mark_finished(folder)


def upload_files(source: Path, folder: ObjectPath, last: str | None = None) -> None:
    """Uploads the files of the local folder `source` to `folder`, `last` as the last one.

    Other objects in the folder stay. Raises FileError.
    """
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    _at_once(lambda name: upload_file(source / name, folder / name), names - {last})
    if last in names:
        upload_file(source / last, folder / last)


def staging_folder(folder: ObjectPath) -> Path:
    """Returns the local folder in which to build the content of `folder`, always the same one."""
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return cache_folder() / "staging" / key / folder.name


def _at_once(act: Callable[[str], None], names: Iterable[str]) -> None:
    """Calls `act` with each name, several at a time; raises the first error."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(act, sorted(names)):
            pass
