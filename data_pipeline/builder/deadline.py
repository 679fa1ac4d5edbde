"""An end to work that does not end: what takes too much CPU time of its thread is interrupted.

Programs run in the sandbox under its own limits; this is for our own code, which a program in the
wild may lead into more work than anybody waits for. CPU time, not wall time: what waits for a busy
machine is left alone, and the bound lies so far above what any function takes that no result hangs
on the machine's speed.
"""

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator

CPU_SECONDS = 120.0
_LOOK_EVERY = 1.0  # seconds


class TookTooLong(Exception):
    """Work that was interrupted; arises wherever it was."""


@contextlib.contextmanager
def deadline(cpu_seconds: float = CPU_SECONDS, *, every: float = _LOOK_EVERY) -> Iterator[None]:
    """Raises TookTooLong inside the block once this thread has computed for `cpu_seconds` in it.

    Python code is interrupted between two of its instructions, a call into C when it returns.
    """
    thread = threading.get_ident()
    clock = time.pthread_getcpuclockid(thread)
    end = time.clock_gettime(clock) + cpu_seconds
    ended = threading.Event()
    lock = threading.Lock()

    def watch() -> None:
        while not ended.wait(every):
            if time.clock_gettime(clock) < end:
                continue
            with lock:
                if not ended.is_set():
                    _raise_in(thread, TookTooLong)
            return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except TookTooLong:
        raise TookTooLong(f"over {cpu_seconds:g} s of CPU time") from None
    finally:
        with lock:  # from here on nothing is raised any more
            ended.set()
        watcher.join()


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))
