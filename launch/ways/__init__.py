"""Ways to get machines and run training on them, one module each.

A way is a class with the methods of `Way`. `launch.supervision` calls them in this order and
decides what follows:

    announce → create → wait → install → start → follow   (after a loss: delete → create → …)
    stop (Ctrl-C, SIGTERM, another worker failed) → delete

Every command goes through the way's `Shell`, so a dry run prints what would run.
"""

import dataclasses
import enum
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from launch.pod_config import CONFIGS, Pod
from launch.shell import Shell


class End(enum.Enum):
    """How a session of training ended."""

    FINISHED = "finished"
    STOPPED = "stopped after saving"  # the same command goes on
    REFUSED = "refused its arguments or data"  # a mistake of the user: never repeated
    CRASHED = "failed"
    LOST = "lost its machine"  # preemption, maintenance, a broken host


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The end of a session, with its reason in a few words."""

    end: End
    reason: str


@dataclasses.dataclass(frozen=True)
class Leftover:
    """Something that goes on costing, and the command that deletes it."""

    what: str
    delete_command: str


@dataclasses.dataclass(frozen=True)
class Training:
    """What the workers run.

    Attributes:
      arguments: of `python -m launch.worker`: --config=…, --workdir=….
      run: identifies the run on a worker: the same arguments, the same run.
    """

    arguments: tuple[str, ...]
    run: str


class Way(Protocol):
    """Creates machines in one cloud, runs training on them and deletes them.

    Methods raise LaunchError (one line), and MachineLost where the cloud took the machine away.
    """

    def __init__(self, pod: Pod, shell: Shell): ...

    def check(self) -> None:
        """Raises LaunchError if a program that the way needs is missing."""
        ...

    def announce(self) -> list[str]:
        """Returns lines: what will be created, how it is paid for, when it is deleted."""
        ...

    def create(self, *, reuse: bool = False) -> None:
        """Requests the machines; with `reuse`, takes those of the same name that are there."""
        ...

    def wait(self) -> None:
        """Returns once the machines can be used."""
        ...

    def install(self, archive: Path) -> None:
        """Copies the archive of the working tree to the machines and installs it there."""
        ...

    def start(self, training: Training) -> None:
        """Starts training on all workers, or finds it running."""
        ...

    def follow(self, training: Training, logs: Path) -> Outcome:
        """Shows worker 0's log, writes every worker's to `logs`, and returns the end."""
        ...

    def stop(self, training: Training) -> None:
        """Asks training to save and stop, and waits for it."""
        ...

    def delete(self) -> None:
        """Deletes the machines that `create` requested; does nothing if it requested none."""
        ...

    def leftover(self) -> Leftover | None:
        """Returns the resource of this launch that still costs money; None if there is none."""
        ...


_CLASSES = {
    "existing_slice": "ExistingSliceWay",
    "queued_resource": "QueuedResourceWay",
    "gke_xpk": "GkeXpkWay",
    "skypilot": "SkyPilotWay",
}


def open_way(pod: Pod, shell: Shell) -> Way:
    """Returns the way that a pod config names."""
    assert set(_CLASSES) == set(CONFIGS)
    module = importlib.import_module(f"launch.ways.{pod.way}")
    return getattr(module, _CLASSES[pod.way])(pod, shell)


def describe_statuses(statuses: Sequence[tuple[str, int]]) -> str:
    """Returns "worker 1 exited with 137, worker 3 with 1"."""
    failed = [f"{worker} exited with {status}" for worker, status in statuses if status]
    return ", ".join(failed[:4]) + (f" and {len(failed) - 4} more" if len(failed) > 4 else "")
