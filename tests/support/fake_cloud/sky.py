"""A stand-in for SkyPilot 0.14's `sky jobs launch`, `queue`, `logs` and `cancel`.

A job runs its task's `setup` and `run` on each host of a slice. Its state moves on whenever it is
read, as SkyPilot's controller moves it.
"""

import json
import shlex
import shutil
import site
import sys
import time
from pathlib import Path

from tests.support.fake_cloud import containers
from tests.support.fake_cloud.state import Refusal, State

_FLAGS = {
    "launch": {"yes", "detach-run", "name"},
    "queue": {"all", "output"},
    "logs": {"follow", "tail"},
    "cancel": {"yes", "graceful", "name"},
}
# What a task may have; of SkyPilot's schema, the fields that the launcher may use.
_TASK = {"name", "num_nodes", "workdir", "resources", "setup", "run", "envs"}
_RESOURCES = {
    "accelerators", "accelerator_args", "job_recovery", "infra", "use_spot", "any_of", "labels",
}  # fmt: skip
REFUSALS = {
    "login": "sky.exceptions.NoCloudAccessError: No cloud access is set up. Run: sky check",
    "permission": "Permission 'tpu.nodes.create' denied on 'projects/p/locations/z'",
    "quota": "Quota limit 'TPUV5sPreemptibleLitepod' has been exceeded. Limit: 0",
    "server": "Could not connect to SkyPilot API server at http://127.0.0.1:46580",
    "resources": "sky.exceptions.ResourcesUnavailableError: No launchable resource found",
    "flags": "Usage: sky jobs queue [OPTIONS]\nError: No such option: --output",
}
ENDS = ("SUCCEEDED", "CANCELLED", "FAILED", "FAILED_SETUP", "FAILED_NO_RESOURCE",
         "FAILED_PRECHECKS", "FAILED_CONTROLLER")  # fmt: skip
_CYAN, _PLAIN = "\x1b[36m", "\x1b[0m"


def main(words: list[str], state: State) -> int:
    """Runs `sky WORDS…`. Raises Refusal."""
    group, verb, *rest = words
    flags = dict(word[2:].partition("=")[::2] for word in rest if word.startswith("--"))
    names = [word for word in rest if not word.startswith("--")]
    if group != "jobs" or set(flags) - _FLAGS.get(verb, set()):
        raise Refusal(
            f"Usage: sky [OPTIONS] COMMAND [ARGS]...\nError: No such option in {words}", 2
        )
    if fault := state.take_fault(f"sky {verb}"):
        if fault.get("after"):
            _ACTIONS[verb](names, flags, state)
        raise Refusal(REFUSALS[fault["refuse"]])
    return _ACTIONS[verb](names, flags, state)


def launch(names: list[str], flags: dict, state: State) -> int:
    assert "yes" in flags and "detach-run" in flags, "sky asks, and nobody answers"
    task = _read_task(Path(names[0]))
    with state.open() as cloud:
        jobs = cloud.setdefault("jobs", [])
        jobs.append({
            "job_id": len(jobs) + 1, "job_name": flags["name"], "status": "PENDING",
            "recovery_count": 0, "failure_reason": None, "task": task, "attempt": 0,
            "hosts": cloud["faults"].get("workers", 1), "started": False,
            "coming": cloud["faults"].pop("statuses", ["STARTING"]),
        })  # fmt: skip
        number = len(jobs)
        silent = cloud["faults"].pop("silent", False)
    shutil.copytree(task["workdir"], _bucket(state, number))  # it may be gone when a host starts
    print("Job submission" if silent else f"{_CYAN}Job submitted, ID: {number}{_PLAIN}")
    return 0


def queue(names: list[str], flags: dict, state: State) -> int:
    with state.open() as cloud:
        jobs = cloud.get("jobs", [])
        for job in jobs:
            _advance(state, job)
        shown = ("job_id", "job_name", "status", "recovery_count", "failure_reason")
        records = [{key: job[key] for key in shown} for job in reversed(jobs)]
    print("A new version of SkyPilot is available.")
    print(json.dumps(records, indent=2))
    return 0


def logs(names: list[str], flags: dict, state: State) -> int:
    number = int(names[0])
    positions: dict[str, int] = {}
    fault = state.take_fault("lose log")
    while True:
        with state.open() as cloud:
            job = cloud["jobs"][number - 1]
        ended = job["status"] in ENDS
        for host in range(job["hosts"]) if job["started"] else ():
            name = _host(job, host)
            lines = _complete_lines(state, name)
            for line in lines[positions.get(name, 0) :]:
                print(f"{_CYAN}{_prefix(job, host)}{_PLAIN} {line}", flush=True)
            positions[name] = len(lines)
        if fault and sum(positions.values()) > 1:
            raise Refusal("requests.exceptions.ConnectionError")
        if ended:
            print(f"Managed job finished: {number} (status: {job['status']}).")
            return 100 if job["status"].startswith("FAILED") else 0
        time.sleep(0.05)


