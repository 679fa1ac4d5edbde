"""A cloud in a folder, for tests of launching: stand-ins for gcloud and its like, first on PATH.

A stand-in is a module here with `main(words, state)`, named like the program.
"""

import dataclasses
import json
import os
import re
import sys
import time
from pathlib import Path

from tests.support.fake_cloud import containers, gke, sky
from tests.support.fake_cloud.state import State

PROGRAMS = ("gcloud", "kubectl", "sky", "xpk")


class FakeCloud:
    """The fake cloud as a test uses it.

    Attributes:
      folder: its state.
      bin: folder with the programs, to be put first on PATH.
    """

    def __init__(self, folder: Path):
        self.folder, self.bin = folder / "cloud", folder / "bin"
        self.state = State(self.folder)
        for made in (self.folder, self.bin):
            made.mkdir(parents=True)
        for name in PROGRAMS:
            script = self.bin / name
            program = Path(__file__).with_name("program.py")
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -B "{program}" {name} "$@"\n')
            script.chmod(0o755)

    def variables(self) -> dict[str, str]:
        """Returns the environment variables of a process that uses this cloud."""
        path = os.environ.get("PATH", os.defpath)
        return {"FAKE_CLOUD": str(self.folder), "PATH": f"{self.bin}{os.pathsep}{path}"}

    def tell(self, **faults) -> None:
        """Sets what the next commands must suffer; "_" in a name stands for a space."""
        with self.state.open() as cloud:
            cloud["faults"] |= {name.replace("_", " "): fault for name, fault in faults.items()}

    def refuse(self, action: str, cause: str, *, times: int = 1, after: bool = False) -> None:
        """Refuses an action ("queued-resources create"), `after` having done it or not at all."""
        with self.state.open() as cloud:
            cloud["faults"][action] = {"refuse": cause, "times": times, "after": after}

    def add_node(self, name: str, workers: int = 2) -> None:
        """Adds a TPU VM that belongs to no queued resource."""
        with self.state.open() as cloud:
            cloud["nodes"][name] = {"state": "READY", "workers": workers, "owner": None}

    def set_node_state(self, name: str, state: str) -> None:
        with self.state.open() as cloud:
            cloud["nodes"][name]["state"] = state

    def preempt(self, name: str, *, initiator: str = "SERVICE", grace: float = 0.0) -> None:
        """Takes the slices of a queued resource away; their disks are lost."""
        with self.state.open() as cloud:
            resource = cloud["resources"][name]
            resource |= {"state": "SUSPENDING", "initiator": initiator, "coming": []}
            nodes = resource["nodes"]
        for node in nodes:
            self.state.end_machine(node, grace)
        with self.state.open() as cloud:
            if cloud["resources"].get(name, {}).get("state") == "SUSPENDING":
                cloud["resources"][name]["state"] = "SUSPENDED"
                for node in nodes:
                    cloud["nodes"].pop(node, None)

    def add_cluster(self, name: str, location: str = "us-east5") -> None:
        """Adds a GKE cluster that exists before a launch."""
        with self.state.open() as cloud:
            cloud.setdefault("clusters", {})[name] = {"location": location, "ours": False}

    def fail_pod(self, workload: str, worker: int = 0) -> None:
        gke.fail_worker(self.state, workload, worker)

    def preempt_job(self, number: int, grace: float = 0.0) -> None:
        sky.preempt(self.state, number, grace)

    def containers(self) -> list[str]:
        """Returns the pods and hosts of jobs on which training runs."""
        return containers.running(self.state)

    def read(self, part: str):
        """Returns a part of the state: "workloads", "clusters", "jobs"."""
        with self.state.open() as cloud:
            return cloud.get(part, {})

    def calls(self) -> list[list[str]]:
        """Returns the commands that were called, without the flags that all have."""
        path = self.folder / "calls.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]

    def resources(self) -> dict[str, str]:
        """Returns queued resources by name, with their states."""
        with self.state.open() as cloud:
            return {name: kept["state"] for name, kept in cloud["resources"].items()}

    def running(self) -> list[str]:
        """Returns the nodes on which training runs."""
        with self.state.open() as cloud:
            nodes = list(cloud["nodes"])
        return [node for node in nodes if self.state.processes(node)]

    def wait_for_session(self, number: int, node: str, worker: int = 0) -> None:
        """Waits until a worker has begun its session of that number, from 1."""
        counter = self.folder / f"sessions-{node}-{worker}"
        while not (counter.is_file() and counter.read_text() >= str(number)):
            time.sleep(0.02)
        while not self.state.processes(node):  # its keeper writes the process down after its start
            time.sleep(0.02)

    def unannounced(self, output: str) -> list[str]:
        """Returns what costs and is not named, with the command that deletes it, in `output`."""
        last = output[-2000:]
        commands = {
            name: rf"gcloud compute tpus queued-resources delete {name} .*--force"
            for name in self.resources()
        }
        with self.state.open() as cloud:
            commands |= {
                f"workload {name}": rf"xpk (workload delete --workload={name}|cluster delete) "
                for name in cloud.get("workloads", {})
            }
            commands |= {
                f"cluster {name}": rf"xpk cluster delete --cluster={name} .*--force"
                for name, cluster in cloud.get("clusters", {}).items()
                if cluster.get("ours")
            }
            commands |= {
                f"job {job['job_id']}": (
                    rf"sky jobs cancel --yes ({job['job_id']}\b|--name={job['job_name']}\b)"
                )
                for job in cloud.get("jobs", [])
                if job["status"] not in sky.ENDS
            }
        return [name for name, command in commands.items() if not re.search(command, last)]

    def train(self, *sessions: "Session") -> None:
        """Replaces training: the first session that each worker starts, the next, …, the last."""
        source = Path(__file__).with_name("training.py")
        (self.folder / "worker.py").write_text(source.read_text())
        records = [dataclasses.asdict(session) for session in sessions]
        (self.folder / "training.json").write_text(json.dumps(records))


@dataclasses.dataclass(frozen=True)
class Session:
    """What training prints, and its exit status for each worker; None waits for a signal."""

    lines: tuple[str, ...] = ()
    statuses: tuple[int | None, ...] = (0,)
    seconds: float = 0.0
