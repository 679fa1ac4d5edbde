"""Tests the sandbox's command: one call, and rows of calls."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.sandbox


def command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "data_pipeline.execution", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_command_for_one_call(best, tmp_path):
    file = tmp_path / "program.py"
    file.write_text("def f(x):\n    return [x, -0.0, {x}]\n")
    done = command(f"--program={file}", "--call=f(3)")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["kind"] == "value" and row["value"] == ["l", 3, ["f", "-0.0"], ["s", 3]]
    assert row["text"] == "[3, -0.0, {3}]" and row["tier"] in "AB" and row["cpu_seconds"] > 0
    done = command(f"--program={file}", "--call=f(3, 4)")
    assert (
        done.returncode == 2
        and done.stderr.startswith("error: ")
        and "Traceback" not in done.stderr
    )
    assert json.loads(done.stdout)["bad_input"]["reason"] == "arity"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--program"),
        (["--program=missing.py", "--call=f(1)"], "missing.py"),
        (["--program=setup.py"], "--call"),
        (["--jsonl=missing.jsonl"], "missing.jsonl"),
        (["--jsonl=x", "--tier=Z"], "x"),
    ],
)
def test_command_errors_are_one_line(arguments, told):
    done = command(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and told in done.stderr
    assert done.stderr.count("\n") == 1


def test_command_for_rows(best, tmp_path):
    rows = [
        {"id": f"r{k}", "program": "def f(x):\n    return 10 // x\n", "call": f"f({k})"}
        for k in range(12)
    ]
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command(f"--jsonl={file}")
    assert done.returncode == 0 and "run/s" in done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in results] == [f"r{k}" for k in range(12)]
    assert results[0]["exception"]["type"] == "ZeroDivisionError"
    assert [row["value"] for row in results[1:]] == [10 // k for k in range(1, 12)]

    # Goes on where it was interrupted: five whole rows and a torn one.
    kept = [json.dumps({**row, "mark": "kept"}) for row in results[:5]]
    out.write_text("\n".join([*kept, '{"id": "r5", "ki']))
    assert command(f"--jsonl={file}", f"--out={out}").returncode == 0
    resumed = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in resumed] == [f"r{k}" for k in range(12)]
    assert [row.get("mark") for row in resumed] == ["kept"] * 5 + [None] * 7

    file.write_text(json.dumps(rows[0]) + '\n{"id": 1, "program": 3}\n')
    done = command(f"--jsonl={file}")
    assert done.returncode == 2 and f"{file}:2" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("limit", ["cpu_seconds=nan", "wall_seconds=inf", "memory_mb=0"])
def test_a_limit_that_is_none_is_one_line(tmp_path, limit):
    file = tmp_path / "program.py"
    file.write_text("def f(x):\n    return x\n")
    done = command(f"--program={file}", "--call=f(3)", f"--{limit}")
    assert done.returncode == 2 and done.stdout == ""
    assert (
        done.stderr.startswith(f"error: --{limit.split('=')[0]}=") and done.stderr.count("\n") == 1
    )
