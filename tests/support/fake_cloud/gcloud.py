"""A stand-in for `gcloud compute tpus queued-resources` and `… tpu-vm`.

Flags, states, outputs and errors follow Google Cloud's reference. Commands for workers really run,
in bash, in a home folder for each worker; only the installation is replaced, by the Python that
runs the tests.
"""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.support.fake_cloud import gke
from tests.support.fake_cloud.state import Refusal, State

_WIDE = {"zone", "project", "quiet", "format"}
# Flags of the reference that the launcher may use.
_FLAGS = {
    "queued-resources create": _WIDE | {
        "accelerator-type", "runtime-version", "node-id", "node-count", "node-prefix", "spot",
        "reserved", "network", "subnetwork", "internal-ips", "service-account", "labels",
        "valid-until-duration", "async",
    },
    "queued-resources describe": _WIDE,
    "queued-resources delete": _WIDE | {"force", "async"},
    "tpu-vm describe": _WIDE,
    "tpu-vm ssh": _WIDE | {"worker", "command", "ssh-flag", "internal-ip"},
    "tpu-vm scp": _WIDE | {"worker", "internal-ip"},
}  # fmt: skip
_REFUSALS = {
    "quota": "RESOURCE_EXHAUSTED: Quota limit 'TPUV5sPreemptibleLitepodPerProjectPerZoneForTPUAPI' "
    "has been exceeded. Limit: 0 in zone us-west4-a.",
    "permission": "PERMISSION_DENIED: Permission 'tpu.queuedResources.create' denied on "
    "'projects/p/locations/z'.",
    "login": "You do not currently have an active account selected.",
    "capacity": "There is no more capacity in the zone \"us-west4-a\"; you can try in another zone "
    "where Cloud TPU Nodes are offered",
    "argument": "INVALID_ARGUMENT: Cloud TPU received an invalid argument.",
    "ssh": "[/usr/bin/ssh] exited with return code [255].",
    "broken": "INTERNAL: an internal error has occurred",
}  # fmt: skip
_LOST = "ERROR: (gcloud.compute.tpus.tpu-vm.ssh) [/usr/bin/ssh] exited with return code [255]."


def main(words: list[str], state: State) -> int:
    """Runs `gcloud WORDS…`. Raises Refusal."""
    if words[:2] == ["container", "clusters"]:
        return gke.gcloud(words[2:], state)
    if words[:2] != ["compute", "tpus"]:
        raise Refusal(f"ERROR: (gcloud) Invalid choice: {words[:2]}", 2)
    action, rest = " ".join(words[2:4]), words[4:]
    flags = dict(word[2:].partition("=")[::2] for word in rest if word.startswith("--"))
    names = [word for word in rest if not word.startswith("--")]
    unknown = set(flags) - _FLAGS.get(action, set())
    command = f"gcloud.compute.tpus.{action.replace(' ', '.')}"
    if action not in _FLAGS or unknown:
        raise Refusal(f"ERROR: ({command}) unrecognized arguments: {sorted(unknown)}", 2)
    if not flags.get("zone"):
        raise Refusal(f"ERROR: ({command}) Error parsing [queued_resource].", 1)
    if fault := state.take_fault(action):
        if fault.get("after"):
            _ACTIONS[action](names, flags, state)
        raise Refusal(f"ERROR: ({command}) {_REFUSALS[fault['refuse']]}")
    try:
        return _ACTIONS[action](names, flags, state)
    except KeyError as error:
        raise Refusal(
            f"ERROR: ({command}) NOT_FOUND: Resource 'projects/p/locations/z/{error.args[0]}' was "
            "not found"
        ) from None


def create(names: list[str], flags: dict, state: State) -> int:
    [name] = names
    needed = {"accelerator-type", "runtime-version"}
    if not needed <= set(flags) or ("node-id" in flags) == ("node-count" in flags):
        raise Refusal("ERROR: (gcloud.compute.tpus.queued-resources.create) Missing flags", 2)
    nodes = (
        [flags["node-id"]]
        if "node-id" in flags
        else [
            f"{flags.get('node-prefix', name)}-{number}"
            for number in range(int(flags["node-count"]))
        ]
    )
    with state.open() as cloud:
        if name in cloud["resources"]:
            raise Refusal(
                "ERROR: (gcloud.compute.tpus.queued-resources.create) ALREADY_EXISTS: Resource "
                f"'projects/p/locations/z/queuedResources/{name}' already exists"
            )
        script = cloud["faults"].pop("states", None)
        cloud["resources"][name] = {
            "state": "CREATING", "coming": script or ["ACTIVE"], "nodes": nodes,
            "flags": flags, "initiator": "SERVICE",
        }  # fmt: skip
    return 0


def describe_resource(names: list[str], flags: dict, state: State) -> int:
    """Prints a resource; each question brings it one state further."""
    [name] = names
    with state.open() as cloud:
        resource = cloud["resources"][name]
        if resource["coming"]:
            _enter(cloud, name, resource["coming"].pop(0))
        described = {
            "name": f"projects/p/locations/{flags['zone']}/queuedResources/{name}",
            "state": {"state": resource["state"], "stateInitiator": resource["initiator"]},
        }
        if resource["state"] == "FAILED":
            error = {"code": 8, "message": cloud["faults"].get("failure", "no reason")}
            described["state"]["failedData"] = {"error": error}
        lost = resource["nodes"] if resource["state"] == "SUSPENDED" else []
    for node in lost:
        state.end_machine(node)
    print(json.dumps(described))
    return 0


