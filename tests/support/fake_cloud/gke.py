"""Clusters and workloads of the fake cloud: `gcloud container clusters`, and what JobSet does.

A workload is a JobSet: its pods are started for each slice and worker, and all are started again
if one ends with a status that its failure policy restarts. Its state moves on whenever it is read.
"""

from tests.support.fake_cloud import containers
from tests.support.fake_cloud.state import Refusal, State

_DEFAULT_RESTARTED = {42, *range(127, 256)}  # of xpk
# xpk's container, with `exec` and traps as it writes them.
_SCRIPT = """echo XPK Start;
_sigterm() (kill -SIGTERM $! 2>/dev/null;);
trap _sigterm SIGTERM;
({command}) & PID=$!;
while kill -0 $PID 2>/dev/null; do sleep 0.05; done;
wait $PID; EXIT_CODE=$?;
echo XPK End; echo EXIT_CODE=$EXIT_CODE; exit $EXIT_CODE"""


def gcloud(words: list[str], state: State) -> int:
    """Runs `gcloud container clusters WORDS…`. Raises Refusal."""
    flags = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    action, *names = [word for word in words if not word.startswith("--")]
    if fault := state.take_fault(f"clusters {action}"):
        raise Refusal(fault["refuse"])
    with state.open() as cloud:
        clusters = cloud.setdefault("clusters", {})
        if action == "list":
            wanted = flags["filter"].removeprefix("name=")
            print("\n".join(one["location"] for name, one in clusters.items() if name == wanted))
            return 0
        [name] = names
        if action != "get-credentials" or name not in clusters:
            raise Refusal(
                f"ERROR: (gcloud.container.clusters.{action}) ResponseError: code=404, "
                f"message=Not found: projects/p/locations/us-east5/clusters/{name}."
            )
        if flags.get("location") != clusters[name]["location"]:
            raise Refusal("ERROR: (gcloud.container.clusters.get-credentials) code=404")
        cloud["context"] = f"gke_p_{flags['location']}_{name}"
    return 0


def create_workload(state: State, name: str, flags: dict) -> None:
    with state.open() as cloud:
        workers = cloud["faults"].get("workers", 1)
        extra = {int(code) for code in flags.get("restart-on-exit-codes", "").split(",") if code}
        workload = {
            "command": flags["command"], "variables": flags.get("env", []), "workers": workers,
            "slices": int(flags.get("num-slices", 1)), "attempt": 0,
            "most": int(flags.get("max-restarts", 0)),
            "restarted": sorted(_DEFAULT_RESTARTED | extra),
            "grace": float(flags.get("termination-grace-period-seconds", 30)),
            "queued": cloud["faults"].pop("queued polls", 0), "end": None, "message": "",
            "hopeless": cloud["faults"].pop("hopeless", None), "started": False,
        }  # fmt: skip
        cloud.setdefault("workloads", {})[name] = workload
        cloud["image"] = {key: flags.get(key) for key in ("base-docker-image", "script-dir")}


def delete_workload(state: State, name: str) -> None:
    with state.open() as cloud:
        workload = cloud.get("workloads", {}).pop(name, None)
    if workload is None:
        raise Refusal(f'Error from server (NotFound): jobsets.jobset.x-k8s.io "{name}" not found')
    _end_pods(state, name, workload, workload["grace"])


def read_workload(state: State, name: str) -> dict | None:
    """Returns a workload after it has moved on; None if there is none."""
    with state.open() as cloud:
        workload = cloud.get("workloads", {}).get(name)
        if workload is None:
            return None
        if workload["queued"] > 0:
            workload["queued"] -= 1
        elif workload["hopeless"] is None and not workload["end"]:
            _advance(state, name, workload)
        return dict(workload)


def pod_names(name: str, workload: dict) -> list[tuple[str, int, int]]:
    """Returns (name, slice, worker) of the pods of the present attempt."""
    return [
        (f"{name}-slice-job-{part}-{worker}-a{workload['attempt']}", part, worker)
        for part in range(workload["slices"])
        for worker in range(workload["workers"])
    ]


def fail_worker(state: State, name: str, worker: int = 0) -> None:
    """Kills one worker, as a lost machine does."""
    with state.open() as cloud:
        workload = cloud["workloads"][name]
    containers.end(state, pod_names(name, workload)[worker][0])


def _advance(state: State, name: str, workload: dict) -> None:
    if not workload["started"]:
        _start_pods(state, name, workload)
        return
    statuses = [containers.status(state, pod) for pod, _, _ in pod_names(name, workload)]
    failed = [status for status in statuses if status]
    if statuses == [0] * len(statuses):
        workload |= {"end": "Completed", "message": "jobset completed successfully"}
    elif failed and not set(failed) <= set(workload["restarted"]):
        _fail(state, name, workload, "jobset failed due to FailJobSet failure policy action")
    elif failed and workload["attempt"] >= workload["most"]:
        _fail(state, name, workload, "jobset failed due to reaching max number of restarts")
    elif failed:
        _end_pods(state, name, workload, 0.0)
        for pod, _, _ in pod_names(name, workload):
            containers.remove(state, pod)
        workload |= {"attempt": workload["attempt"] + 1}
        _start_pods(state, name, workload)


def _fail(state: State, name: str, workload: dict, message: str) -> None:
    _end_pods(state, name, workload, 0.0)
    workload |= {"end": "Failed", "message": message}


def _start_pods(state: State, name: str, workload: dict) -> None:
    workload["started"] = True
    script = _SCRIPT.format(command=workload["command"])
    variables = dict(one.partition("=")[::2] for one in workload["variables"])
    for pod, part, worker in pod_names(name, workload):
        started = f"{name}-{part}/{worker}"
        containers.start(state, pod, script, worker=started, variables=variables)


def _end_pods(state: State, name: str, workload: dict, grace: float) -> None:
    for pod, _, _ in pod_names(name, workload):
        containers.end(state, pod, grace)
