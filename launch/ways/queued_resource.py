"""Runs training on Cloud TPU slices that it requests as a queued resource and deletes at the end.

States and commands follow Google Cloud's pages "Manage queued resources", "Cloud TPU Multislice"
and the reference of `gcloud compute tpus queued-resources`.
"""

import shlex
import time
from collections.abc import Mapping
from typing import Any

from launch.errors import LaunchError, MachineLost, documented_answer
from launch.gcloud import CloudError, find_cause
from launch.patience import DELETIONS, ask_patiently
from launch.pod_config import QueuedResource, accelerator_type, runtime_version
from launch.shell import Shell
from launch.ways import Leftover
from launch.ways.tpu_vm import TpuVmWay

_GROUP = "queued-resources"
_ACTIVE = "ACTIVE"
# ACCEPTED is what WAITING_FOR_RESOURCES was called before.
_COMING = ("STATE_UNSPECIFIED", "CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING")
_GONE = ("SUSPENDING", "SUSPENDED", "DELETING")
_DELETION_SECONDS = 600.0


class QueuedResourceWay(TpuVmWay):
    """One slice, or several joined by the data-center network, as one request."""

    def __init__(self, pod: QueuedResource, shell: Shell):
        super().__init__(pod, shell, node_names(pod))
        self._requested = False  # it may exist and is ours to delete

    def announce(self) -> list[str]:
        pod, place = self._pod, self._pod.place()
        slices = f"{pod.slices} x {self._accelerator()}" + (f" ({pod.topology})" if place else "")
        paid = "spot" if pod.spot else "reserved" if pod.reserved else "on demand"
        where = pod.zone + (f" of {pod.project}" if pod.project else "")
        return [
            f"queued resource {pod.name} in {where}: {slices}, {paid}, software {self._runtime()}",
            f"should this machine die, delete it by hand: {self._delete_command()}",
        ]

    def create(self, *, reuse: bool = False) -> None:
        """Requests the slices. Raises LaunchError if a resource of that name exists."""
        if not self._shell.dry_run and self._take_existing(reuse):
            return
        self._requested = True
        try:
            self._gcloud.run(_GROUP, "create", self._pod.name, *self._create_flags())
        except CloudError as error:
            self._requested = error.cause != "exists" and self._may_exist()
            if error.cause == "capacity":
                raise MachineLost(str(error)) from None
            raise

    def wait(self) -> None:
        """Returns once the resource is ACTIVE. Raises MachineLost, LaunchError."""
        if self._shell.dry_run:
            argv = self._gcloud.argv(_GROUP, "describe", self._pod.name, "--format=json")
            self._shell.say(f"+ {shlex.join(argv)}")
            self._shell.say(f"  (every {self._pod.poll_seconds:g} s, until it is {_ACTIVE})")
            return
        until, shown = time.monotonic() + self._pod.wait_hours * 3600, None
        while True:
            described = self._describe_patiently()
            state = _state(described)
            if state != shown:
                self._shell.say(f"{time.strftime('%H:%M:%S')} {self._pod.name}: {state}")
                shown = state
            if state == _ACTIVE:
                return
            if state not in _COMING:
                self._raise_end(described)
            if time.monotonic() > until:
                raise LaunchError(
                    f"{self._pod.name} is {state} after {self._pod.wait_hours:g} h "
                    "(pod.wait_hours); take spot, a smaller slice or another zone"
                )
            time.sleep(self._pod.poll_seconds)

    def delete(self) -> None:
        """Deletes the resource with its nodes and waits until it is gone."""
        if not self._requested:
            return
        ask_patiently(
            self._ask_for_deletion, self._shell, attempts=DELETIONS, seconds=self._pod.poll_seconds
        )
        if not self._shell.dry_run:
            self._wait_until_gone()
        self._requested = False

    def leftover(self) -> Leftover | None:
        if not self._requested:
            return None
        return Leftover(f"queued resource {self._pod.name}", self._delete_command())

    def _take_existing(self, reuse: bool) -> bool:
        """Returns whether a resource of that name is there to be used."""
        described = self._gcloud.describe(_GROUP, self._pod.name)
        if described is None:
            return False
        state = _state(described)
        if not reuse:
            raise LaunchError(
                f"{self._pod.name} exists already ({state}) and is left as it is; --reuse takes "
                f"it, --pod.name=… makes another, {self._delete_command()} deletes it"
            )
        self._requested = True
        if state in (_ACTIVE, *_COMING):
            self._shell.say(f"{self._pod.name} exists ({state}) and is taken")
            return True
        self.delete()
        return False

    def _create_flags(self) -> list[str]:
        pod = self._pod
        several = [f"--node-count={pod.slices}", f"--node-prefix={pod.name}"]
        flags = [
            f"--accelerator-type={self._accelerator()}",
            f"--runtime-version={self._runtime()}",
            *([f"--node-id={pod.name}"] if pod.slices == 1 else several),
        ]
        for field in ("network", "subnetwork", "service_account", "valid_until_duration"):
            if value := getattr(pod, field):
                flags.append(f"--{field.replace('_', '-')}={value}")
        for field in ("spot", "reserved", "internal_ips"):
            if getattr(pod, field):
                flags.append(f"--{field.replace('_', '-')}")
        if pod.labels:
            pairs = ",".join(f"{key}={value}" for key, value in sorted(pod.labels.items()))
            flags.append(f"--labels={pairs}")
        return flags

    def _accelerator(self) -> str:
        return self._pod.accelerator_type or accelerator_type(self._pod.place())

    def _runtime(self) -> str:
        return self._pod.runtime_version or runtime_version(self._pod.place())

    def _ask_for_deletion(self) -> None:
        try:
            self._gcloud.run(_GROUP, "delete", self._pod.name, "--force")
        except CloudError as error:
            if error.cause != "missing":
                raise

    def _describe(self) -> Mapping[str, Any]:
        return self._check_described(self._gcloud.describe(_GROUP, self._pod.name))

    def _describe_patiently(self) -> Mapping[str, Any]:
        """Describes the resource; asks again, some times, where gcloud cannot tell."""
        described = ask_patiently(
            lambda: self._gcloud.describe(_GROUP, self._pod.name),
            self._shell,
            seconds=self._pod.poll_seconds,
        )
        return self._check_described(described)

    def _check_described(self, described: Mapping[str, Any] | None) -> Mapping[str, Any]:
        if described is None:  # it is deleted again all the same: the answer may be too early
            raise LaunchError(f"{self._pod.name} was deleted by somebody else")
        return described

    def _may_exist(self) -> bool:
        """Whether a creation that failed left something; True if that cannot be found out."""
        try:
            return self._gcloud.describe(_GROUP, self._pod.name) is not None
        except LaunchError:
            return True

    def _find_loss(self) -> str | None:
        """Returns why the slices are gone, or None while all of them can be used.

        Asks for the resource last: where nodes vanish, it says on whose request.
        """
        node_loss = self._find_node_loss()
        described = self._describe()
        state = _state(described)
        if state == _ACTIVE:
            return node_loss
        if _initiator(described) == "USER":
            self._raise_end(described)
        return f"{self._pod.name} is {state}"

    def _find_node_loss(self) -> str | None:
        for node in self._nodes:
            found = self._gcloud.describe("tpu-vm", node)
            if found is None or found.get("state") != "READY":
                return f"{node} is {'gone' if found is None else found.get('state')}"
        return None

    def _raise_end(self, described: Mapping[str, Any]) -> None:
        """Raises MachineLost if the cloud took the slices, LaunchError if another request fails."""
        state = _state(described)
        if state in _GONE and _initiator(described) != "USER":
            raise MachineLost(f"{self._pod.name} is {state}")
        if state in _GONE:
            raise LaunchError(f"{self._pod.name} is {state} by a user's request")
        with documented_answer("gcloud … describe"):
            error = described.get("state", {}).get("failedData", {}).get("error", {})
            reason = " ".join(str(error.get("message", "no reason given")).split())
        if find_cause(reason) == "capacity":
            raise MachineLost(f"{self._pod.name} is {state}: {reason}")
        raise LaunchError(f"{self._pod.name} is {state}: {reason}")

    def _wait_until_gone(self) -> None:
        until = time.monotonic() + _DELETION_SECONDS
        while self._may_exist():
            if time.monotonic() > until:
                raise LaunchError(f"{self._pod.name} is still being deleted")
            time.sleep(self._pod.poll_seconds)

    def _delete_command(self) -> str:
        return shlex.join(self._gcloud.argv(_GROUP, "delete", self._pod.name, "--force"))


def node_names(pod: QueuedResource) -> list[str]:
    """Returns the names that Cloud gives to the nodes."""
    if pod.slices == 1:
        return [pod.name]
    return [f"{pod.name}-{number}" for number in range(pod.slices)]


def _state(described: Mapping[str, Any]) -> str:
    with documented_answer("gcloud … describe"):
        return described.get("state", {}).get("state", "STATE_UNSPECIFIED")


def _initiator(described: Mapping[str, Any]) -> str | None:
    with documented_answer("gcloud … describe"):
        return described.get("state", {}).get("stateInitiator")
