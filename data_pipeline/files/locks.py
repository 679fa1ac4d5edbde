"""Provides exclusive locks between processes.

Uses flock, which the kernel releases when the process exits for any reason. On a file system
without locks, the block runs unlocked. In an object store a lock is a lease, see `leases`.
"""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from data_pipeline.files.atomic import make_folder
from data_pipeline.files.file_error import FileError
from data_pipeline.files.lock_error import LockError
from data_pipeline.files.paths import as_path, is_remote


class HeldLock:
    """A lock that is held; that of the kernel cannot be lost."""

    def check(self) -> None:
        """Raises LockError if another process has taken the lock in the meantime."""


@contextlib.contextmanager
def hold_lock(path: str | os.PathLike, *, wait: bool) -> Iterator[HeldLock]:
    """Holds the lock file `path` for the block; makes the file if needed and does not remove it.

    The file describes the process that holds the lock. Raises LockError if another process holds
    it and `wait` is false, or takes it meanwhile (possible in an object store only); FileError if
    the file cannot be opened.
    """
    if is_remote(path):
        from data_pipeline.files.leases import hold_lease

        with hold_lease(as_path(path), wait=wait) as lease:
            yield lease
        return
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
        yield HeldLock()


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
