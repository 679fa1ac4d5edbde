"""Tests how commands prepare a CPU: its cores are devices, and it keeps freed memory."""

import os
import platform
import subprocess
import sys

import pytest

from semcoder_jax.commands import cpu
from semcoder_jax.config import parse_run
from semcoder_jax.config_files import read_config

# In processes of their own: JAX fixes its devices when it starts, and the C library its arenas.
PREPARE = """
from semcoder_jax.commands.cpu import prepare_cpu
from semcoder_jax.config import parse_run
from semcoder_jax.config_files import read_config
prepare_cpu(parse_run(read_config("configs/quickstart.py")))
"""
COUNT_FAULTS = """
import resource, threading

def use_memory():
    for _ in range(10):
        b"x" * (1 << 25)  # 32 MiB

threads = [threading.Thread(target=use_memory) for _ in range(2)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
COUNT_DEVICES = "import jax; print(jax.device_count())"


def _run(code: str) -> list[int]:
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return [int(line) for line in process.stdout.splitlines()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's allocator")
def test_every_core_is_a_device_and_memory_is_kept():
    """Two threads take 32 MiB ten times each: 20 blocks from the system, or two kept ones."""
    faults, devices = _run(PREPARE + COUNT_FAULTS + COUNT_DEVICES)
    (unprepared,) = _run(COUNT_FAULTS)
    assert faults < 0.25 * unprepared
    cores = len(os.sched_getaffinity(0))
    assert devices == next(n for n in range(min(cores, 8), 0, -1) if 8 % n == 0)


@pytest.mark.parametrize(
    ("rows", "cores", "devices"),
    [(8, 1, 1), (8, 2, 2), (8, 3, 2), (8, 6, 4), (8, 64, 8), (6, 4, 3), (7, 4, 1), (12, 5, 4)],
)
def test_devices_take_equal_shares_of_the_rows(rows, cores, devices):
    assert cpu.count_devices(rows, cores) == devices


@pytest.mark.parametrize(
    ("mesh", "flags"),
    [
        ({"data": -1}, "--xla_force_host_platform_device_count=3"),  # the user's own choice
        ({"data": 1}, ""),
        ({"data": -1, "fsdp": 2}, ""),
        ({"fsdp": -1}, ""),
    ],
)
def test_cores_stay_one_device_unless_data_is_open(mesh, flags, monkeypatch):
    config = read_config("configs/quickstart.py")
    config.mesh = mesh
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(cpu.jax.config, "update", pytest.fail)
    cpu.split_cpu(parse_run(config))
