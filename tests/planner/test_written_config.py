"""Tests that a config written by a search trains on as many simulated devices as planned."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from semcoder_jax.planner.settings import Setting
from semcoder_jax.planner.written_config import write_config
from tests.support.config_file import write_config_file
from tests.support.planner_stand_in import FITS
from tests.support.tiny_run import tiny_config

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_written_config_trains_on_the_planned_shape(data, tmp_path, compiled_programs):
    base = write_config_file(tmp_path, tiny_config(data, data__eval=None))
    written = tmp_path / "fastest.py"
    plan = SimpleNamespace(
        step=FITS,
        setting=Setting((2, 2, 1), 2, "nothing_saveable"),
        roofline=None,
        topology=SimpleNamespace(name="v5e:2x2"),
    )
    write_config(written, str(base), {"train.stop_after_step": 2}, plan=plan)
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=1",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(compiled_programs),
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [
        sys.executable, "-m", "semcoder_jax.train", f"--config={written}",
        f"--workdir={tmp_path / 'run'}",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "on 4 device(s), from step 0" in done.stderr
    assert re.search(r"run: step 2 of 12", done.stdout)
