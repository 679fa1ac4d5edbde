"""Examines Python, processors, memory, disk, the sandbox, accelerators, caches and credentials."""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from data_pipeline.execution.tiers import SandboxUnavailable, Setup, probe
from data_pipeline.terminal.installation import install_command
from semcoder_jax.cache import CACHE_VARIABLE, cache_folder
from semcoder_jax.doctor.findings import BROKEN, LIMITED, OK, Finding

OLDEST, NEWEST_TESTED = (3, 11), (3, 13)
DEVICE_SECONDS = 120  # a TPU that another process holds may never answer
LEAST_FREE_GIB = 5  # the quickstart's environment and files take about 3

_ASK_JAX = """
import json, jax
print(json.dumps([[d.platform, d.device_kind, (d.memory_stats() or {}).get("bytes_limit")]
                  for d in jax.local_devices()]))
"""


def examine_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{version}, {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST:
        return Finding("Python", BROKEN, found, "Python 3.11 or newer")
    if sys.version_info[:2] > NEWEST_TESTED:
        return Finding("Python", LIMITED, found, "the tests run on 3.11, 3.12 and 3.13")
    return Finding("Python", OK, found)


def examine_sandbox() -> Finding:
    """Starts a worker of the strongest tier and lets a probe try to escape from it."""
    try:
        choice = probe(Setup())
    except SandboxUnavailable as error:
        return Finding("sandbox", BROKEN, "none works: programs cannot be run", str(error))
    if choice.weakness:
        return Finding("sandbox", LIMITED, f"tier {choice.tier}", f"tier A: {choice.weakness}")
    return Finding("sandbox", OK, f"tier {choice.tier} (the strongest)")


def examine_processors() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("processors", OK, f"{usable} usable")


def examine_memory() -> Finding:
    sizes = _memory_sizes()
    if sizes is None:
        return Finding("memory", OK, "unknown on this system")
    free, total = sizes
    found = f"{free:.1f} of {total:.1f} GiB free"
    if free < 2:
        return Finding("memory", LIMITED, found, "the quickstart takes 1.2 GiB")
    return Finding("memory", OK, found)


def examine_cache() -> list[Finding]:
    """Returns where downloads and compiled programs go, and the room for them."""
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    place = f"{folder}{'' if folder.exists() else ' (not made yet)'}"
    if not os.access(existing, os.W_OK):
        cache = Finding("cache", BROKEN, f"{place} cannot be written", f"set {CACHE_VARIABLE}")
    else:
        cache = Finding("cache", OK, place)
    scarce = f"at least {LEAST_FREE_GIB} GiB for the quickstart; or set {CACHE_VARIABLE}"
    disk = Finding(
        "disk",
        OK if free >= LEAST_FREE_GIB else LIMITED,
        f"{free:.1f} GiB free at the cache",
        "" if free >= LEAST_FREE_GIB else scarce,
    )
    return [cache, disk]


def examine_accelerators() -> Finding:
    """Asks JAX for its devices in a process of its own, because a held TPU may never answer."""
    if importlib.util.find_spec("jax") is None:
        advice = f"to train, sample or evaluate: {install_command('train')}"
        return Finding("accelerators", LIMITED, "JAX is not installed", advice)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK_JAX], capture_output=True, text=True, timeout=DEVICE_SECONDS
        )
    except subprocess.TimeoutExpired:
        found = f"JAX did not answer in {DEVICE_SECONDS} s"
        return Finding("accelerators", BROKEN, found, "another process may hold the TPU")
    if asked.returncode:
        lines = asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"]
        return Finding("accelerators", BROKEN, "JAX does not start", lines[-1])
    return describe_devices(json.loads(asked.stdout.splitlines()[-1]))


def describe_devices(devices: list[list]) -> Finding:
    """devices: [platform, kind, bytes of memory or None] of each local device."""
    platform_name, kind, size = devices[0]
    memory = f", {size / 2**30:.1f} GiB each" if size else ""
    if platform_name == "cpu":
        advice = f"{install_command('tpu')} on a TPU, {install_command('cuda')} on a GPU"
        return Finding("accelerators", LIMITED, "none: JAX computes on the CPU", advice)
    return Finding("accelerators", OK, f"{len(devices)} × {kind} ({platform_name}){memory}")


def examine_tpu_compiler() -> Finding:
    folder = os.environ.get("SEMCODER_LIBTPU", "")
    found = importlib.util.find_spec("libtpu") is not None or Path(folder, "libtpu").is_dir()
    if folder and not Path(folder, "libtpu").is_dir():
        advice = f"SEMCODER_LIBTPU={folder} holds no libtpu"
        return Finding("TPU compiler", LIMITED, "not found", advice)
    if not found:
        return Finding(
            "TPU compiler", LIMITED, "not installed", f"to plan: {install_command('tpu')}"
        )
    return Finding("TPU compiler", OK, "found: semcoder plan works without a TPU")


def examine_hub_token() -> Finding:
    """Says whether there is a token; never what it is."""
    token = os.environ.get("HF_TOKEN")
    if not token and importlib.util.find_spec("huggingface_hub") is not None:
        from huggingface_hub import get_token

        token = get_token()
    if token:
        return Finding("hub token", OK, "present")
    return Finding("hub token", LIMITED, "none", "to push, or read private models: hf auth login")


def _memory_sizes() -> tuple[float, float] | None:
    """Returns (available, total) memory in GiB, None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return kib["MemAvailable"] / 2**20, kib["MemTotal"] / 2**20
    except (OSError, KeyError, ValueError, IndexError):
        return None
