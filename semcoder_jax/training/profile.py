"""Traces steps with JAX's profiler, for TensorBoard's profile plugin, xprof or Perfetto.

Steps are traced after warm-up (--profile), and while a run trains, on request:

    echo 5 > WORKDIR/profile.request        # the next 5 steps, in the first process
    echo "5 all" > WORKDIR/profile.request  # in all processes
    kill -USR1 PID                          # the next 5 steps, in that process alone

A request is a change of the file since the session began; the file stays.
"""

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from data_pipeline.files import AnyPath, built_folder, is_remote

PROFILE = "profile"
REQUEST_FILE = "profile.request"
_WARM_UP = 2  # steps before the trace: the one that compiles, and one more
_BY_SIGNAL = 5  # steps
_LOOK_EVERY = 5.0  # seconds between two looks at the file
_LOOK_REMOTELY_EVERY = 60.0  # for each look at an object the steps wait for two requests


class ProfileRequests:
    """Takes the requests to trace that concern this process."""

    def __init__(self, workdir: AnyPath, *, clock: Callable[[], float] = time.monotonic):
        self._path, self._clock = workdir / REQUEST_FILE, clock
        self._every = _LOOK_REMOTELY_EVERY if is_remote(workdir) else _LOOK_EVERY
        self._known = self._stamp()
        self._next_look = 0.0
        self._signalled = False
        self._previous: Any = None

    def __enter__(self) -> "ProfileRequests":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGUSR1, self._on_signal)
        return self

    def __exit__(self, *_) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGUSR1, self._previous)

    def take(self) -> int:
        """Returns how many steps this process must trace from the next one on, 0 for none.

        Raises ValueError for a file that asks for something else, once.
        """
        if self._signalled:
            self._signalled = False
            return _BY_SIGNAL
        if self._clock() < self._next_look:
            return 0
        self._next_look = self._clock() + self._every
        stamp = self._stamp()
        if stamp in (None, self._known):
            return 0
        self._known = stamp
        return _read_request(self._path, jax.process_index())

    def _stamp(self) -> tuple | None:
        """Returns what changes with the file; None without one."""
        try:
            found = self._path.stat()
        except Exception:  # an object store has errors of its own; a run must not end by them
            return None
        names = ("st_mtime_ns", "st_size", "mtime", "length")  # the last two of epath
        return tuple(getattr(found, name, None) for name in names)

    def _on_signal(self, *_) -> None:
        self._signalled = True


def _read_request(path: AnyPath, process: int) -> int:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    found = re.fullmatch(r"([1-9]\d{0,4})(\s+all)?", text)
    if found is None:
        raise ValueError(f"{path}: expected a number of steps, or as 5 all; got {text[:40]!r}")
    return int(found[1]) if process == 0 or found[2] else 0


class StepTrace:
    """Traces `count` steps (0: none) after warm-up in the first process, and steps on request.

    The first process writes into WORKDIR/profile, others into WORKDIR/profile/process_N. `say`
    prints a line in this process.
    """

    def __init__(
        self,
        workdir: AnyPath,
        first: int,
        count: int,
        requests: ProfileRequests | None = None,
        say: Callable[[str], None] = print,
    ):
        process = jax.process_index()
        self.directory = workdir / PROFILE
        if process:
            self.directory /= f"process_{process}"
        traces = count > 0 and process == 0
        self._begin = first + 1 + _WARM_UP if traces else None
        self._end = first + _WARM_UP + count
        self._requests, self._say = requests, say
        self.is_tracing = False
        self._upload = contextlib.ExitStack()  # nothing to do for a local directory

    @contextlib.contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Wraps the call of a step; starts the trace at the first traced step."""
        if count := self._requested():
            self._begin, self._end = step, step + count - 1
        if step == self._begin and not self.is_tracing:
            self._say(f"tracing steps {step} to {self._end}")
            jax.profiler.start_trace(self._upload.enter_context(built_folder(self.directory)))
            self.is_tracing = True
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            yield

    def is_last(self, step: int) -> bool:
        """Returns whether `step` is the last traced step, after which `stop` must be called."""
        return self.is_tracing and step == self._end

    def stop(self, metrics) -> None:
        """Waits for the step of these metrics, then writes the trace."""
        if self.is_tracing:
            jax.block_until_ready(metrics)
            self.close()

    def close(self) -> None:
        """Ends and writes the trace, if one is running."""
        if self.is_tracing:
            jax.profiler.stop_trace()
            self.is_tracing = False
            self._upload.close()

    def _requested(self) -> int:
        """Returns the number of steps to trace from now on; 0 while a trace runs."""
        if self._requests is None or self.is_tracing:
            return 0
        try:
            return self._requests.take()
        except ValueError as error:
            self._say(f"warning: {error}")
            return 0
