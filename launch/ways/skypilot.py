"""Runs training on a Cloud TPU slice, as a managed job of SkyPilot.

SkyPilot finds a slice, copies the working tree to all its hosts, runs training there, replaces the
slice after preemption or maintenance, and deletes it when the job ends, also if this machine is
switched off meanwhile.
"""

import time
from pathlib import Path

import yaml

from launch.errors import LaunchError
from launch.managed_job import FAILURES, JobState, Sky, make_task
from launch.pod_config import SkyPilot, accelerator_type
from launch.shell import Following, Shell
from launch.ways import End, Leftover, Outcome, Training
from launch.ways.job_log import JobLog
from launch.working_tree import unpack

REFUSED = 2
_TICK = 0.2  # seconds
_PAUSE = 2.0  # between two connections
_CANCEL_SECONDS = 900.0


class SkyPilotWay:
    """A managed job; its machines are SkyPilot's."""

    def __init__(self, pod: SkyPilot, shell: Shell):
        self._pod, self._shell, self._sky = pod, shell, Sky(shell)
        self._folder: Path | None = None  # the working tree
        self._job: int | None = None
        self._launched = False  # a job of ours may run

    def check(self) -> None:
        self._shell.require("sky", "it finds and runs slices: pip install 'skypilot[gcp]'")

    def announce(self) -> list[str]:
        pod = self._pod
        paid = "spot, else on demand" if pod.on_demand_too else "spot" if pod.spot else "on demand"
        where = ", ".join(pod.zones) or "any zone"
        return [
            f"SkyPilot job {pod.name} on tpu-{accelerator_type(pod.place())}, {paid}, {where}: "
            f"SkyPilot replaces the slice at most {pod.max_restarts} times and deletes it at the "
            "end; the job is cancelled if this command is",
            "SkyPilot's jobs controller, a small machine of your account, stays, and stops by "
            "itself when it is idle (sky status shows it, sky down deletes it)",
        ]

    def create(self, *, reuse: bool = False) -> None:
        """Takes a job of that name that runs, or makes sure that there is none."""
        if self._shell.dry_run:
            return
        running = [job for job in self._sky.read_jobs(self._pod.name) if not job.has_ended]
        if running and not reuse:
            raise LaunchError(
                f"managed job {self._pod.name} exists ({running[-1].status}); --reuse follows it, "
                f"another pod.name starts one beside it, and this cancels it: "
                f"{self._cancellation(running[-1].job)}"
            )
        if running:
            self._job, self._launched = running[-1].job, True

    def wait(self) -> None:
        """Does nothing: SkyPilot waits for the slice."""

    def install(self, archive: Path) -> None:
        """Unpacks the working tree, which SkyPilot copies to every host."""
        self._folder = archive.parent / "working_tree"
        unpack(archive, self._folder)
        # Without it SkyPilot leaves out what .gitignore names, also tracked files.
        (self._folder / ".skyignore").write_text("# All of this folder travels.\n")

    def start(self, training: Training) -> None:
        if self._job is not None and not self._read().has_ended:
            self._shell.say(f"managed job {self._pod.name} ({self._job}) is there")
            return
        text = yaml.safe_dump(
            make_task(self._pod, training, self._folder), sort_keys=False, width=1000
        )
        task = self._folder.parent / "task.yaml"
        task.write_text(text)
        self._shell.say(f"{task.name}:\n{text}")
        self._launched = not self._shell.dry_run
        self._job = self._sky.launch(self._pod.name, task)
        if self._job is None and not self._shell.dry_run:
            self._job = self._find_running()

    def follow(self, training: Training, logs: Path) -> Outcome:
        if self._shell.dry_run:
            self._shell.say(f"+ {' '.join(self._sky.log_argv('ID'))}")
            return Outcome(End.FINISHED, "a dry run")
        log = JobLog(logs, self._shell)
        connection, connected, asked, recoveries = None, float("-inf"), float("-inf"), 0
        try:
            while True:
                if time.monotonic() - asked >= self._pod.poll_seconds:
                    state, asked = self._read(), time.monotonic()
                    if state.recoveries > recoveries:
                        recoveries = state.recoveries
                        self._tell_recovery(state)
                        log.begin_attempt()
                    if state.has_ended:
                        _wait_for(connection)
                        return self._judge(state, log)
                if connection is not None and connection.status() is not None:
                    connection = None
                if connection is None and time.monotonic() - connected >= self._pause():
                    connected = time.monotonic()
                    log.start_over()
                    argv = self._sky.log_argv(self._job)
                    connection = self._shell.follow(argv, log.take_line)
                time.sleep(_TICK)
        finally:
            if connection is not None:
                connection.end()

    def stop(self, training: Training) -> None:
        """Cancels the job so that its processes get SIGTERM before the slice goes."""
        self._shell.say("SkyPilot gives training some seconds to save, and no longer")
        if self._job is not None:
            self._sky.cancel(self._job, "--graceful")

    def delete(self) -> None:
        if self._shell.dry_run:
            self._shell.say("+ sky jobs cancel --yes ID")
            return
        if not self._launched:
            return
        for job in self._sky.read_jobs(self._pod.name):
            if not job.has_ended and job.status != "CANCELLING":
                self._sky.cancel(job.job)
        self._wait_for_end()
        self._launched = False

    def leftover(self) -> Leftover | None:
        if not self._launched:
            return None
        what = f"managed job {self._pod.name} with its slice"
        return Leftover(what, self._cancellation(self._job))

    def _cancellation(self, job: int | None) -> str:
        return f"sky jobs cancel --yes {f'--name={self._pod.name}' if job is None else job}"

    def _find_running(self) -> int:
        running = [job for job in self._sky.read_jobs(self._pod.name) if not job.has_ended]
        if not running:
            raise LaunchError(f"SkyPilot took job {self._pod.name}, and does not list it")
        return running[-1].job

    def _read(self) -> JobState:
        for job in self._sky.read_jobs(self._pod.name):
            if job.job == self._job:
                return job
        raise LaunchError(f"SkyPilot knows managed job {self._job} no longer")

    def _wait_for_end(self) -> None:
        """Waits until SkyPilot has deleted the slice."""
        deadline = time.monotonic() + _CANCEL_SECONDS
        while any(not job.has_ended for job in self._sky.read_jobs(self._pod.name)):
            if time.monotonic() > deadline:
                raise LaunchError(f"managed job {self._pod.name} is not cancelled yet")
            time.sleep(self._pause())

    def _tell_recovery(self, state: JobState) -> None:
        """Raises LaunchError if the slice was replaced more often than allowed."""
        bound = self._pod.max_restarts
        if state.recoveries > bound:
            raise LaunchError(
                f"SkyPilot has replaced the slice {state.recoveries} times; pod.max_restarts is "
                f"{bound}"
            )
        self._shell.say(
            f"SkyPilot has replaced the slice ({state.recoveries} of at most {bound}); training "
            "goes on from its last checkpoint"
        )

    def _judge(self, state: JobState, log: JobLog) -> Outcome:
        if state.status == "SUCCEEDED":
            return Outcome(End.FINISHED, "all workers have finished")
        if state.status == "CANCELLED":
            raise LaunchError(f"managed job {state.job} was cancelled by someone else")
        assert state.status in FAILURES
        reason = log.last_error() or state.reason or f"sky jobs logs --controller {state.job}"
        if state.status == "FAILED":
            end = End.REFUSED if REFUSED in state.exit_statuses() else End.CRASHED
            return Outcome(end, reason)
        if state.status == "FAILED_CONTROLLER":
            return Outcome(End.LOST, state.reason or "SkyPilot's jobs controller failed")
        if state.status == "FAILED_SETUP":
            raise LaunchError(f"the environment could not be installed: {reason}")
        raise LaunchError(f"SkyPilot found no slice ({state.status}): {state.reason or reason}")

    def _pause(self) -> float:
        return min(self._pod.poll_seconds, _PAUSE)


def _wait_for(connection: Following | None, seconds: float = 20.0) -> None:
    """Waits until the rest of the log has come."""
    until = time.monotonic() + seconds
    while connection and connection.status() is None and time.monotonic() < until:
        time.sleep(_TICK)
