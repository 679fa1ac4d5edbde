"""A stand-in for xpk 1.16: `cluster create`, `cluster delete`, `workload create`, `… delete`.

Flags and messages are xpk's; as xpk does, it prints everything on stdout and exits with 1.
"""

import re
from pathlib import Path

from tests.support.fake_cloud import gke
from tests.support.fake_cloud.state import Refusal, State

_WIDE = {"cluster", "project", "zone", "namespace"}
_FLAGS = {
    "cluster create": _WIDE | {"tpu-type", "num-slices", "spot", "on-demand", "reservation"},
    "cluster delete": _WIDE | {"force"},
    "workload create": _WIDE | {
        "workload", "tpu-type", "num-slices", "base-docker-image", "script-dir", "command",
        "priority", "max-restarts", "restart-on-exit-codes", "termination-grace-period-seconds",
        "env", "storage",
    },
    "workload delete": _WIDE | {"workload"},
}  # fmt: skip
REFUSALS = {
    "login": "[XPK] google.auth.exceptions.DefaultCredentialsError: Your default credentials were "
    "not found.",
    "permission": "[XPK] ERROR: (gcloud.container.clusters.create) ResponseError: code=403, "
    'message=Required "container.clusters.create" permission(s) for "projects/p".',
    "quota": "[XPK] ERROR: Insufficient regional quota to satisfy request: resource \"TPUS\"",
    "image": "Error: fetching manifest r/i:1: MANIFEST_UNKNOWN: Failed to fetch \"1\"\n"
    "[XPK] Failed to upload container image.",
    "push": "Error: pushing gcr.io/p/me-runner: DENIED: Permission \"artifactregistry.repositories."
    "uploadArtifacts\" denied\n[XPK] Failed to upload container image.",
    "slices": "[XPK] semcoder is requesting 2 slice/slices but the cluster only contains 1 slice; "
    "cluster supports up to 4 VMs",
    "docker": "[XPK] `crane` not installed. Please follow https://github.com/AI-Hypercomputer/xpk",
    "broken": "[XPK] kubectl apply returned ERROR 1",
}  # fmt: skip


def main(words: list[str], state: State) -> int:
    """Runs `xpk WORDS…`. Raises Refusal."""
    action, rest = " ".join(words[:2]), words[2:]
    flags: dict = {}
    for word in rest:
        name, _, value = word.removeprefix("--").partition("=")
        if name in ("env", "storage"):
            flags.setdefault(name, []).append(value)
        else:
            flags[name] = value
    unknown = set(flags) - _FLAGS.get(action, set())
    if action not in _FLAGS or unknown or not flags.get("cluster"):
        raise Refusal(f"usage: xpk\nxpk: error: unrecognized arguments: {sorted(unknown)}", 2)
    if fault := state.take_fault(action):
        if fault.get("after"):
            _ACTIONS[action](flags, state)
        print(REFUSALS[fault["refuse"]] + "\n[XPK] XPK failed, error code 1")
        return 1
    print("[XPK] Starting xpk v1.16.0")
    _ACTIONS[action](flags, state)
    print("[XPK] Exiting XPK cleanly")
    return 0


def create_cluster(flags: dict, state: State) -> None:
    _check_type(flags)
    with state.open() as cloud:
        region = flags["zone"].rpartition("-")[0]
        cloud.setdefault("clusters", {})[flags["cluster"]] = {"location": region, "ours": True}


def delete_cluster(flags: dict, state: State) -> None:
    assert "force" in flags, "xpk asks, and nobody answers"
    with state.open() as cloud:
        if cloud["clusters"].pop(flags["cluster"], None) is None:
            raise Refusal(f"[XPK] code=404, message=Not found: clusters/{flags['cluster']}")


def create_workload(flags: dict, state: State) -> None:
    _check_type(flags)
    name, folder = flags["workload"], Path(flags["script-dir"])
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= 40
    assert folder.is_dir() and any(folder.iterdir()), "xpk layers this folder over the image"
    assert "\n" not in flags["command"]
    with state.open() as cloud:
        exists = name in cloud.get("workloads", {})
    if exists:
        raise Refusal(f"[XPK] {name} already exists, do you want to overwrite it? (y/N): EOFError")
    gke.create_workload(state, name, flags)


def delete_workload(flags: dict, state: State) -> None:
    gke.delete_workload(state, flags["workload"])


def _check_type(flags: dict) -> None:
    if not re.fullmatch(r"(v5litepod|v6e)-\d+|(v4|v5p|tpu7x)-\d+x\d+x\d+", flags["tpu-type"]):
        raise Refusal(f"[XPK] unknown tpu-type {flags['tpu-type']}")


_ACTIONS = {
    "cluster create": create_cluster,
    "cluster delete": delete_cluster,
    "workload create": create_workload,
    "workload delete": delete_workload,
}
