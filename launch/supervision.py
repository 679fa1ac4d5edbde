"""Brings training to its end: gets machines, starts it, replaces machines that are lost.

Whatever happens, either everything that was created is deleted, or the last lines say what is left
running and the command that deletes it.
"""

import contextlib
import dataclasses
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from data_pipeline.terminal.command_line import INTERRUPTED, TERMINATED, Terminated
from launch.errors import LaunchError, MachineLost
from launch.pod_config import Pod
from launch.shell import Shell
from launch.ways import End, Outcome, Training, Way

FAILED = 1


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line asks of a launch.

    Attributes:
      keep: leave the machines at the end.
      reuse: take machines of the same name that exist.
      logs: local folder of this launch.
    """

    keep: bool
    reuse: bool
    logs: Path


class Supervisor:
    """Runs one training on the machines of one way."""

    def __init__(self, pod: Pod, way: Way, shell: Shell, options: Options):
        self._pod, self._way, self._shell, self._options = pod, way, shell, options
        self._restarts = self._crashes = self._sessions = 0
        self._running = False  # training may run on the workers

    def run(self, archive: Path, training: Training) -> int:
        """Returns the exit status: 0 finished, 1 failed, 2 refused, 130 or 143 stopped.

        Raises LaunchError, with what is left running.
        """
        with terminate_as_interrupt():
            try:
                outcome = self._run_sessions(archive, training)
            except KeyboardInterrupt as error:
                self._stop(training)
                self._clean_up("stopped")
                return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
            except LaunchError as error:
                raise LaunchError(f"{error}; {self._clean_up(None)}") from None
            except BaseException:
                self._clean_up("an error of the launcher")
                raise
            return self._finish(outcome)

    def _run_sessions(self, archive: Path, training: Training) -> Outcome:
        """Runs sessions until one ends for good."""
        fresh = True
        while True:
            try:
                if fresh:
                    self._get_machines(archive)
                outcome = self._run_session(training)
            except MachineLost as error:
                outcome = Outcome(End.LOST, str(error))
            if not self._goes_on(outcome):
                return outcome
            fresh = outcome.end is End.LOST
            if fresh:
                self._way.delete()
                time.sleep(self._restarts * self._pod.poll_seconds)  # capacity may come back

    def _get_machines(self, archive: Path) -> None:
        self._way.create(reuse=self._options.reuse and self._sessions == 0)
        self._way.wait()
        self._way.install(archive)

    def _run_session(self, training: Training) -> Outcome:
        self._sessions += 1
        self._running = True
        self._way.start(training)
        outcome = self._way.follow(training, self._options.logs / f"session{self._sessions}")
        self._running = False
        return outcome

    def _goes_on(self, outcome: Outcome) -> bool:
        """Whether another session is due; says why, or why not."""
        if outcome.end in (End.FINISHED, End.REFUSED):
            return False
        if outcome.end is End.CRASHED:
            self._crashes += 1
            used, bound, field = self._crashes, self._pod.max_crashes, "max_crashes"
        else:
            self._restarts += 1
            used, bound, field = self._restarts, self._pod.max_restarts, "max_restarts"
        end = f"training {outcome.end.value}: {outcome.reason}"
        if used > bound:
            self._shell.say(f"{end}; not started again: pod.{field} is {bound}")
            return False
        self._shell.say(
            f"{end}; starting again from the last checkpoint ({used} of at most {bound})"
        )
        return True

    def _stop(self, training: Training) -> None:
        """Lets training save; errors do not keep the machines from being deleted."""
        if not self._running:
            return
        self._shell.say("\nstopping: training saves (Ctrl-C again: at once)")
        try:
            self._way.stop(training)
        except KeyboardInterrupt:
            self._shell.say("not waiting for training")
        except LaunchError as error:
            self._shell.say(f"training could not be asked to save: {error}")

    def _finish(self, outcome: Outcome) -> int:
        leftover = self._clean_up(None)
        if self._shell.dry_run:
            self._shell.say("dry run: nothing was run or created")
            return 0
        if outcome.end is End.FINISHED:
            self._shell.say(f"training finished; {leftover}")
            return 0
        if outcome.end is End.REFUSED:
            raise LaunchError(f"training refused to start: {outcome.reason}; {leftover}")
        logs = self._options.logs
        self._shell.say(f"training {outcome.end.value}: {outcome.reason}; logs: {logs}; {leftover}")
        return FAILED

    def _clean_up(self, why: str | None) -> str:
        """Deletes the machines unless they are kept; returns, and with `why` prints, the result."""
        leftover = self._delete() if not self._options.keep else self._describe_leftover("kept")
        if why:
            self._shell.say(f"{why}; {leftover}")
        return leftover

    def _delete(self) -> str:
        for _ in range(2):  # a first Ctrl-C during deletion must not leave machines
            try:
                self._way.delete()
                return self._describe_leftover("still there")
            except KeyboardInterrupt:
                self._shell.say("deleting; Ctrl-C again leaves the machines")
            except LaunchError as error:
                return f"deleting failed: {error}; {self._describe_leftover('left running')}"
        return self._describe_leftover("left running")

    def _describe_leftover(self, state: str) -> str:
        left = self._way.leftover()
        if left is None:
            return "nothing of this launch is left running"
        return f"{state}, and costs until it is deleted: {left.what}; {left.delete_command}"


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Raises Terminated inside at SIGTERM and SIGHUP, so that both clean up as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number, frame):
        raise Terminated

    numbers = (signal.SIGTERM, signal.SIGHUP)  # SIGHUP: the terminal is closed
    previous = {number: signal.signal(number, terminate) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
