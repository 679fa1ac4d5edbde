"""Tests import and export in several processes: each reads its slices, the first one writes."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

from safetensors.numpy import load_file

from semcoder_jax import hf
from semcoder_jax.hf.layout import tensor_shapes
from tests.support.compiling import QUICK
from tests.support.random_llama import GROUPED, random_llama

PROGRAM = Path(__file__).parents[1] / "support" / "hf_process.py"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_two_processes_of_two_devices(tokenizer_directory, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    random_llama(source, GROUPED | {"vocab_size": 512})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (source / name).write_bytes((tokenizer_directory / name).read_bytes())
    address = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count=2 {QUICK}",
        "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    reports = [tmp_path / f"report{i}.json" for i in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, PROGRAM, address, "2", str(i), source, out, report],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i, report in enumerate(reports)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]

    exported, original = (load_file(path / "model.safetensors") for path in (out, source))
    assert exported.keys() == original.keys()
    assert all(exported[n].tobytes() == original[n].tobytes() for n in original)

    config = hf.read_config(source)
    shapes = tensor_shapes(config)
    for report in reports:
        read = json.loads(report.read_text())
        assert read.keys() == shapes.keys()
        for name, shape in shapes.items():
            # The mesh is fsdp 2 × tensor 2, a process holds one half along fsdp. Its two devices
            # hold the same norms, which it reads once.
            whole = math.prod(shape)
            assert read[name] == (whole if len(shape) == 1 else whole // 2), name
