"""An end to work that does not end: it is done in a process of its own, which is given an amount of
CPU time for each item and killed by the kernel when it takes more.

Programs run in the sandbox under its own limits; this is for our own code, which a program in the
wild may lead into more work than anybody waits for. CPU time, not wall time: what waits for a busy
machine is left alone, and the bound lies so far above what any function takes that no result hangs
on the machine's speed.
"""

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

CPU_SECONDS = 120.0


class TookTooLong(Exception):
    """Work that was ended; nothing of it is left."""


class Bounded:
    """`make()(item)`, in a process that `make` is called in once; both are pickled by name.

    Calling it raises TookTooLong for an item that took more than `cpu_seconds`, and what the work
    itself raises. From several threads the items take turns.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], cpu_seconds: float | None = None):
        self._make = make
        self._cpu_seconds = CPU_SECONDS if cpu_seconds is None else cpu_seconds
        self._lock = threading.Lock()
        self._process: Any = None
        self._connection: Connection | None = None

    def __call__(self, item: Any) -> Any:
        with self._lock:
            connection = self._connection or self._start()
            connection.send(item)
            try:
                made, error = connection.recv()
            except EOFError:
                raise self._ended() from None
        if error is not None:
            raise error
        return made

    def close(self) -> None:
        """Lets the process end by itself, with what it holds."""
        with self._lock:
            self._stop()

    def _start(self) -> Connection:
        # Not fork: a caller may hold threads.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._make, self._cpu_seconds), daemon=True
        )
        self._process.start()
        theirs.close()
        return self._connection

    def _ended(self) -> Exception:
        process = self._process
        self._stop()
        if process.exitcode == -signal.SIGPROF:
            return TookTooLong(f"over {self._cpu_seconds:g} s of CPU time")
        return RuntimeError(f"the process that makes rows ended with {process.exitcode}")

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._process.join()
            self._connection = self._process = None


def _serve(connection: Connection, make: Callable[[], Callable[[Any], Any]], seconds: float):
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker stops, and this one with it
    with contextlib.ExitStack() as stack:
        work = make()
        if hasattr(work, "close"):
            stack.callback(work.close)
        while True:
            try:
                item = connection.recv()
            except EOFError:
                return
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                answer = work(item), None
            except Exception as error:
                answer = None, error
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            connection.send(answer)
