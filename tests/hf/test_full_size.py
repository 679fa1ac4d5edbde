"""Imports and exports a random 1.3B checkpoint in bfloat16 (slow set, 8 GB of disk)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hf_io.py"
GIBIBYTE = 2**30


@pytest.mark.slow
@pytest.mark.exclusive
def test_import_and_export_of_1_3b_hold_the_model_once(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            BENCHMARK,
            "--size=1.3b",
            f"--directory={tmp_path}",
            "--phases=jax_import,import_command,jax_export,export_command",
            "--json",
        ],
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(done.stdout.splitlines()[-1])
    parameters = 2 * 1_346_471_936
    assert rows["jax_import"]["bytes"] >= parameters
    for phase in ("jax_import", "jax_export"):
        assert rows[phase]["peak"] <= parameters + GIBIBYTE, phase
    # Orbax holds, beside the model, the arrays that it writes at a time: five imports took 3.57 to
    # 3.87 GB in all. Twice the model would be 5.39 GB.
    assert rows["import_command"]["peak"] <= parameters + 1.5 * GIBIBYTE
    # An export that starts from Orbax holds, beside the model, the array that is being restored.
    assert rows["export_command"]["peak"] <= parameters + 1.25 * GIBIBYTE
    assert rows["jax_export"]["identical"] and rows["export_command"]["identical"]
