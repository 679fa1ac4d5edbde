"""Tests by the TPU compiler how much memory sampling from 6.7B needs (slow set; libtpu, no TPU).

libtpu is either installed (pip install "jax[tpu]") or in the folder that SEMCODER_LIBTPU names (pip
install --no-deps --target=FOLDER libtpu), where other programs do not see it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDER = os.environ.get("SEMCODER_LIBTPU", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("topology", "claims"),
    [
        ("v5e:1x1", {("int8", "int8", 6, 2_048), ("int8", "int8", 3, 4_096)}),
        (
            "v5e:2x2",
            {("bfloat16", "bfloat16", 16, 4_096), ("bfloat16", "int8", 32, 4_096)},
        ),
    ],
)
def test_6_7b_fits(tpu_compiler, topology, claims):
    command = [sys.executable, "benchmarks/sampling_memory.py", f"--only={topology}", "--json"]
    path = os.pathsep.join(filter(None, [FOLDER, str(REPOSITORY)]))
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=1100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    fitting = {
        (row["weights"], row["cache"], row["slots"], row["length"]) for row in rows if row["fits"]
    }
    assert claims <= fitting, done.stdout
    for row in rows:
        held = row["peaks"]["weights"] + row["peaks"]["cache"]
        # No second cache anywhere: what a program adds stays below it.
        added = max(row["peaks"][name] - held for name in ("decode", "decode, 7 drafts", "prompt"))
        assert added < row["peaks"]["cache"], row
