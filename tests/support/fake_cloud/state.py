"""State of the fake cloud: a JSON file that the stand-in programs change under a lock.

resources   queued resources: {name: {states to come, state, nodes, …}}
nodes       TPU VMs: {name: {state, workers, owner}}
faults      what the next commands must suffer; FakeCloud.tell writes it
FOLDER/calls.jsonl                  every command that was called
FOLDER/machines/NODE/WORKER         a worker's home folder
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path


class Refusal(Exception):
    """A command fails: its exit status and the text on stderr."""

    def __init__(self, text: str, status: int = 1):
        super().__init__(text)
        self.text, self.status = text, status


class State:
    """The cloud's state in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    @contextlib.contextmanager
    def open(self) -> Iterator[dict]:
        """Yields the state for reading and changing; others wait."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "state.json"
            empty = {"resources": {}, "nodes": {}, "faults": {}}
            state = json.loads(path.read_text()) if path.is_file() else empty
            yield state
            new = path.with_suffix(".new")
            new.write_text(json.dumps(state, indent=1))
            new.replace(path)

    def record(self, argv: list[str]) -> None:
        with (self.folder / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps(argv) + "\n")

    def home(self, node: str, worker: int) -> Path:
        return self.folder / "machines" / node / str(worker)

    def take_fault(self, name: str) -> dict | None:
        """Returns a fault that is due, and counts down how often it still comes (`times`)."""
        with self.open() as state:
            fault = state["faults"].get(name)
            if fault is None:
                return None
            fault["times"] = fault.get("times", 1) - 1
            if fault["times"] <= 0:
                del state["faults"][name]
            return fault

    def end_machine(self, node: str, grace: float = 0.0) -> None:
        """Shuts a node down: SIGTERM, SIGKILL after `grace` seconds; its disk is lost."""
        groups = self.processes(node)
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            until = time.monotonic() + patience
            for group in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)
            while any(map(is_alive, groups)) and time.monotonic() < until:
                time.sleep(0.02)
        shutil.rmtree(self.folder / "machines" / node, ignore_errors=True)

    def processes(self, node: str) -> list[int]:
        """Returns the process groups of runs on a node that are alive."""
        files = (self.folder / "machines" / node).glob("*/.semcoder-jax/runs/*/process")
        groups = [int(path.read_text()) for path in files]
        return [group for group in groups if is_alive(group)]


def is_alive(group: int) -> bool:
    """Whether a process of the group lives; zombies do not."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    with contextlib.suppress(OSError):
        return Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
