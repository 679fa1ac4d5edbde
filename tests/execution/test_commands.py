"""Tests the sandbox's command: one call, and rows of calls."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_pipeline.commands.execute import main

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
    kept = [json.dumps({**row, "mark": "kept"}) for row in results[:5]]  # the mark decides nothing
    out.write_text("\n".join([*kept, '{"id": "r5", "ki']))
    assert command(f"--jsonl={file}", f"--out={out}").returncode == 0
    resumed = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in resumed] == [f"r{k}" for k in range(12)]
    assert [row.get("mark") for row in resumed] == ["kept"] * 5 + [None] * 7

    file.write_text(json.dumps(rows[0]) + '\n{"id": 1, "program": 3}\n')
    done = command(f"--jsonl={file}")
    assert done.returncode == 2 and f"{file}:2" in done.stderr and done.stdout == ""


def write_rows(path, programs):
    rows = [
        {"id": k, "program": f"def f(x):\n    return {text}\n", "call": "f(1)"}
        for k, text in enumerate(programs)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_only_results_of_the_same_program_call_and_limits_are_kept(best, tmp_path, capsys):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"

    def run(*flags: str) -> list[tuple[int, bool]]:
        """Runs the command; returns the value of each row and whether its result was kept."""
        assert main([f"--jsonl={file}", f"--out={out}", "--workers=1", *flags]) == 0
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        told = [(row["value"], row.get("mark", False)) for row in rows]
        out.write_text("".join(json.dumps({**row, "mark": True}) + "\n" for row in rows))
        assert [row["id"] for row in rows] == list(range(len(rows)))
        return told

    write_rows(file, ["x", "x + 1", "x + 2"])
    assert run() == [(1, False), (2, False), (3, False)]
    assert run() == [(1, True), (2, True), (3, True)]
    write_rows(file, ["x", "x + 10", "x + 2", "x + 3"])  # one changed, one is new
    capsys.readouterr()
    assert run() == [(1, True), (11, False), (3, True), (4, False)]
    assert "1 results of other programs" in capsys.readouterr().err
    for flag in ("--wall_seconds=9", "--threads"):
        assert run(flag) == [(1, False), (11, False), (3, False), (4, False)]
    assert run("--threads") == [(1, True), (11, True), (3, True), (4, True)]
    file.write_text(file.read_text().replace("f(1)", "f(2)"))
    assert run("--threads") == [(2, False), (12, False), (4, False), (5, False)]
    before = [{key: value for key, value in json.loads(line).items() if key != "request"}
              for line in out.read_text().splitlines()]  # fmt: skip
    out.write_text("".join(json.dumps(row) + "\n" for row in before))  # an earlier version's
    assert [kept for _, kept in run("--threads")] == [False] * 4
    write_rows(file, ["x", "x"])
    assert main([f"--jsonl={file}", f"--out={out}"]) == 2  # results of more rows than there are
    assert "which --jsonl does not have" in capsys.readouterr().err
    assert len(out.read_text().splitlines()) == 4


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def mark(out: Path) -> list[dict]:
    """Marks every result in the file, which decides nothing; returns the results."""
    rows = [{**json.loads(line), "mark": "kept"} for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_a_kill_while_stale_results_are_replaced_loses_no_result(best, tmp_path):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    link = tmp_path / "link.jsonl"
    link.symlink_to(out)
    flags = [f"--jsonl={file}", f"--out={link}", "--workers=1"]
    write_rows(file, [f"x + {k}" for k in range(8)])
    assert main(flags) == 0
    before = mark(out)

    programs = [f"x + {k}" for k in range(8)]
    programs[1], programs[3], programs[4] = "x + 100", "x + 300", "[x for _ in iter(int, 1)]"
    write_rows(file, programs)  # the results 1, 3 and 4 are stale; 4 runs until its limit
    process = subprocess.Popen(
        [sys.executable, "-m", "data_pipeline.execution", *flags],
        cwd=REPOSITORY,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: out.read_bytes().count(b"\n") == 10)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[:8] == before
    assert [(row["id"], row["value"]) for row in rows[8:]] == [(1, 101), (3, 301)]

    with out.open("a") as torn:
        torn.write('{"id": 4, "requ')
    (tmp_path / ".out.jsonl.1.abcd.semcoder-partial").write_text("of a killed writer")
    programs[4] = "x + 400"
    write_rows(file, programs)
    assert main(flags) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["value"] for row in rows] == [1, 101, 3, 301, 401, 6, 7, 8]
    assert [row["id"] for row in rows if "mark" in row] == [0, 2, 5, 6, 7]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "link.jsonl", "out.jsonl", "rows.jsonl",
    ]  # fmt: skip
    assert link.is_symlink()


def test_a_kill_while_the_results_are_put_in_order_loses_none(best, tmp_path, monkeypatch):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    flags = [f"--jsonl={file}", f"--out={out}", "--workers=1"]
    write_rows(file, ["x", "x + 1", "x + 2"])
    assert main(flags) == 0
    write_rows(file, ["x + 10", "x + 1", "x + 20"])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        assert main(flags) == 130
    mark(out)  # the three old results and the two new ones
    assert main(flags) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["id"], row["value"], row["mark"]) for row in rows] == [
        (0, 11, "kept"), (1, 2, "kept"), (2, 21, "kept"),
    ]  # fmt: skip


@pytest.mark.parametrize("limit", ["cpu_seconds=nan", "wall_seconds=inf", "memory_mb=0"])
def test_a_limit_that_is_none_is_one_line(tmp_path, limit):
    file = tmp_path / "program.py"
    file.write_text("def f(x):\n    return x\n")
    done = command(f"--program={file}", "--call=f(3)", f"--{limit}")
    assert done.returncode == 2 and done.stdout == ""
    assert (
        done.stderr.startswith(f"error: --{limit.split('=')[0]}=") and done.stderr.count("\n") == 1
    )


@pytest.mark.parametrize(
    "content",
    [
        '{"id": 1, "program": "def f(): return 1", "call": "f()"}\n',
        '{"id": 1, "note": "labels of my own"}\n',
        '{"id": 1, "note": "labels of my own',
        '{"id": "a\\"b", "note": "x"}\n{"id": 1, "kind": "value", "tier": "A"}\n',
    ],
)
def test_rows_of_another_program_stay_as_they_are(tmp_path, capsys, content):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"id": 1, "program": "def f(): return 1", "call": "f()"}\n')
    out.write_text(content)
    assert main([f"--jsonl={file}", f"--out={out}", "--workers=1"]) == 2
    assert "not a result row; nothing was changed" in capsys.readouterr().err
    assert out.read_text() == content
