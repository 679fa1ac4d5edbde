"""Follows all pods of a JobSet: shows worker 0's log, keeps every worker's, finds the end."""

import dataclasses
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from data_pipeline.terminal.command_line import USER_MISTAKE
from launch.environment import STOPPED
from launch.errors import LaunchError
from launch.jobset import JobSet, JobSetState, WorkerPod
from launch.patience import ask_patiently
from launch.pod_config import Pod
from launch.shell import Following, Shell, print_bytes
from launch.ways import End, Outcome, describe_statuses
from launch.worker_log import WorkerLog

T = TypeVar("T")
_TICK = 0.2  # seconds
_PAUSE = 2.0  # between two connections to a pod
_LAST_SECONDS = 20.0  # for the rest of the logs after the end


@dataclasses.dataclass
class _Followed:
    """A pod whose log is followed.

    Attributes:
      is_last: the connection was made after the pod's end, so that it brings the whole log.
      is_done: nothing of the log is missing, or the pod is gone.
    """

    pod: WorkerPod
    log: WorkerLog
    connection: Following | None = None
    connected: float = float("-inf")
    is_last: bool = False
    is_done: bool = False


class JobSetLog:
    """The workers of a JobSet through all its attempts; each attempt's pod has a file."""

    def __init__(self, pod: Pod, jobset: JobSet, shell: Shell, folder: Path):
        self._pod, self._jobset, self._shell, self._folder = pod, jobset, shell, folder
        self._followed: dict[str, _Followed] = {}
        self._shown: set[str] = set()

    def show_commands(self) -> Outcome:
        """Prints the command of one connection; for a dry run."""
        name = f"{self._pod.name}-slice-job-0-0-ID"
        self._shell.say(f"+ {shlex.join(self._jobset.log_argv(name))}")
        self._shell.say("  (one such connection a worker)")
        return Outcome(End.FINISHED, "a dry run")

    def follow(self) -> Outcome:
        """Returns the end of the JobSet."""
        self._folder.mkdir(parents=True, exist_ok=True)
        started, last_read = time.monotonic(), float("-inf")
        try:
            while True:
                if time.monotonic() - last_read >= self._pod.poll_seconds:
                    state = self._read()
                    last_read = time.monotonic()
                    if state.end:
                        return self._finish(state)
                    self._check_patience(started)
                self._keep_connected()
                time.sleep(_TICK)
        finally:
            for followed in self._followed.values():
                if followed.connection:
                    followed.connection.end()

    def _read(self) -> JobSetState:
        """Reads the state and the pods. Raises LaunchError where there is nothing to wait for."""
        state = self._ask(self._jobset.read_state)
        if state is None:
            raise LaunchError(f"workload {self._pod.name} was deleted by someone else")
        pods = self._ask(self._jobset.read_pods)
        for pod in pods:
            if pod.hopeless:
                raise LaunchError(f"{pod.title} cannot start: {pod.hopeless}")
            self._take(pod)
        for name in set(self._followed) - {pod.name for pod in pods}:
            self._followed[name].is_done = True  # a restart removes the pods before it
        if state.suspended:
            self._say_once(f"workload {self._pod.name} waits in the cluster's queue")
        if state.restarts:
            bound = self._pod.max_restarts
            self._say_once(f"the cluster has restarted training ({state.restarts} of {bound})")
        return state

    def _ask(self, question: Callable[[], T]) -> T:
        return ask_patiently(question, self._shell, seconds=self._pod.poll_seconds)

    def _take(self, pod: WorkerPod) -> None:
        """Remembers a pod, and its exit status once it has one."""
        if pod.name in self._followed:
            self._followed[pod.name].pod = pod
        elif pod.has_log:
            attempt = f"-attempt{pod.attempt + 1}" if pod.attempt else ""
            path = self._folder / f"slice{pod.slice}-worker{pod.worker}{attempt}.log"
            show = print_bytes if pod.slice == pod.worker == 0 else None
            self._followed[pod.name] = _Followed(pod, WorkerLog(path, show))

    def _keep_connected(self) -> None:
        for followed in self._followed.values():
            connection = followed.connection
            if connection is not None and connection.status() is not None:
                followed.connection = None
                followed.is_done |= followed.is_last
            pause = min(self._pod.poll_seconds, _PAUSE)
            rested = time.monotonic() - followed.connected >= pause
            if followed.connection is None and not followed.is_done and rested:
                self._connect(followed)

    def _connect(self, followed: _Followed) -> None:
        followed.is_last = followed.pod.status is not None
        followed.connected = time.monotonic()
        followed.log.start_over()
        argv = self._jobset.log_argv(followed.pod.name)
        followed.connection = self._shell.follow(argv, followed.log.take_line)

    def _check_patience(self, started: float) -> None:
        waited = time.monotonic() - started
        if not self._followed and waited > self._pod.wait_hours * 3600:
            raise LaunchError(
                f"workload {self._pod.name} has not started within {self._pod.wait_hours:g} h "
                "(pod.wait_hours): xpk workload list shows why"
            )

    def _finish(self, state: JobSetState) -> Outcome:
        """Reads the rest of the logs and judges the exit statuses of the last attempt."""
        until = time.monotonic() + _LAST_SECONDS
        while time.monotonic() < until and not all(one.is_done for one in self._followed.values()):
            self._keep_connected()
            time.sleep(_TICK)
        if state.end == "Completed":
            return Outcome(End.FINISHED, "all workers have finished")
        return self._judge(state)

    def _judge(self, state: JobSetState) -> Outcome:
        last = [one for one in self._followed.values() if one.pod.attempt == state.restarts]
        failed = [one for one in last if one.pod.status]
        refused = next((one for one in failed if one.pod.status == USER_MISTAKE), None)
        if refused:
            return Outcome(End.REFUSED, refused.log.last_error() or "see its log")
        statuses = [(one.pod.title, one.pod.status) for one in failed]
        errors = [one for one in failed if one.pod.status != STOPPED]
        reason = errors[0].log.last_error() if errors else None
        parts = [describe_statuses(statuses) or state.reason, reason]
        if state.restarts:
            parts.append(f"restarted {state.restarts} of {self._pod.max_restarts} times")
        return Outcome(End.CRASHED, ": ".join(filter(None, parts)))

    def _say_once(self, text: str) -> None:
        if text not in self._shown:
            self._shown.add(text)
            self._shell.say(text)
