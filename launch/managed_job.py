"""Starts, reads and cancels a managed job of SkyPilot through its command `sky`.

Task fields, commands, statuses and outputs are those of SkyPilot 0.14
(https://docs.skypilot.co: SkyPilot YAML, Managed jobs, Cloud TPU, CLI).
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from launch import environment
from launch.errors import CommandFailed, LaunchError, documented_answer
from launch.failures import explain
from launch.pod_config import SkyPilot, accelerator_type, runtime_version
from launch.shell import Shell
from launch.ways import Training

FAILURES = (
    "FAILED",
    "FAILED_SETUP",
    "FAILED_PRECHECKS",
    "FAILED_NO_RESOURCE",
    "FAILED_CONTROLLER",
)
_ENDS = ("SUCCEEDED", "CANCELLED", *FAILURES)
_NO_JOBS = r"No in-progress managed jobs|No managed jobs|ClusterNotUp|controller .*not (?:up|exist)"
MEANINGS = (
    (r"sky check|not enabled|No cloud|credentials|invalid_grant|[Rr]eauthentication",
     "no credentials for Google Cloud: gcloud auth application-default login, then sky check gcp"),
    (r"[Pp]ermission .*denied|PERMISSION_DENIED|does not have permission",
     "no permission: the account needs the roles that sky check gcp names"),
    (r"[Qq]uota|RESOURCE_EXHAUSTED", "no quota: ask for more, or name other pod.zones"),
    (r"ResourcesUnavailable|no .*resources? .*(?:available|satisf)|[Nn]o resource satisfying|"
     r"[Ii]nsufficient capacity|stockout",
     "no such slice anywhere now: sky gpus list shows what there is"),
    (r"API server|ConnectionError|Connection refused", "SkyPilot's server does not answer: "
     "sky api info"),
    (r"[Nn]o such option|Usage: sky", "this version of SkyPilot has other flags; 0.14 is known"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class JobState:
    """A managed job as `sky jobs queue` shows it.

    Attributes:
      recoveries: how often SkyPilot has replaced its machines.
      reason: why it failed; "" if it did not.
    """

    job: int
    name: str
    status: str
    recoveries: int
    reason: str

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDS

    def exit_statuses(self) -> list[int]:
        """Returns exit statuses of workers that SkyPilot tells of a failed job."""
        found = re.search(r"exit(?:ed with exit)? codes? \[?([\d, ]+)", self.reason)
        return [int(word) for word in found[1].split(",") if word.strip()] if found else []


class Sky:
    """The command `sky jobs`."""

    def __init__(self, shell: Shell):
        self._shell = shell

    def launch(self, name: str, task: Path) -> int | None:
        """Submits a job and returns its number; None in a dry run or if sky does not say it."""
        output = self._run("launch", "--yes", "--detach-run", f"--name={name}", str(task))
        numbers = re.findall(r"(?:Job submitted, ID|Managed Job ID): (\d+)", _plain(output))
        return int(numbers[-1]) if numbers else None

    def read_jobs(self, name: str) -> list[JobState]:
        """Returns the jobs of a name, oldest first."""
        try:
            output = self._shell.ask("sky", "jobs", "queue", "--all", "--output=json")
        except CommandFailed as error:
            if re.search(_NO_JOBS, error.output + error.stderr):
                return []
            raise explain(error, MEANINGS, "sky jobs queue") from None
        records = _read_list(output)
        with documented_answer("sky jobs queue"):
            jobs = [parse_job(record) for record in records if record.get("job_name") == name]
        return sorted(jobs, key=lambda job: job.job)

    def read_job(self, name: str, number: int) -> JobState:
        """Returns one job. Raises LaunchError if SkyPilot does not list it."""
        for job in self.read_jobs(name):
            if job.job == number:
                return job
        raise LaunchError(f"SkyPilot does not list managed job {number} any more")

    def cancel(self, job: int) -> None:
        """Ends a job; --graceful sends its processes SIGTERM before the slice goes."""
        self._run("cancel", "--yes", "--graceful", str(job))

    def log_argv(self, job: int | str) -> tuple[str, ...]:
        """Returns the command that prints a job's whole log and follows it."""
        return ("sky", "jobs", "logs", "--follow", "--tail=0", str(job))

    def _run(self, verb: str, *words: str) -> str:
        try:
            return self._shell.run("sky", "jobs", verb, *words)
        except CommandFailed as error:
            raise explain(error, MEANINGS, f"sky jobs {verb}") from None


def make_task(pod: SkyPilot, training: Training, folder: Path) -> dict[str, Any]:
    """Returns the task: one slice, on whose hosts SkyPilot runs `setup` and `run`."""
    place = pod.place()
    resources: dict[str, Any] = {
        "accelerators": f"tpu-{accelerator_type(place)}",
        "accelerator_args": {
            "tpu_vm": True,
            "runtime_version": pod.runtime_version or runtime_version(place),
        },
        # Always after a stop that saved; other failures are judged by the launcher.
        "job_recovery": {"recover_on_exit_codes": [environment.STOPPED]},
        **_candidates(pod),
    }
    if pod.labels:
        resources["labels"] = {name: str(value) for name, value in pod.labels.items()}
    task = {
        "name": pod.name,
        "num_nodes": 1,
        "workdir": str(folder),
        "resources": resources,
        "setup": "\n".join(["set -e", *pod.setup, environment.install_command(pod)]),
        "run": f"exec {environment.worker_line(training)}",
    }
    if pod.variables:
        task["envs"] = {name: str(value) for name, value in sorted(pod.variables.items())}
    return task


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def format_task(task: Mapping[str, Any]) -> str:
    """Returns the task as the text of its file."""
    return yaml.dump(task, Dumper=_Dumper, sort_keys=False, width=1000)


def parse_job(record: Mapping[str, Any]) -> JobState:
    """Returns what matters in a record of `sky jobs queue --output=json`."""
    return JobState(
        int(record["job_id"]),
        record["job_name"],
        str(record["status"]),
        int(record.get("recovery_count") or 0),
        " ".join((record.get("failure_reason") or "").split()),
    )


def _candidates(pod: SkyPilot) -> dict[str, Any]:
    """Returns where to look, and how it is paid for: one choice, or any of several."""
    places = [f"gcp/{zone.rpartition('-')[0]}/{zone}" for zone in pod.zones] or ["gcp"]
    ways = [True, False] if pod.on_demand_too else [pod.spot]
    choices = [{"infra": place, "use_spot": spot} for spot in ways for place in places]
    return choices[0] if len(choices) == 1 else {"any_of": choices}


def _read_list(text: str) -> list[dict[str, Any]]:
    """Returns the JSON list in what sky prints, which may begin with notices."""
    text = _plain(text)
    try:
        return json.loads(text[text.index("[") :])
    except ValueError:
        raise LaunchError("sky jobs queue printed no JSON; version 0.14 does") from None


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
