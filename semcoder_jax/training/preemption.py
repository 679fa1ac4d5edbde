"""Turns SIGINT and SIGTERM into a request to stop after the current step, within a time."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from semcoder_jax.checkpoints import Checkpoints
from semcoder_jax.training.signal_notice import signal_notice


class _InterruptedError(BaseException):
    """Ends the block of `StopSignal.interrupts`; no handler of Exception may catch it."""


class StopSignal:
    """Turns SIGTERM and SIGINT into a request to stop after the current step.

    In a run of several processes JAX's preemption service receives SIGTERM and all processes agree
    on the step; SIGINT is forwarded to it. A second SIGINT interrupts at once. The first signal
    that this process handles is told on stderr when it comes, though the step still runs.
    """

    def __init__(self):
        self._seen: tuple[str, float] | None = None  # which signal, when
        self._alone = jax.process_count() == 1
        self._may_interrupt = False
        self._previous: dict[int, Any] = {}
        self._notice = contextlib.ExitStack()

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM) if self._alone else (signal.SIGINT,)
            self._previous = {number: signal.signal(number, self._on_signal) for number in signals}
            self._notice.enter_context(signal_notice(signals, self._tell))
        return self

    def __exit__(self, *_) -> None:
        self._notice.close()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def is_requested(self, step: int, checkpoints: Checkpoints) -> bool:
        """Returns whether the run must stop after `step`."""
        if self._alone:
            return self._seen is not None
        reached = checkpoints.reached_preemption(step)
        if reached and self._seen is None:
            self._seen = "SIGTERM reached all", time.monotonic()
        return reached

    @contextlib.contextmanager
    def interrupts(self) -> Iterator[None]:
        """Lets a signal end the block at once, such as an evaluation; the run goes on behind it.

        In a run of several processes it does not: all must leave the block at one place.
        """
        try:
            self._may_interrupt = self._alone
            try:
                yield
            finally:
                self._may_interrupt = False
        except _InterruptedError:
            pass

    @property
    def is_seen(self) -> bool:
        """Returns whether a signal has come to this process, which is the only one of its run."""
        return self._alone and self._seen is not None

    @property
    def reason(self) -> str:
        """Returns why the session ends early: "stopped 1.2 s after SIGTERM"."""
        if self._seen is None:
            return "stopped"
        name, since = self._seen
        return f"stopped {time.monotonic() - since:.1f} s after {name}"

    def _tell(self, number: int) -> None:
        step = "this step" if self._alone else "a step that all processes agree on"
        name = signal.Signals(number).name
        print(f"{name}: stopping after {step}, which is then saved", file=sys.stderr, flush=True)

    def _on_signal(self, number: int, _frame) -> None:
        if self._seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._seen = signal.Signals(number).name, time.monotonic()
        if self._may_interrupt:
            self._may_interrupt = False
            raise _InterruptedError
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)


class GracePeriod:
    """Measures whether a run can save between SIGTERM and the end of its machine.

    At most two steps are under way when the signal comes, and a save of the state follows. If that
    takes longer than `seconds` (0: any time is enough), the run reports it once.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic):
        self._seconds, self._clock = seconds, clock
        self._saving_since: float | None = None

    def begin_save(self) -> None:
        self._saving_since = self._clock() if self._seconds else None

    def finish_step(self, step_seconds: float, is_saving: bool) -> str | None:
        """Returns the line to print after a step that took `step_seconds`, if there is one."""
        if self._saving_since is None or is_saving:
            return None
        save, self._saving_since = self._clock() - self._saving_since, None
        needed = 2 * step_seconds + save
        if needed <= self._seconds:
            return None
        line = (
            f"a save after SIGTERM takes up to {needed:.0f} s (two steps of {step_seconds:.1f} s, "
            f"{save:.1f} s until all is written), train.grace_seconds is {self._seconds:g}: a run "
            f"that loses its machine goes back to its last checkpoint, up to "
            f"train.checkpoint_every steps"
        )
        self._seconds = 0.0
        return line