def cancel(names: list[str], flags: dict, state: State) -> int:
    assert "yes" in flags
    with state.open() as cloud:
        job = cloud["jobs"][int(names[0]) - 1]
        if job["status"] in ENDS:
            print(f"Managed job {names[0]} is already in terminal state; skipped cancellation.")
            return 0
        job["status"] = "CANCELLING"
        job["coming"] = []
        hosts = [_host(job, host) for host in range(job["hosts"])] if job["started"] else []
    for host in hosts:
        containers.end(state, host, grace=5.0 if "graceful" in flags else 0.0)
    print("Jobs cancellation submitted.")
    return 0


def preempt(state: State, number: int, grace: float = 0.0) -> None:
    """Takes the slice of a job away; SkyPilot finds another."""
    with state.open() as cloud:
        job = cloud["jobs"][number - 1]
        job["status"] = "RECOVERING"
        hosts = [_host(job, host) for host in range(job["hosts"])]
    for host in hosts:
        containers.end(state, host, grace)


def _advance(state: State, job: dict) -> None:
    if job["status"] in ENDS:
        return
    if job["status"] == "CANCELLING":
        job["status"] = "CANCELLED"
    elif job["coming"]:
        job["status"] = job["coming"].pop(0)
        if job["status"] in ENDS:
            job["failure_reason"] = f"{job['status']} for a reason"
    elif job["status"] == "RECOVERING":
        _recover(state, job)
    elif not job["started"]:
        job["started"] = True
        _start_hosts(state, job)
    else:
        _judge(state, job)


def _judge(state: State, job: dict) -> None:
    statuses = [containers.status(state, _host(job, host)) for host in range(job["hosts"])]
    failed = [status for status in statuses if status]
    if statuses == [0] * len(statuses):
        job["status"] = "SUCCEEDED"
    elif failed and all(status is not None for status in statuses):
        recovery = job["task"]["resources"].get("job_recovery", {})
        if set(failed) & set(recovery.get("recover_on_exit_codes", [])):
            job["status"] = "RECOVERING"
        else:
            setup = any(_set_up(state, job, host) is False for host in range(job["hosts"]))
            job["status"] = "FAILED_SETUP" if setup else "FAILED"
            many = "s" if len(failed) > 1 else ""
            job["failure_reason"] = (
                f"Job exited with exit code{many} {failed if many else failed[0]} (user program "
                f"failure). To see the details, run: sky jobs logs --controller {job['job_id']}"
            )
    else:
        job["status"] = "RUNNING"


def _recover(state: State, job: dict) -> None:
    for host in range(job["hosts"]):
        containers.end(state, _host(job, host))
    job |= {"attempt": job["attempt"] + 1, "recovery_count": job["recovery_count"] + 1}
    job["status"] = "RUNNING"
    _start_hosts(state, job)


def _start_hosts(state: State, job: dict) -> None:
    """Runs setup and run in a copy of the working folder; making the environment is replaced."""
    job["status"] = "RUNNING"
    task = job["task"]
    setup = task["setup"].replace(
        "PYTHON=python3 bash launch/environment.sh install",
        'mkdir -p .venv/bin && cp "$HOME/bin/python" .venv/bin/python',
    )
    for host in range(job["hosts"]):
        script = (
            f'cp -r "{_bucket(state, job["job_id"])}" work && cd work || exit 1\n'
            f"bash -c {shlex.quote(setup)} || {{ touch ../setup-failed; exit 1; }}\n{task['run']}\n"
        )
        containers.start(
            state, _host(job, host), script, worker=f"{job['job_name']}/{host}",
            variables=task.get("envs", {}),
        )  # fmt: skip


def _set_up(state: State, job: dict, host: int) -> bool:
    return not (containers.place(state, _host(job, host)) / "home" / "setup-failed").exists()


def _complete_lines(state: State, name: str) -> list[str]:
    path = containers.place(state, name) / "log"
    text = path.read_text() if path.is_file() else ""
    return text.split("\n")[:-1]


def _prefix(job: dict, host: int) -> str:
    if job["hosts"] == 1:
        return f"({job['job_name']}, pid=17{host})"
    who = "head" if host == 0 else f"worker{host}"
    address = "" if host == 0 else f", ip=10.0.0.{host}"
    return f"({who}, rank={host}, pid=17{host}{address})"


def _host(job: dict, host: int) -> str:
    return f"job{job['job_id']}-a{job['attempt']}-host{host}"


def _bucket(state: State, number: int) -> Path:
    return state.folder / "buckets" / str(number)


def _read_task(path: Path) -> dict:
    if "yaml" not in sys.modules:
        site.main()  # the programs start without site-packages
    import yaml

    task = yaml.safe_load(path.read_text())
    assert set(task) <= _TASK and set(task["resources"]) <= _RESOURCES, task
    assert task["num_nodes"] == 1 and isinstance(task["run"], str)
    ignored = (Path(task["workdir"]) / ".skyignore").read_text().splitlines()
    assert all(line.startswith("#") for line in ignored), "all of the folder must travel"
    return task


_ACTIONS = {"launch": launch, "queue": queue, "logs": logs, "cancel": cancel}
