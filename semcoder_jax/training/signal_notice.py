"""Tells of a signal as soon as it comes, also while the main thread runs compiled code.

Python calls a signal's handler between two instructions of the main thread: not before a running
step or compilation returns. But its C code writes the signal's number to a descriptor at once, and
another thread reads that.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator

_END = 0  # no signal's number


@contextlib.contextmanager
def signal_notice(numbers: Collection[int], tell: Callable[[int], None]) -> Iterator[None]:
    """Calls `tell` in another thread with the first of the signals that comes during the block.

    They must have handlers in Python. Enter and leave it in the main thread. Does nothing if
    another part of the process, such as an event loop, reads signals already.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    other = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    if other != -1:
        signal.set_wakeup_fd(other)
    reader = threading.Thread(target=_tell_first, args=(read, numbers, tell), daemon=True)
    reader.start()
    try:
        yield
    finally:
        if other == -1:
            signal.set_wakeup_fd(-1)
        os.write(write, bytes([_END]))  # closing it would not end the reader: a fork may hold it
        reader.join()
        os.close(write)
        os.close(read)


def _tell_first(read: int, numbers: Collection[int], tell: Callable[[int], None]) -> None:
    is_told = False
    while (received := os.read(read, 1)[0]) != _END:
        if received in numbers and not is_told:
            is_told = True
            tell(received)
