"""Ends a process that would wait for ever, so that its launcher can start the run again.

If an input, a device or another process hangs, all processes wait: in a collective nothing fails.
So each process watches its own steps and phases, and prints the stack of every thread before it
ends. Only seconds in which this process ran count, so that one that was stopped (Ctrl-Z, a
debugger, a sleeping laptop) is not taken for one that hangs.
"""

import contextlib
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import jax

from semcoder_jax.config import TrainConfig
from semcoder_jax.training.goodput import INPUT, START

FAILED = 1  # exit status, as of a crash: launchers start the run again, a few times
# Errors that the program itself makes; all others may come from another process or a machine.
_FAULTS_OF_THE_PROGRAM = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNIMPLEMENTED")
_TICK = 1.0  # seconds between two looks at the clock
_LINGER = 5.0  # seconds, beyond a step's, in which the other processes print their stacks


class HangDetector:
    """Counts the seconds since the last sign of life; knows no clock, thread or process.

    step_seconds: bound of a step, its input included. phase_seconds: bound of any other phase
    (start, compilation, a save, an evaluation) and of the step after it, which waits for processes
    that are still in theirs. 0 sets no bound.
    """

    def __init__(self, step_seconds: float, phase_seconds: float):
        self._bounds = {True: step_seconds, False: phase_seconds}
        self._phase: str | None = START
        self._quiet = 0.0  # seconds since the last sign of life
        self._last_step: int | None = None
        self._since_step = 0.0
        self.longest_step = 0.0

    def enter_phase(self, name: str | None) -> None:
        """Begins a phase, or with None ends it: the step after it begins."""
        if name != INPUT:  # waiting for a batch belongs to the step
            self._phase, self._quiet = name or self._phase, 0.0

    def finish_step(self, step: int) -> None:
        if self._last_step is not None:
            self.longest_step = max(self.longest_step, self._since_step)
        self._last_step, self._since_step = step, 0.0
        self._phase, self._quiet = None, 0.0

    @property
    def bound(self) -> float:
        """Returns the most seconds that the present step or phase may take; 0: no bound."""
        return self._bounds[self._phase is None]

    def tick(self, seconds: float) -> str | None:
        """Counts the time that passed; returns what hangs, or None while all is well."""
        self._quiet += seconds
        if self._phase is None:
            self._since_step += seconds
        bound = self.bound
        if not bound or self._quiet <= bound:
            return None
        if self._phase is None:
            after = "" if self._last_step is None else f" after step {self._last_step}"
            return f"no step has finished for {bound:g} s{after} (train.hang_timeout)"
        return (
            f"no sign of life for {bound:g} s in or after the phase {self._phase!r} "
            f"(train.phase_timeout)"
        )


class HangWatch:
    """Watches this process from a thread of its own, from __enter__ to __exit__.

    A process that hangs prints its stacks, waits until the others can have printed theirs, and
    exits with FAILED.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        leave: Callable[[str, float], None] | None = None,
    ):
        self._detector = HangDetector(config.hang_timeout, config.phase_timeout)
        self._clock, self._leave = clock, leave or leave_hanging
        self._is_one_of_several = jax.process_count() > 1
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hang watch", daemon=True)

    def __enter__(self) -> "HangWatch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()
        if self._is_one_of_several:
            faulthandler.cancel_dump_traceback_later()

    def enter_phase(self, name: str | None) -> None:
        with self._lock:
            self._detector.enter_phase(name)

    def finish_step(self, step: int) -> None:
        with self._lock:
            self._detector.finish_step(step)

    def _watch(self) -> None:
        before = self._clock()
        while not self._over.wait(_TICK):
            now = self._clock()
            with self._lock:
                # A longer gap means that this process did not run.
                found = self._detector.tick(min(now - before, 2 * _TICK))
                linger, bound = self._detector.longest_step + _LINGER, self._detector.bound
            if found is not None:
                self._leave(found, linger if self._is_one_of_several else 0.0)
                return
            if bound and self._is_one_of_several:
                # For a process that hangs holding the interpreter's lock, which this timer does
                # not need. It also counts while a process is stopped, so it is not for one alone.
                faulthandler.dump_traceback_later(bound + _LINGER, exit=True, file=sys.__stderr__)
            before = now


def leave_hanging(what: str, linger: float) -> None:
    """Prints what hangs and the stacks of all threads, and ends this process after `linger` s."""
    print(
        f"error: process {jax.process_index()} hangs: {what}; the same command goes on from the "
        f"last checkpoint. Its threads:",
        file=sys.stderr,
        flush=True,
    )
    faulthandler.dump_traceback(sys.__stderr__, all_threads=True)
    time.sleep(linger)
    os._exit(FAILED)


@contextlib.contextmanager
def end_without_peers() -> Iterator[None]:
    """Ends this process at once if a collective fails, as it does when another process is gone.

    Leaving the block in order would wait for that process: a save ends when all have written.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        traceback.print_exc()
        if not str(error).startswith(_FAULTS_OF_THE_PROGRAM):
            print(
                f"error: process {jax.process_index()}: a collective failed: another process "
                f"ended, or a device failed; the same command goes on from the last checkpoint",
                file=sys.stderr,
                flush=True,
            )
        os._exit(FAILED)
