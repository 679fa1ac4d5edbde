"""Turns SIGINT and SIGTERM into a request to stop after the current step."""

import os
import signal
import threading
import time
from typing import Any

import jax

from semcoder_jax.checkpoints import Checkpoints


class StopSignal:
    """Turns SIGTERM and SIGINT into a request to stop after the current step.

    In a run of several processes JAX's preemption service receives SIGTERM and all processes agree
    on the step; SIGINT is forwarded to it. A second SIGINT interrupts at once.
    """

    def __init__(self):
        self._seen: tuple[str, float] | None = None  # which signal, when
        self._alone = jax.process_count() == 1
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            signals = (signal.SIGINT, signal.SIGTERM) if self._alone else (signal.SIGINT,)
            self._previous = {number: signal.signal(number, self._on_signal) for number in signals}
        return self

    def __exit__(self, *_) -> None:
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

    @property
    def reason(self) -> str:
        """Returns why the session ends early: "stopped 1.2 s after SIGTERM"."""
        if self._seen is None:
            return "stopped"
        name, since = self._seen
        return f"stopped {time.monotonic() - since:.1f} s after {name}"

    def _on_signal(self, number: int, _frame) -> None:
        if self._seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._seen = signal.Signals(number).name, time.monotonic()
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)
