"""Uploads files and folders to an object store: an object appears complete or not at all."""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from data_pipeline.files.file_error import FileError
from data_pipeline.files.object_path import NO_BUCKET, ObjectPath, object_errors


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
    """
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
    if marker is not None:
        (folder / marker).unlink(missing_ok=True)
        names.sort(key=lambda name: name == marker)
    stale = set(list_files(folder)) - set(names)
    for name in names:
        if name == marker:
            _remove(folder, stale)
        upload_file(source / name, folder / name)
    if marker not in names:
        _remove(folder, stale)


def upload_files(source: Path, folder: ObjectPath) -> None:
    """Uploads the files of a local folder; other files of `folder` stay. Raises FileError."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            upload_file(path, folder / str(path.relative_to(source)))


def list_files(folder: ObjectPath) -> dict[str, str]:
    """Returns the version of every object in the folder by its name relative to the folder."""
    with object_errors(folder):
        found = folder.fs.find(str(folder), detail=True)
    start = len(str(folder).partition("://")[2].rstrip("/")) + 1
    return {
        name[start:]: str(info.get("generation") or info.get("ETag"))
        for name, info in found.items()
        if name[start:]
    }


def staging_folder(folder: ObjectPath) -> Path:
    """Returns the local folder in which to build the content of `folder`, always the same one."""
    key = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    name = f"semcoder-{os.getuid()}-{key}"
    return Path(tempfile.gettempdir()) / name / folder.name


def _remove(folder: ObjectPath, names: set[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
