"""A stand-in for kubectl: `config current-context`, `get jobset`, `get pods`, `logs`."""

import json
import time

from tests.support.fake_cloud import containers, gke
from tests.support.fake_cloud.state import Refusal, State

_LABEL = "jobset.sigs.k8s.io/"


def main(words: list[str], state: State) -> int:
    """Runs `kubectl WORDS…`. Raises Refusal."""
    flags = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    names = [word for word in words if not word.startswith("--")]
    if fault := state.take_fault(f"kubectl {names[0]}"):
        raise Refusal(fault["refuse"])
    if names == ["config", "current-context"]:
        with state.open() as cloud:
            print(cloud["context"])
        return 0
    with state.open() as cloud:
        if flags.get("context") != cloud.get("context"):
            raise Refusal(f"error: context {flags.get('context')!r} does not exist")
    match names:
        case ["get", "jobset", name]:
            return _get_jobset(state, name)
        case ["get", "pods"]:
            return _get_pods(state, flags["selector"].removeprefix(f"{_LABEL}jobset-name="))
        case ["logs", pod]:
            assert flags["container"] == "jax-tpu"
            return _follow(state, pod)
    raise Refusal(f"error: unknown command {names}")


def _get_jobset(state: State, name: str) -> int:
    workload = gke.read_workload(state, name)
    if workload is None:
        return 0  # --ignore-not-found
    suspended = "True" if workload["queued"] else "False"
    conditions = [{"type": "Suspended", "status": suspended, "message": "jobset is suspended"}]
    if workload["end"]:
        end = {"type": workload["end"], "status": "True", "message": workload["message"]}
        conditions.append(end)
    status = {"conditions": conditions, "restarts": workload["attempt"]}
    print(json.dumps({"kind": "JobSet", "metadata": {"name": name}, "status": status}))
    return 0


def _get_pods(state: State, name: str) -> int:
    workload = gke.read_workload(state, name)
    items = []
    if workload and (workload["started"] or workload["hopeless"]):
        for pod, part, worker in gke.pod_names(name, workload):
            labels = {
                f"{_LABEL}job-index": str(part),
                f"{_LABEL}restart-attempt": str(workload["attempt"]),
                "batch.kubernetes.io/job-completion-index": str(worker),
            }
            status = _pod_status(state, pod, workload)
            items.append({"metadata": {"name": pod, "labels": labels}, "status": status})
    print(json.dumps({"kind": "List", "items": items}))
    return 0


def _pod_status(state: State, pod: str, workload: dict) -> dict:
    if workload["hopeless"]:
        waiting = {"reason": "ImagePullBackOff", "message": workload["hopeless"]}
        return {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}
    code = containers.status(state, pod)
    if code is None:
        return {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
    ended = [{"state": {"terminated": {"exitCode": code}}}]
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": ended}


def _follow(state: State, pod: str) -> int:
    """Prints the log and goes on until the container ends; may lose the connection once."""
    path = containers.place(state, pod) / "log"
    if not path.is_file():
        raise Refusal(f'Error from server (NotFound): pods "{pod}" not found')
    fault = state.take_fault("lose log")
    position = 0
    while True:
        ended = containers.status(state, pod) is not None
        text = path.read_bytes()[position:] if path.is_file() else b""
        position += len(text)
        print(text.decode(), end="", flush=True)
        if fault and position > 0:
            raise Refusal("error: unexpected EOF")
        if ended:
            return 0
        time.sleep(0.05)
