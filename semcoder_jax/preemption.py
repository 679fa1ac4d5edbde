"""A request to stop, from the keyboard or the scheduler, heard between two steps."""

import os
import signal
import threading
from typing import Any

import jax

from semcoder_jax.checkpoints import Checkpoints


class StopSignal:
    """Turns SIGTERM and SIGINT into a request to stop after the current step.

    In a run of several processes JAX's preemption service hears SIGTERM and all processes agree
    on the step; SIGINT is passed on to it. A second SIGINT interrupts at once.
    """

    def __init__(self):
        self._seen = False
        self._alone = jax.process_count() == 1
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            heard = (signal.SIGINT, signal.SIGTERM) if self._alone else (signal.SIGINT,)
            self._previous = {number: signal.signal(number, self._hear) for number in heard}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def requested(self, step: int, checkpoints: Checkpoints) -> bool:
        return self._seen if self._alone else checkpoints.reached_preemption(step)

    def _hear(self, number: int, _frame) -> None:
        if self._seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._seen = True
        if not self._alone:
            os.kill(os.getpid(), signal.SIGTERM)
