"""Draws random items in worker processes, in an order that does not depend on their number."""

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from data_pipeline.errors import UserError

_T = TypeVar("_T")
_ORIGIN = ("__spec__", "__file__")  # by which `multiprocessing` finds the main module
PATIENCE = 100_000
"""Items in a row without a new one after which a drawing ends: more than a minute's."""


class DrawingError(UserError):
    """Raised if random items bring nothing new any more."""


class Quota:
    """Takes distinct items up to a number for each group; families hold no endless number."""

    def __init__(self, wanted: Mapping[Hashable, int]):
        self._left = Counter(wanted)
        self._wanted = self._left.total()
        self._seen: set[str] = set()
        self._vain = 0

    @property
    def is_met(self) -> bool:
        return len(self._seen) == self._wanted

    def takes(self, fingerprint: str, group: Hashable = None) -> bool:
        """Returns whether an item is new and still wanted; it then counts.

        Raises DrawingError after PATIENCE items of which none was.
        """
        is_taken = fingerprint not in self._seen and self._left[group] > 0
        if is_taken:
            self._seen.add(fingerprint)
            self._left[group] -= 1
        self._vain = 0 if is_taken else self._vain + 1
        if self._vain >= PATIENCE:
            raise DrawingError(
                f"only {len(self._seen):,} of {self._wanted:,} functions were found: the last "
                f"{PATIENCE:,} that were drawn brought nothing new; ask for fewer"
            )
        return is_taken


def draw_chunks(draw: Callable[[int], Sequence[_T]], workers: int) -> Iterator[Sequence[_T]]:
    """Yields draw(0), draw(1), …, computed in `workers` processes, until it is closed.

    One worker is this process.
    draw: must be picklable, not of the main module, and depend on the number alone.
    """
    if workers == 1:
        yield from map(draw, itertools.count())
        return
    # Not fork: a caller may hold JAX's threads.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with concurrent.futures.ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
        numbers = itertools.count()
        try:
            # The workers inherit that Ctrl-C is for this process alone.
            with _held_interrupts(), _hidden_main_module():
                pending = [pool.submit(draw, next(numbers)) for _ in range(2 * workers)]
            while True:
                chunk = pending.pop(0).result()
                pending.append(pool.submit(draw, next(numbers)))
                yield chunk
        finally:  # whoever draws has enough, or was stopped: a chunk takes seconds
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Lets a worker end when its parent does, which may be killed: it would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _hidden_main_module() -> Iterator[None]:
    """Hides where the main module is, which each worker would import: for a command, with JAX."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in _ORIGIN if hasattr(main, name)}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


@contextlib.contextmanager
def _held_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back until the end; what is started meanwhile never gets one."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()  # only it may set handlers
    # Another thread may take the signal though it is blocked here, and Python then tells this one.
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number)) if main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if main:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
