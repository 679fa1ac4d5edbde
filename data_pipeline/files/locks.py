"""Provides exclusive locks between processes.

Uses flock, which the kernel releases when the process exits for any reason. On a file system
without locks, the block runs unlocked.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from data_pipeline.errors import UserError
from data_pipeline.files.atomic import FileError, make_folder


class LockError(UserError):
    """Another process holds the lock. `holder` describes it: "process 12 on host"."""

    def __init__(self, path: str | os.PathLike, holder: str):
        super().__init__(f"{os.fspath(path)}: in use by {holder}")
        self.holder = holder


@contextlib.contextmanager
def hold_lock(path: str | os.PathLike, *, wait: bool) -> Iterator[None]:
    """Holds the lock file `path` for the block; makes the file if needed and does not remove it.

    The file describes the process that holds the lock. Raises LockError if another process holds
    it and `wait` is false; FileError if the file cannot be opened.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise FileError(error.errno, error.strerror, error.filename) from error
    with file:
        try:
            lock_file(file, path, wait=wait)
        except LockError:
            file.seek(0)
            raise LockError(path, file.read().strip() or "another process") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def lock_file(file: IO | int, path: str | os.PathLike, *, wait: bool) -> None:
    """Locks an open file (or descriptor) until it is closed.

    Raises LockError about `path` if another process holds the lock and `wait` is false.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise LockError(path, "another process") from None
    except OSError:  # a file system without locks
        return


def unlock_file(file: IO | int) -> None:
    """Releases a lock before the file is closed."""
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)
