"""Reads through kubectl what a JobSet of GKE does: its end, its pods, and their logs.

A JobSet is what xpk makes of a workload. Fields and labels follow the JobSet API
(jobset.x-k8s.io/v1alpha2) and Kubernetes' own of pods.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from launch.errors import CommandFailed, documented_answer
from launch.failures import explain
from launch.shell import Shell

_LABEL = "jobset.sigs.k8s.io/"
# Reasons by which a container waits that no waiting mends.
_HOPELESS = (
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
)
_MEANINGS = (
    (r"Unauthorized|must be logged in|exec plugin|gke-gcloud-auth-plugin",
     "kubectl has no access: gcloud auth login, and gcloud components install "
     "gke-gcloud-auth-plugin"),
    (r"Forbidden|forbidden", "no permission: the account needs roles/container.developer"),
    (r'resource type "jobset"', "the cluster has no JobSet: run xpk cluster create for it again"),
    (r"Unable to connect|connection refused|no such host|i/o timeout",
     "the cluster cannot be reached"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class JobSetState:
    """State of a JobSet.

    Attributes:
      end: "Completed" or "Failed"; None while it runs or waits.
      reason: why it ended.
      restarts: how often it was restarted.
      suspended: it waits in Kueue's queue.
    """

    end: str | None
    reason: str
    restarts: int
    suspended: bool


@dataclasses.dataclass(frozen=True)
class WorkerPod:
    """A pod, which is one worker during one attempt.

    Attributes:
      slice, worker: indices.
      attempt: restarts of the JobSet before it.
      phase: Pending, Running, Succeeded, Failed or Unknown.
      hopeless: why its container will never start; None if it may.
      status: exit status of its container; None before its end.
    """

    name: str
    slice: int
    worker: int
    attempt: int
    phase: str
    hopeless: str | None
    status: int | None

    @property
    def title(self) -> str:
        return f"slice {self.slice} worker {self.worker}"

    @property
    def has_log(self) -> bool:
        return self.phase in ("Running", "Succeeded", "Failed")


class JobSet:
    """A JobSet by its name, in one context of kubectl."""

    def __init__(self, shell: Shell, name: str, namespace: str, container: str):
        self._shell, self._name, self._container = shell, name, container
        self._place = [f"--namespace={namespace}"]

    def use_current_context(self) -> None:
        """Holds on to the context that kubectl has now, whatever others select later."""
        context = self._ask("config", "current-context").strip()
        self._place = [self._place[0], f"--context={context}"]

    def read_state(self) -> JobSetState | None:
        """Returns the state; None if there is no such JobSet."""
        text = self._ask(
            "get", "jobset", self._name, *self._place, "--ignore-not-found", "--output=json"
        )
        with documented_answer("kubectl get jobset"):
            return parse_state(json.loads(text)) if text.strip() else None

    def read_pods(self) -> list[WorkerPod]:
        """Returns the pods of all attempts that are still there, in order."""
        selector = f"--selector={_LABEL}jobset-name={self._name}"
        text = self._ask("get", "pods", *self._place, selector, "--output=json")
        with documented_answer("kubectl get pods"):
            pods = [parse_pod(item) for item in json.loads(text)["items"]]
        return sorted(pods, key=lambda pod: (pod.attempt, pod.slice, pod.worker, pod.name))

    def log_argv(self, pod: str) -> tuple[str, ...]:
        """Returns the command that prints a pod's log from its beginning and follows it."""
        return ("kubectl", "logs", pod, *self._place, f"--container={self._container}", "--follow")

    def _ask(self, *words: str) -> str:
        try:
            return self._shell.ask("kubectl", *words)
        except CommandFailed as error:
            raise explain(error, _MEANINGS, f"kubectl {words[0]} {words[1]}") from None


def parse_state(record: Mapping[str, Any]) -> JobSetState:
    """Returns the state in a JobSet as kubectl prints it."""
    status = record.get("status", {})
    true = {one["type"]: one for one in status.get("conditions", ()) if one.get("status") == "True"}
    end = next((name for name in ("Completed", "Failed") if name in true), None)
    reason = true[end].get("message", "") if end else ""
    return JobSetState(end, reason, int(status.get("restarts", 0)), "Suspended" in true)


def parse_pod(record: Mapping[str, Any]) -> WorkerPod:
    """Returns what matters in a pod as kubectl prints it."""
    metadata, status = record["metadata"], record.get("status", {})
    labels = metadata.get("labels", {})
    containers = [one.get("state", {}) for one in status.get("containerStatuses", ())]
    waiting = [state["waiting"] for state in containers if "waiting" in state]
    hopeless = [one for one in waiting if one.get("reason") in _HOPELESS]
    ended = [state["terminated"]["exitCode"] for state in containers if "terminated" in state]
    return WorkerPod(
        name=metadata["name"],
        slice=int(labels.get(f"{_LABEL}job-index", 0)),
        worker=int(labels.get("batch.kubernetes.io/job-completion-index", 0)),
        attempt=int(labels.get(f"{_LABEL}restart-attempt", 0)),
        phase=status.get("phase", "Unknown"),
        hopeless=" ".join(f"{hopeless[0]['reason']} {hopeless[0].get('message', '')}".split())
        if hopeless
        else None,
        status=next((code for code in ended if code), ended[0] if ended else None),
    )
