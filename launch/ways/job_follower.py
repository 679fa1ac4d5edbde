"""Follows a managed job of SkyPilot: its log, its replacements, its end."""

import time
from pathlib import Path

from data_pipeline.terminal.command_line import USER_MISTAKE
from launch.errors import LaunchError
from launch.managed_job import FAILURES, JobState, Sky
from launch.patience import ask_patiently
from launch.pod_config import SkyPilot
from launch.shell import Following, Shell
from launch.ways import End, Outcome
from launch.ways.job_log import JobLog

_TICK = 0.2  # seconds
_PAUSE = 2.0  # between two connections
_LAST_SECONDS = 20.0  # for the rest of the log after the end


class JobFollower:
    """One job from its submission to its end."""

    def __init__(self, pod: SkyPilot, shell: Shell, sky: Sky, job: int, logs: Path):
        self._pod, self._shell, self._sky, self._job = pod, shell, sky, job
        self._log = JobLog(logs, shell)
        self._connection: Following | None = None
        self._connected = float("-inf")
        self._recoveries = 0

    def follow(self) -> Outcome:
        """Returns how the job ended. Raises LaunchError where nobody may go on with it."""
        last_read = float("-inf")
        try:
            while True:
                if time.monotonic() - last_read >= self._pod.poll_seconds:
                    state, last_read = self._read(), time.monotonic()
                    if state.has_ended:
                        self._read_rest()
                        return self._judge(state)
                self._keep_connected()
                time.sleep(_TICK)
        finally:
            if self._connection is not None:
                self._connection.end()

    def _read(self) -> JobState:
        """Reads the state, and says when the slice was replaced."""
        state = ask_patiently(
            lambda: self._sky.read_job(self._pod.name, self._job),
            self._shell,
            seconds=self._pod.poll_seconds,
        )
        if state.recoveries > self._recoveries:
            self._recoveries = state.recoveries
            self._tell_recovery()
            self._log.begin_attempt()
        return state

    def _tell_recovery(self) -> None:
        """Raises LaunchError if the slice was replaced more often than allowed."""
        times, bound = self._recoveries, self._pod.max_restarts
        if times > bound:
            raise LaunchError(
                f"SkyPilot has replaced the slice {times} times; pod.max_restarts is {bound}"
            )
        self._shell.say(
            f"SkyPilot has replaced the slice ({times} of at most {bound}); training goes on from "
            "its last checkpoint"
        )

    def _keep_connected(self) -> None:
        if self._connection is not None and self._connection.status() is not None:
            self._connection = None
        rested = time.monotonic() - self._connected >= min(self._pod.poll_seconds, _PAUSE)
        if self._connection is None and rested:
            self._connected = time.monotonic()
            self._log.start_over()
            argv = self._sky.log_argv(self._job)
            self._connection = self._shell.follow(argv, self._log.take_line)

    def _read_rest(self) -> None:
        until = time.monotonic() + _LAST_SECONDS
        while self._connection and self._connection.status() is None and time.monotonic() < until:
            time.sleep(_TICK)

    def _judge(self, state: JobState) -> Outcome:
        if state.status == "SUCCEEDED":
            return Outcome(End.FINISHED, "all workers have finished")
        if state.status == "CANCELLED":
            raise LaunchError(f"managed job {state.job} was cancelled by someone else")
        assert state.status in FAILURES
        controller = f"sky jobs logs --controller {state.job}"
        reason = self._log.last_error() or state.reason or controller
        if state.status == "FAILED":
            end = End.REFUSED if USER_MISTAKE in state.exit_statuses() else End.CRASHED
            return Outcome(end, reason)
        if state.status == "FAILED_CONTROLLER":
            return Outcome(End.LOST, state.reason or "SkyPilot's jobs controller failed")
        if state.status == "FAILED_SETUP":
            raise LaunchError(f"the environment could not be installed: {reason}")
        raise LaunchError(f"SkyPilot found no slice ({state.status}): {state.reason or reason}")
