"""Files that grow by rows, locally or in an object store.

An object cannot be appended to. There the file is a local temporary one, which a thread uploads
whole while it grows: every `INTERVAL` seconds, and seldom enough that uploads take at most a
twentieth of the time. A kill loses the rows since the last upload and never an earlier one; call
`save` where a row must not be lost. An upload replaces only the version that this process read or
wrote, so that two processes cannot overwrite each other's rows.
"""

import atexit
import contextlib
import errno
import os
import tempfile
import threading
import time
from typing import IO, BinaryIO

from data_pipeline.files.atomic import make_folder
from data_pipeline.files.file_error import FileError
from data_pipeline.files.paths import AnyPath, as_path, is_remote

INTERVAL = 10.0  # seconds
_SHARE = 20  # at least so many times as long as an upload until the next one


class AppendedFile:
    """A file opened for reading and appending; `append_row` takes its descriptor.

    Attributes:
      path: the file or object.
      file: the open local file, unbuffered; for an object, a copy of it that is uploaded. What
        other programs write to its name is uploaded too.
    """

    def __init__(self, path: AnyPath, file: IO[bytes]):
        self.path, self.file = path, file

    def fileno(self) -> int:
        return self.file.fileno()

    def reader(self) -> BinaryIO:
        """Opens the rows, also those that are not saved yet, for reading from the first one."""
        file = os.fdopen(os.dup(self.fileno()), "rb")
        if file.seekable():
            file.seek(0)
        return file

    def save(self) -> None:
        """Returns once all rows are where other processes see them. Raises FileError."""

    def close(self) -> None:
        """Saves and closes. Raises FileError."""
        self.file.close()

    def __enter__(self) -> "AppendedFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def open_appended(path: str | os.PathLike) -> AppendedFile:
    """Opens a file of rows, which need not exist; its folder is made. Raises FileError."""
    path = as_path(path)
    if is_remote(path):
        return _AppendedObject(path)
    make_folder(path.parent)
    try:
        return AppendedFile(path, path.open("a+b", buffering=0))
    except OSError as error:
        raise FileError(error.errno, error.strerror, str(path)) from error


class _AppendedObject(AppendedFile):
    """An object whose local copy is appended to and uploaded by a thread."""

    def __init__(self, path: AnyPath):
        from data_pipeline.files.objects import read_object

        found = read_object(path)
        file = tempfile.NamedTemporaryFile("a+b", buffering=0, prefix="semcoder-rows-")  # noqa: SIM115
        if found is not None:
            file.write(found.content)
        super().__init__(path, file)
        self._version = None if found is None else found.version
        self._saved, self._is_changed = self._state(), False
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._save_often, name=f"rows {path}", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def save(self) -> None:
        from data_pipeline.files.objects import ChangedError, write_object

        with self._lock:
            state = self._state()
            if state == self._saved:
                return
            if self._is_changed:
                self._raise_changed()
            content = os.pread(self.fileno(), state[0], 0)
            try:
                self._version = write_object(self.path, content, replaces=self._version)
            except ChangedError:
                self._is_changed = True
                self._raise_changed()
            self._saved = state

    def close(self) -> None:
        atexit.unregister(self.close)
        if self.file.closed:
            return
        self._end.set()
        self._thread.join()
        try:
            self.save()
        finally:
            self.file.close()

    def _raise_changed(self) -> None:
        raise FileError(
            errno.EBUSY, "another program has written it in the meantime", str(self.path)
        )

    def _state(self) -> tuple[int, int]:
        """Returns (size, time of change) of the local file."""
        status = os.fstat(self.fileno())
        return status.st_size, status.st_mtime_ns

    def _save_often(self) -> None:
        pause = INTERVAL
        while not self._end.wait(pause):
            began = time.monotonic()
            with contextlib.suppress(FileError):  # the next attempt, or close, may succeed
                self.save()
            pause = max(INTERVAL, _SHARE * (time.monotonic() - began))