def _enter(cloud: dict, name: str, new: str) -> None:
    resource = cloud["resources"][name]
    resource["state"] = new
    for node in resource["nodes"]:
        if new == "ACTIVE":
            workers = cloud["faults"].get("workers", 1)
            cloud["nodes"].setdefault(node, {"state": "READY", "workers": workers, "owner": name})
        elif new == "SUSPENDED":
            cloud["nodes"].pop(node, None)


def delete(names: list[str], flags: dict, state: State) -> int:
    [name] = names
    with state.open() as cloud:
        resource = cloud["resources"][name]
        if "force" not in flags and any(node in cloud["nodes"] for node in resource["nodes"]):
            raise Refusal(
                "ERROR: (gcloud.compute.tpus.queued-resources.delete) FAILED_PRECONDITION: Queued "
                "resource has running nodes"
            )
        del cloud["resources"][name]
        for node in resource["nodes"]:
            cloud["nodes"].pop(node, None)
    for node in resource["nodes"]:
        state.end_machine(node)
    return 0


def describe_node(names: list[str], flags: dict, state: State) -> int:
    [name] = names
    with state.open() as cloud:
        node = cloud["nodes"][name]
    ends = [{"ipAddress": f"10.0.0.{number}", "port": 8470} for number in range(node["workers"])]
    print(json.dumps({"name": name, "state": node["state"], "networkEndpoints": ends}))
    return 0


def ssh(names: list[str], flags: dict, state: State) -> int:
    [name] = names
    statuses = [
        _run_on(state, name, worker, flags["command"]) for worker in _workers(name, flags, state)
    ]
    return next((status for status in statuses if status), 0)


def scp(names: list[str], flags: dict, state: State) -> int:
    source, target = names
    node, _, path = target.partition(":")
    for worker in _workers(node, flags, state):
        shutil.copy(source, _make_home(state, node, worker) / path)
    return 0


def _workers(name: str, flags: dict, state: State) -> list[int]:
    with state.open() as cloud:
        node = cloud["nodes"][name]
    if node["state"] != "READY":
        raise Refusal(_LOST, 255)
    wanted = flags.get("worker", "0")
    return list(range(node["workers"])) if wanted == "all" else [int(wanted)]


def _run_on(state: State, node: str, worker: int, command: str) -> int:
    home = _make_home(state, node, worker)
    if command.endswith("environment.sh find"):
        return 0  # tests/launch/test_environment.py runs it; here it might install one
    if command.endswith("launch/environment.sh install"):
        _make_environment(home / shlex.split(command)[1])  # cd DIRECTORY && …
        return 0
    python = state.folder / "python" / "python3"  # of the worker's image
    if not python.exists():
        python.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileExistsError):
            python.symlink_to(sys.executable)
    environment = {
        "HOME": str(home), "PATH": f"{python.parent}{os.pathsep}{os.defpath}", "LANG": "C.UTF-8",
        "FAKE_WORKER": f"{node}/{worker}", "FAKE_CLOUD": str(state.folder),
    }  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=home, env=environment | _cluster(state, node, worker)
    )
    fault = state.take_fault("lose ssh") if "launch.detached follow" in command else None
    if fault is None:
        return process.wait()
    time.sleep(fault.get("seconds", 0.3))
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    process.wait()
    raise Refusal(_LOST, 255)


def _cluster(state: State, node: str, worker: int) -> dict[str, str]:
    """Returns variables by which JAX finds the other workers of the node, as it does on a TPU.

    They are Open MPI's, which JAX knows; the port follows from the first number.
    """
    with state.open() as cloud:
        workers = cloud["nodes"][node]["workers"]
        number = cloud["faults"].get("cluster")
    if number is None:
        return {}
    return {
        "OMPI_MCA_orte_hnp_uri": f"{number * 2**12}.0;tcp://127.0.0.1:1",
        "OMPI_COMM_WORLD_SIZE": str(workers),
        "OMPI_COMM_WORLD_RANK": str(worker),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(worker),
    }


def _make_home(state: State, node: str, worker: int) -> Path:
    home = state.home(node, worker)
    home.mkdir(parents=True, exist_ok=True)
    return home


def _make_environment(directory: Path) -> None:
    """Makes `.venv/bin/python`; `launch.worker` is the test's stand-in where there is one."""
    python = directory / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = launch.worker ] && [ -f "$FAKE_CLOUD/worker.py" ]; then\n'
        f'  shift 2; exec {sys.executable} -S "$FAKE_CLOUD/worker.py" "$@"\n'
        'elif [ "$2" = launch.worker ]; then\n'
        f'  exec {sys.executable} "$@"\n'
        "fi\n"
        f'exec {sys.executable} -S -B "$@"\n'
    )
    python.chmod(0o755)


_ACTIONS = {
    "queued-resources create": create,
    "queued-resources describe": describe_resource,
    "queued-resources delete": delete,
    "tpu-vm describe": describe_node,
    "tpu-vm ssh": ssh,
    "tpu-vm scp": scp,
}
