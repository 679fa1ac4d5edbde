"""Opens files of rows that one process at a time may append to."""

import contextlib
import os
from collections.abc import Iterator

from data_pipeline.files.appended import AppendedFile, open_appended
from data_pipeline.files.lock_error import LockError
from data_pipeline.files.locks import hold_lock, lock_file
from data_pipeline.files.paths import as_path, is_remote


@contextlib.contextmanager
def open_exclusively(path: str | os.PathLike) -> Iterator[AppendedFile]:
    """Opens a file of rows as `open_appended` does, and locks it for the block.

    In an object store the lock is an object beside it. Raises LockError if another process has it
    open, FileError.
    """
    path = as_path(path)
    if is_remote(path):
        lock = path.with_name(f".{path.name}.lock")
        with hold_lock(lock, wait=False), open_appended(path) as file:
            yield file
        return
    with open_appended(path) as file:
        lock_file(file.fileno(), path, wait=False)
        if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            raise LockError(path, "another process")  # which has just replaced the file
        yield file
