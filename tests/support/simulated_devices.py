"""Measures on simulated devices in a separate process: JAX fixes their number when it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).parents[2]

MESHES = {
    "one": {"data": 1},
    "data": {"data": 8},
    "fsdp": {"fsdp": 8},
    "mixed": {"data": 2, "fsdp": 2, "tensor": 2},
    "two slices": {"data": 2, "fsdp": 4},
    "tensor": {"fsdp": 2, "tensor": 4},
}


def batch_of(step: int) -> dict:
    """Makes 32 packed rows of 32 tokens whose numbers of targets differ widely."""
    random = np.random.default_rng(step)
    B, T = 32, 32
    first = random.integers(4, T, B)[:, None]
    place = np.arange(T)[None]
    return {
        "tokens": random.integers(0, 256, (B, T), np.int32),
        "targets": random.integers(0, 256, (B, T), np.int32),
        "segment_ids": np.where(place < first, 1, 2).astype(np.int32),
        "kinds": np.where(place < first, 1, 3).astype(np.int32),
        "positions": np.where(place < first, place, place - first).astype(np.int32),
        "loss_mask": place < random.integers(0, T, B)[:, None] ** 2 // T,
    }


def long_batch_of(step: int) -> dict:
    """Makes 8 packed rows of 256 tokens from the rows of two batches of `batch_of`."""
    first, second = batch_of(step), batch_of(1000 + step)
    batch = {name: np.concatenate([first[name], second[name]]) for name in first}
    batch = {name: array.reshape(8, 256) for name, array in batch.items()}
    begins = batch["positions"] == 0
    return batch | {"segment_ids": np.cumsum(begins, axis=1, dtype=np.int32)}


def measure_on_devices(devices: int, file: str, *arguments: str, flags: str = "") -> dict:
    """Runs `python FILE ARGUMENTS` with that many CPU devices; reads its last line as JSON."""
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} {flags}",
        "PYTHONPATH": str(REPOSITORY),
        "JAX_PLATFORMS": "cpu",
    }
    process = subprocess.run(
        [sys.executable, file, *arguments],
        env=environment, capture_output=True, text=True, timeout=1100,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])
