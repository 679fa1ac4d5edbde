"""Tests the script of measurements on an accelerator: limits, failures, figures, a run on a CPU."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import accelerator
from benchmarks.accelerator import Stage
from benchmarks.models import open_directory

REPOSITORY = Path(__file__).parents[2]
FIGURES = "print('a library speaks'); print('{\"sides\": {}}')"


def run(stages, output, seconds=600.0, memory=1e9):
    deadline = time.monotonic() + seconds
    status = accelerator.run_all(iter(stages), output, dict(os.environ), deadline, memory)
    return status, figures_of(output)


def figures_of(output):
    rows = [json.loads(line) for line in (output / "figures.jsonl").open(encoding="utf-8")]
    return {row.pop("stage"): row for row in rows}


def test_a_folder_that_a_benchmark_makes_is_told_once(tmp_path, capsys):
    folder = tmp_path / "new" / "models"
    assert open_directory(folder) == folder and folder.is_dir()
    told = capsys.readouterr()
    assert told.err == f"--directory={folder}: a new folder, in which the models stay\n"
    assert open_directory(folder) == folder
    assert capsys.readouterr() == ("", "") and told.out == ""


def test_a_stage_that_hangs_or_fails_leaves_the_others(tmp_path):
    """The process that a hanging stage started ends with it."""
    sleeper = "import subprocess, sys; print(1, file=sys.stderr); subprocess.run(['sleep', '300'])"
    started = time.monotonic()
    status, figures = run(
        [
            Stage("hangs", ("-c", sleeper), 1.0),
            Stage("fails", ("-c", "import sys; sys.exit('no such device')"), 120),
            Stage("too large", ("-c", FIGURES), 30, memory=2e9),
            Stage("works", ("-c", FIGURES), 120),
        ],
        tmp_path,
    )
    assert status == 1
    assert time.monotonic() - started < 200  # the pipe of the sleeping process is closed
    assert figures["hangs"] == {"error": "took over 1 s", "seconds": 1}
    assert figures["fails"]["error"] == "ended with 1, see fails.log"
    assert (tmp_path / "fails.log").read_text() == "no such device\n"
    assert figures["too large"] == {"left_out": "needs 2 GB of device memory"}
    assert figures["works"]["result"] == {"sides": {}}


def test_no_stage_starts_when_the_time_is_over(tmp_path):
    status, figures = run([Stage("late", ("-c", FIGURES), 30)], tmp_path, seconds=1)
    assert status == 0
    assert figures == {"late": {"left_out": "no time is left"}}


def test_figures_by_hand():
    sides = {"jax": {"flops": 5e14, "seconds": [2.0, 1.0], "peak_flops": 1e15}}
    told = accelerator.describe({"result": {"matmul": None, "sides": sides}, "seconds": 9})
    assert told == "jax 500 TFLOP/s; MFU 50.0%; 9 s"
    rows = {
        "bandwidth": {"bytes_per_second": 4e12},
        "accelerator_bf16": {"bytes": 2e10, "1": 150.0, "64": 1.0},
    }
    told = accelerator.describe({"result": {"random": rows}, "seconds": 9})
    assert told == "bf16: 150.0 tokens/s, 75% of bandwidth; 9 s"


def test_a_folder_without_wheels_is_told_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: --wheels=.*: no wheels there; fill it with"):
        accelerator.environment_for(tmp_path, str(tmp_path))


@pytest.mark.slow
def test_every_stage_runs_at_a_tiny_size(tmp_path):
    flags = [f"--output={tmp_path}", "--tiny", "--minutes=15"]
    done = subprocess.run(
        [sys.executable, "benchmarks/accelerator.py", *flags],
        cwd=REPOSITORY, capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    logs = "".join(path.read_text()[-1000:] for path in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    figures = figures_of(tmp_path)
    assert list(figures) == ["imports", "train-tiny-jax", "decode-tiny", "train-tiny-eager"]
    assert not any("left_out" in row for row in figures.values())
    for side in ("jax", "eager"):
        row = figures[f"train-tiny-{side}"]["result"]["sides"][side]
        assert row["losses"][0] == pytest.approx(6.24, abs=0.1)  # ln 512
        assert min(row["seconds"]) > 0 and row["useful"] > 0
    (rows,) = figures["decode-tiny"]["result"].values()
    assert set(rows) == {"bandwidth", "accelerator_bf16", "accelerator_int8"}
    assert all(rows[f"accelerator_{kind}"]["1"] > 0 for kind in ("bf16", "int8"))
