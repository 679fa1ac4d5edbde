"""Shows a build's progress, which worker processes report through small files.

A worker process reports nothing else while a stage runs. Each one writes its own counts to a file;
the main process shows their sum.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator

from tqdm import tqdm

from data_pipeline.files import AnyPath, as_path, is_remote, write_json
from data_pipeline.terminal.progress import open_bar

SECONDS = 0.5  # interval between writes of a process, and between reads of all files
REMOTE_SECONDS = 10.0  # the same in an object store, where each is a request


class Heartbeat:
    """Writes one process's counts to its own file. Thread-safe."""

    def __init__(self, folder: str | os.PathLike):
        self._seconds = _interval(folder)
        self._path = as_path(folder) / f"{socket.gethostname()}-{os.getpid()}.json"
        self._lock = threading.Lock()
        self._done = self._records = 0
        self._written = 0.0

    def add(self, done: int, records: int = 0) -> None:
        with self._lock:
            self._done += done
            self._records += records
            if time.monotonic() - self._written >= self._seconds:
                self._write()

    def flush(self) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        # A failed write must not fail the build: the disk may be full, or a stopped build may
        # have removed the folder.
        with contextlib.suppress(OSError):
            if is_remote(self._path) or self._path.parent.is_dir():
                write_json(self._path, [self._done, self._records])
        self._written = time.monotonic()


def _interval(folder: str | os.PathLike) -> float:
    return REMOTE_SECONDS if is_remote(folder) else SECONDS


@contextlib.contextmanager
def progress_bar(folder: AnyPath, description: str, total: int, unit: str, shown: bool) -> Iterator:
    """Shows a bar with rate and remaining time for the sum of the heartbeats in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink(missing_ok=True)
    ended = threading.Event()
    bar = open_bar(total, description, unit, shown=shown)

    def follow() -> None:
        while not ended.wait(_interval(folder)):
            _show(bar, folder)

    watcher = threading.Thread(target=follow, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        _show(bar, folder)
        bar.close()


def _show(bar: tqdm, folder: AnyPath) -> None:
    done = records = 0
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            counts = json.loads(path.read_text())
            done, records = done + counts[0], records + counts[1]
    if records:
        bar.set_postfix_str(f"{records:,} records", refresh=False)
    bar.update(min(done, bar.total) - bar.n)
