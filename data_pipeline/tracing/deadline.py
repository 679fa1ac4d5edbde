"""Ends a run in this process that takes too long, for programs that are trusted.

The sandbox has limits of its own, which hold against any program. These hold for Python code: a
call into C that never comes back, such as `sum(itertools.count())`, is not ended.
"""

import contextlib
import signal
import threading
import types
from collections.abc import Iterator

from data_pipeline.tracing.recorder import RunStopped

CPU_SECONDS, WALL_SECONDS = 2.0, 10.0  # the sandbox's
_AGAIN = 0.5  # seconds until a program that caught the first exception gets the next


_TIMERS = (
    (signal.ITIMER_PROF, signal.SIGPROF, "cpu"),
    (signal.ITIMER_REAL, signal.SIGALRM, "wall"),
)


@contextlib.contextmanager
def limit_run(
    cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS
) -> Iterator[None]:
    """Raises RunStopped in the code inside once it took too long; again while it goes on.

    Only the main thread receives signals; in any other, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: types.FrameType | None) -> None:
        raise RunStopped(next(kind for _, own, kind in _TIMERS if own == number))

    before = [signal.signal(number, stop) for _, number, _ in _TIMERS]
    try:
        for (timer, _, _), seconds in zip(_TIMERS, (cpu_seconds, wall_seconds), strict=True):
            signal.setitimer(timer, seconds, _AGAIN)
        yield
    finally:
        for (timer, number, _), handler in zip(_TIMERS, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
