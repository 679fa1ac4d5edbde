"""Runs training on a Cloud TPU slice that exists; neither creates nor deletes it."""

import time

from launch.errors import LaunchError
from launch.pod_config import ExistingSlice
from launch.shell import Shell
from launch.ways import Leftover
from launch.ways.tpu_vm import TpuVmWay

READY = "READY"
# States of a node that end by themselves, e.g. after maintenance.
_PASSING = ("CREATING", "STARTING", "RESTARTING", "REIMAGING", "REPAIRING", "UNKNOWN")


class ExistingSliceWay(TpuVmWay):
    """A slice by the name of its node (TPU VM)."""

    def __init__(self, pod: ExistingSlice, shell: Shell):
        super().__init__(pod, shell, [pod.name])

    def announce(self) -> list[str]:
        where = f"{self._pod.name} in {self._pod.zone}"
        return [f"existing slice {where}: it is neither created nor deleted, and goes on costing"]

    def create(self, *, reuse: bool = False) -> None:
        """Does nothing: the slice exists."""

    def wait(self) -> None:
        """Waits while the slice comes back by itself. Raises LaunchError if it will not."""
        if self._shell.dry_run:
            return
        until = time.monotonic() + self._pod.wait_hours * 3600
        while (state := self._state()) in _PASSING and time.monotonic() < until:
            time.sleep(self._pod.poll_seconds)
        if state is None:
            raise LaunchError(
                f"there is no TPU VM {self._pod.name} in {self._pod.zone}: gcloud compute tpus "
                f"tpu-vm list --zone={self._pod.zone}"
            )
        if state != READY:
            raise LaunchError(
                f"{self._pod.name} is {state}, expected {READY}; launch never recreates a slice "
                "that it did not create"
            )

    def delete(self) -> None:
        """Does nothing: the slice stays."""

    def leftover(self) -> Leftover | None:
        return None

    def _find_loss(self) -> str | None:
        state = self._state()
        if state == READY:
            return None
        return f"{self._pod.name} {'does not exist any more' if state is None else f'is {state}'}"

    def _state(self) -> str | None:
        """Returns the node's state; None if there is no such node."""
        described = self._gcloud.describe("tpu-vm", self._pod.name)
        return None if described is None else described.get("state", "UNKNOWN")
