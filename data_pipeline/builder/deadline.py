"""Limits the CPU time of our own code for each item, by running it in a separate process.

The sandbox limits the programs; this module limits the code that processes them, because an unusual
program can make it run for very long. The kernel kills the process at the limit. The limit is CPU
time, so a busy machine does not trigger it, and it is far above the time of any normal function, so
results do not depend on the machine's speed.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

CPU_SECONDS = 120.0
_CONTEXT = multiprocessing.get_context("forkserver")  # not fork: a caller may hold threads
# Imported once, by the process from which the workers are forked: narrators and verifiers take most
# of a second.
_PRELOADED = ["data_pipeline.builder.row_maker"]
_NEW_OBJECTS = 50_000  # between two searches for garbage: reading trees makes many, and no cycles


def prepare_workers() -> None:
    """Starts the process from which workers are forked; it imports their modules meanwhile."""
    _CONTEXT.set_forkserver_preload(_PRELOADED)
    resource_tracker.ensure_running()  # its start would let interrupts through again
    # An interrupt reaches all processes of a terminal; these end with the caller.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
        prepare_workers()
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_serve,
            args=(theirs, self._make, self._cpu_seconds, dict(os.environ)),
            daemon=True,
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


def _serve(
    connection: Connection,
    make: Callable[[], Callable[[Any], Any]],
    seconds: float,
    environment: Mapping[str, str],
) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker stops, and this one with it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.clear()  # of when the first worker was prepared
    os.environ.update(environment)
    with contextlib.ExitStack() as stack:
        work = make()
        gc.freeze()  # modules stay
        gc.set_threshold(_NEW_OBJECTS)
        if hasattr(work, "close"):
            stack.callback(work.close)
        while True:
            try:
                item = connection.recv()
            except EOFError:
                return
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                answer: tuple[Any, Exception | None] = work(item), None
            except Exception as error:
                answer = None, error
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            try:
                connection.send(answer)
            except BrokenPipeError:  # the asker was stopped meanwhile
                return
