"""Locks in an object store: leases.

The lock is an object that names its holder and the seconds for which it is valid. The holder
rewrites it every quarter of that time. Whoever wants the lock creates the object if there is none,
and replaces it if it was released or not renewed in time; the store refuses all but one of those
who try at once. Ages are differences of the store's own clock, so clocks of machines do not
matter. A holder that was killed on this machine is recognized at once; one elsewhere blocks the
lock until its lease ends.

A holder that was suspended or cut off for longer than its lease may have lost it: `Lease.check`
tells before a write that would mix two runs.
"""

import contextlib
import dataclasses
import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.files.file_error import FileError
from data_pipeline.files.lock_error import LockError
from data_pipeline.files.object_path import ObjectPath
from data_pipeline.files.objects import ChangedError, Stored, read_object, write_object

SECONDS = 60.0
RENEWALS = 4  # in that time
_LONGEST_PAUSE = 2.0  # seconds between two looks at a lock that is held


@dataclasses.dataclass(frozen=True)
class _Holder:
    """Content of a lock object; `seconds` is 0 once it is released.

    `machine` tells kernels and process id namespaces apart, `started` processes of equal ids.
    """

    process: int
    host: str
    machine: str
    started: str
    seconds: float
    nonce: str  # two renewals never have equal content, hence never an equal ETag

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether the process runs or ran on this machine."""
        return self.machine == _machine()

    def has_ended(self) -> bool:
        """Returns whether the process ran on this machine and runs no longer."""
        return self.is_here and self.started != _started(self.process)


class Lease:
    """A lock object that this process holds and renews in a thread."""

    def __init__(self, path: ObjectPath, version: str, seconds: float):
        self._path, self._version, self._seconds = path, version, seconds
        self._renewed = time.monotonic()
        self._taken_by: str | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {path}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises LockError if another process has taken the lock, or may have."""
        if self._taken_by is None and time.monotonic() - self._renewed > self._seconds:
            self._taken_by = "another process, perhaps: the lock could not be renewed in time"
        if self._taken_by is not None:
            raise LockError(self._path, self._taken_by)

    def release(self) -> None:
        self._end.set()
        self._thread.join()
        if self._taken_by is None:
            with contextlib.suppress(ChangedError, FileError):  # at the latest its time ends it
                write_object(self._path, _content(0.0), replaces=self._version)

    def _renew(self) -> None:
        while not self._end.wait(self._seconds / RENEWALS):
            began = time.monotonic()
            try:
                self._version = write_object(
                    self._path, _content(self._seconds), replaces=self._version
                )
            except ChangedError:
                self._taken_by = _describe(self._path)
                return
            except FileError:
                continue  # the store is away: the next attempt may reach it
            self._renewed = began


@contextlib.contextmanager
def hold_lease(path: ObjectPath, *, wait: bool) -> Iterator[Lease]:
    """Holds the lock object for the block. Raises LockError, FileError; see `locks.hold_lock`."""
    lease = Lease(path, _acquire(path, wait), SECONDS)
    try:
        yield lease
        lease.check()
    finally:
        lease.release()


def _acquire(path: ObjectPath, wait: bool) -> str:
    """Returns the version of the lock object once it is ours."""
    while True:
        found = read_object(path)
        holder = None if found is None else _parse(path, found)
        left = 0.0 if holder is None else holder.seconds - found.age
        if left > 0 and not holder.has_ended():
            if not wait:
                later = (
                    "" if holder.is_here else f" (free {holder.seconds:.0f} s after it is killed)"
                )
                raise LockError(path, f"{holder}{later}")
            time.sleep(min(left, _LONGEST_PAUSE))
            continue
        with contextlib.suppress(ChangedError):  # another one was faster: look again
            return write_object(
                path, _content(SECONDS), replaces=None if found is None else found.version
            )


def _content(seconds: float) -> bytes:
    process = os.getpid()
    holder = _Holder(
        process, socket.gethostname(), _machine(), _started(process), seconds, secrets.token_hex(8)
    )
    return json.dumps(dataclasses.asdict(holder)).encode() + b"\n"


def _parse(path: ObjectPath, found: Stored) -> _Holder:
    try:
        return _Holder(**json.loads(found.content))
    except (TypeError, ValueError):
        raise FileError(errno.EEXIST, "not a lock of this program; remove it", str(path)) from None


def _describe(path: ObjectPath) -> str:
    with contextlib.suppress(FileError):
        found = read_object(path)
        if found is not None:
            return str(_parse(path, found))
    return "another process"


def _machine() -> str:
    """Returns a name of this kernel's boot and process id namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return secrets.token_hex(8)  # equals no other: only time frees its locks


def _started(process: int) -> str:
    """Returns the start time of a process in ticks since boot; "" if it does not run."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[19]
