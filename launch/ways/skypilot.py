"""Runs training on a Cloud TPU slice, as a managed job of SkyPilot.

SkyPilot finds a slice, copies the working tree to all its hosts, runs training there, replaces the
slice after preemption or maintenance, and deletes it when the job ends, also if this machine is
switched off meanwhile.
"""

import time
from pathlib import Path

from launch.errors import LaunchError
from launch.managed_job import Sky, format_task, make_task
from launch.patience import DELETIONS, ask_patiently
from launch.pod_config import SkyPilot, accelerator_type
from launch.shell import Shell
from launch.ways import End, Leftover, Outcome, Training
from launch.ways.job_follower import JobFollower
from launch.working_tree import unpack

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
        if self._job is not None and not self._sky.read_job(self._pod.name, self._job).has_ended:
            self._shell.say(f"managed job {self._pod.name} ({self._job}) is there")
            return
        text = format_task(make_task(self._pod, training, self._folder))
        task = self._folder.parent / "task.yaml"
        task.write_text(text)
        self._shell.say(f"{task.name}:\n{text}")
        self._launched = not self._shell.dry_run
        self._job = self._sky.launch(self._pod.name, task)
        if self._job is None and not self._shell.dry_run:
            self._job = self._find_newest()

    def follow(self, training: Training, logs: Path) -> Outcome:
        if self._shell.dry_run:
            self._shell.say(f"+ {' '.join(self._sky.log_argv('ID'))}")
            return Outcome(End.FINISHED, "a dry run")
        return JobFollower(self._pod, self._shell, self._sky, self._job, logs).follow()

    def stop(self, training: Training) -> None:
        """Says what happens: cancelling the job is what asks training to save."""
        self._shell.say("a managed job stops when it is cancelled, and has some seconds to save")

    def delete(self) -> None:
        if self._shell.dry_run:
            self._shell.say("+ sky jobs cancel --yes --graceful ID")
            return
        if not self._launched:
            return
        ask_patiently(
            self._cancel_jobs, self._shell, attempts=DELETIONS, seconds=self._pod.poll_seconds
        )
        self._wait_for_end()
        self._launched = False

    def leftover(self) -> Leftover | None:
        if not self._launched:
            return None
        what = f"managed job {self._pod.name} with its slice"
        return Leftover(what, self._cancellation(self._job))

    def _cancellation(self, job: int | None) -> str:
        return f"sky jobs cancel --yes {f'--name={self._pod.name}' if job is None else job}"

    def _cancel_jobs(self) -> None:
        for job in self._sky.read_jobs(self._pod.name):
            if not job.has_ended and job.status != "CANCELLING":
                self._sky.cancel(job.job)

    def _find_newest(self) -> int:
        jobs = self._sky.read_jobs(self._pod.name)
        if not jobs:
            raise LaunchError(f"SkyPilot took job {self._pod.name}, and does not list it")
        return jobs[-1].job

    def _wait_for_end(self) -> None:
        """Waits until SkyPilot has deleted the slice."""
        deadline = time.monotonic() + _CANCEL_SECONDS
        while any(not job.has_ended for job in self._sky.read_jobs(self._pod.name)):
            if time.monotonic() > deadline:
                raise LaunchError(f"managed job {self._pod.name} is not cancelled yet")
            time.sleep(min(self._pod.poll_seconds, 2.0))
