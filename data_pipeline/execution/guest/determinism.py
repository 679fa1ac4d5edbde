"""Makes runs repeatable: replaces the clock and the sources of randomness.

The interpreter's environment sets hash seed, locale and time zone (`tiers`). This module replaces
the clock by one that starts at a fixed moment and advances by a millisecond at each reading
(sleeping advances it and takes no time), and every source of randomness by a seeded one. A program
can bypass both; if its answer then differs between two runs, the result reports that.
Standard library only: this file runs inside the sandbox.
"""

import datetime
import decimal
import os
import random
import selectors
import time
import uuid
from collections.abc import Callable
from typing import Any

START_NS = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC
TICK_NS = 1_000_000
SEED = 0


class Clock:
    """Counts nanoseconds since the epoch and advances by TICK_NS at each reading."""

    def __init__(self) -> None:
        self.now = START_NS

    def read(self) -> int:
        self.now += TICK_NS
        return self.now

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.now += int(seconds * 1e9)


clock = Clock()
_entropy = random.Random(SEED)
_real_seed = random.Random.seed
_set_context = decimal.setcontext
_ARITHMETIC = decimal.DefaultContext  # which is copied


def reset() -> None:
    """Resets clock, randomness and arithmetic to the state at the start of a run."""
    clock.now = START_NS
    _entropy.__class__ = random.Random
    _real_seed(_entropy, SEED)
    random.seed(SEED)
    _set_context(_ARITHMETIC)


def install(threads: bool = False) -> None:
    """Replaces the clock and the randomness of this interpreter.

    threads: samples may start threads, so waiting for a descriptor must take real time.
    """
    read = clock.read

    def set_name(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        function.__name__ = function.__qualname__ = name
        return function

    for name, origin in (("time", 0), ("monotonic", START_NS), ("perf_counter", START_NS),
                         ("process_time", START_NS), ("thread_time", START_NS)):  # fmt: skip
        setattr(time, name, set_name(name, lambda origin=origin: (read() - origin) / 1e9))
        setattr(time, name + "_ns", set_name(name + "_ns", lambda origin=origin: read() - origin))
    time.clock_gettime = set_name("clock_gettime", lambda clock_id: read() / 1e9)
    time.clock_gettime_ns = set_name("clock_gettime_ns", lambda clock_id: read())
    time.sleep = set_name("sleep", lambda seconds: clock.sleep(seconds))
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, set_name(name, _with_moment(getattr(time, name))))
    real_strftime, real_asctime = time.strftime, time.asctime
    time.strftime = set_name(
        "strftime", lambda form, moment=None: real_strftime(form, moment or time.localtime())
    )
    time.asctime = set_name("asctime", lambda moment=None: real_asctime(moment or time.localtime()))

    _install_datetime()
    if not threads:
        _install_waiting()
    os.urandom = set_name("urandom", lambda size: _entropy.randbytes(size))
    os.getrandom = set_name("getrandom", lambda size, flags=0: _entropy.randbytes(size))
    random._urandom = os.urandom
    random.Random.seed = _seed
    random.SystemRandom.getrandbits = lambda self, bits: _entropy.getrandbits(bits)
    random.SystemRandom.random = lambda self: _entropy.random()
    random.SystemRandom.randbytes = lambda self, size: _entropy.randbytes(size)
    uuid._generate_time_safe = None
    uuid.getnode = lambda: 0x020000000001


def _install_waiting() -> None:
    """Advances the clock instead of waiting when an event loop waits in its selector."""
    real = selectors.DefaultSelector.select

    def select(self: selectors.BaseSelector, timeout: float | None = None) -> list[Any]:
        ready = real(self, 0)
        if ready or timeout is None:
            return ready or real(self, timeout)
        clock.sleep(max(timeout, 0))
        return []

    selectors.DefaultSelector.select = select  # type: ignore[method-assign]


def _with_moment(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda seconds=None: real(clock.read() / 1e9 if seconds is None else seconds)


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    _real_seed(self, _entropy.getrandbits(64) if a is None and self is not _entropy else a, version)


def _install_datetime() -> None:
    """Replaces `datetime` by a subclass, because its `now` and `utcnow` read the clock in C."""
    real = datetime.datetime

    class DatetimeType(type(real)):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class replaced(real, metaclass=DatetimeType):
        __slots__ = ()

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return cls.fromtimestamp(clock.read() / 1e9, tz)

        @classmethod
        def utcnow(cls) -> datetime.datetime:
            return cls.fromtimestamp(clock.read() / 1e9, datetime.UTC).replace(tzinfo=None)

    replaced.__name__ = replaced.__qualname__ = "datetime"
    replaced.__module__ = "datetime"
    datetime.datetime = replaced  # type: ignore[misc]
