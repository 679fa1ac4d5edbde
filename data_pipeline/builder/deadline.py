"""Limits the CPU time of our own code for each item, by running it in a separate process.

The sandbox limits the programs; this module limits the code that processes them, because an unusual
program can make it run for very long. The kernel kills the process at the limit. The limit is CPU
time, so a busy machine does not trigger it, and it is far above the time of any normal function, so
results do not depend on the machine's speed.
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
    """Reports work that was killed at the limit; it leaves no partial result."""


class BoundedWorker:
    """Computes `make()(item)` in a separate process, which calls `make` once.

    `make` and items are pickled. A call raises TookTooLong if the item takes more than
    `cpu_seconds`, and re-raises exceptions of the work. Calls from several threads run in turn.
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
                raise self._exit_error() from None
        if error is not None:
            raise error
        return made

    def close(self) -> None:
        """Lets the process exit and release its resources."""
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

    def _exit_error(self) -> Exception:
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
            try:
                connection.send(answer)
            except BrokenPipeError:  # the asker was stopped meanwhile
                return
