"""Tests that no command replaces a file that it did not write, and that each replaces its own."""

import json
import os
import shutil

import pytest

from data_pipeline.commands import build, decontaminate, execute, faults, seeds, verify
from data_pipeline.endpoint.reply_cache import ReplyCache, ReplyCacheError
from data_pipeline.errors import UserError
from data_pipeline.files import (
    check_continuable,
    check_folder_ours,
    check_replaceable,
    has_fields,
)
from semcoder_jax.commands import evaluate
from semcoder_jax.evaluation import page
from semcoder_jax.evaluation.results import write_runs
from semcoder_jax.evaluation.run import Subject, evaluate_configs

PROGRAM = "def f(x):\n    return x + 1\n"
FOREIGN = {
    "a letter": b"Dear diary,\n",
    "rows of another kind": b'{"name": "Ann"}\n{"name": "Bob"}\n',
    "a number": b"12\n",
    "bytes": bytes(range(256)),
    "a page": b"<!doctype html><title>mine</title>",
    "a list": b"[1, 2]",
    "deep": b"[" * 100_000,
}


def _commands(folder):
    """Name -> (main, its arguments without the output's flag, the flag)."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    seed = folder / "seed.jsonl"
    assert seeds.main([f"--source={program}", f"--output={seed}"]) == 0
    rows = folder / "rows.jsonl"
    rows.write_text(json.dumps({"id": "1", "program": PROGRAM, "call": "f(1)", "monologue": "a"}))
    runs = folder / "runs.json"
    write_runs(runs, [])
    source = [f"--source={program}"]
    return {
        "seeds": (seeds.main, source, "--output"),
        "refusals": (seeds.main, [*source, f"--output={folder / 'other.jsonl'}"], "--refusals"),
        "verify": (verify.main, [f"--jsonl={rows}"], "--output"),
        "decontaminate": (decontaminate.main, [f"--input={seed}", "--repeats"], "--output"),
        "faults": (faults.main, [f"--program={program}", "--call=f(1)"], "--jsonl"),
        "page": (page.main, [str(runs)], "--output"),
        "compare": (evaluate.main, ["compare", str(runs), str(runs)], "--json"),
        "execution": (execute.main, [f"--jsonl={rows}"], "--out"),
    }


def test_foreign_files_stay_and_own_ones_are_replaced(tmp_path, capsys):
    for name, (main, arguments, flag) in _commands(tmp_path).items():
        output = tmp_path / f"{name}.out"
        for kind, content in FOREIGN.items():
            output.write_bytes(content)
            assert main([*arguments, f"{flag}={output}"]) == 2, (name, kind)
            error = capsys.readouterr().err.strip().splitlines()[-1]
            assert error.startswith("error: ") and str(output) in error, (name, kind)
            assert output.read_bytes() == content, (name, kind)
        if name == "compare":  # its own files are replaced in tests/evaluation
            continue
        output.unlink()
        assert main([*arguments, f"{flag}={output}"]) == 0, name
        written = output.read_bytes()
        assert main([*arguments, f"{flag}={output}"]) == 0, name  # again, over its own
        assert output.read_bytes() == written, name
        output.write_bytes(b"")
        assert main([*arguments, f"{flag}={output}"]) == 0, name
        if name != "execution":  # its rows hold the memory used
            assert output.read_bytes() == written, name
        assert [path.name for path in tmp_path.glob("*partial*")] == []


def test_a_folder_is_no_file(tmp_path, capsys):
    for name, (main, arguments, flag) in _commands(tmp_path).items():
        assert main([*arguments, f"{flag}={tmp_path}"]) == 2, name
        assert "Traceback" not in capsys.readouterr().err


def test_a_cache_of_replies_is_not_appended_to_a_foreign_file(tmp_path):
    path = tmp_path / "letter"
    for content in FOREIGN.values():
        path.write_bytes(content)
        with pytest.raises(ReplyCacheError, match="did not write"):
            ReplyCache(path)
        assert path.read_bytes() == content


def test_an_evaluation_keeps_foreign_reports(tmp_path):
    for name in ("result.json", "report.html"):
        workdir = tmp_path / name.partition(".")[0]
        workdir.mkdir()
        (workdir / name).write_text("mine")
        with pytest.raises(UserError, match="did not write"):
            evaluate_configs({}, Subject(None, None, None, None), workdir=workdir)
        assert [path.name for path in workdir.iterdir()] == [name]
        assert (workdir / name).read_text() == "mine"


def test_a_build_keeps_foreign_records(tmp_path, capsys):
    (tmp_path / "program.py").write_text(PROGRAM)
    output = tmp_path / "dataset"
    output.mkdir()
    (output / "train.jsonl").write_text("mine")
    assert build.main([f"--source={tmp_path / 'program.py'}", f"--output={output}"]) == 2
    assert "train.jsonl: --output: this command did not write" in capsys.readouterr().err
    assert [path.name for path in output.iterdir()] == ["train.jsonl"]
    assert (output / "train.jsonl").read_text() == "mine"


def test_folders_with_a_mark_are_ours(tmp_path):
    (tmp_path / "train.jsonl").write_text("mine")
    check_folder_ours("--output", tmp_path, ".work", ["report.html"])  # nothing is replaced
    with pytest.raises(UserError, match=r"train.jsonl: --output: this command did not write"):
        check_folder_ours("--output", tmp_path, ".work", ["train.jsonl"])
    (tmp_path / ".work").mkdir()
    check_folder_ours("--output", tmp_path, ".work", ["train.jsonl"])
    check_folder_ours("--output", tmp_path / "missing", ".work", ["train.jsonl"])


def test_rows_that_a_later_run_reads_are_not_written_to_a_device(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/full", tmp_path / "pipe"):
        with pytest.raises(UserError, match="expected a file, from which a stopped command"):
            check_continuable("--out", path)
    for path in (tmp_path, tmp_path / "missing", __file__, "gs://bucket/rows.jsonl"):
        check_continuable("--out", path)
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "program": "def f(): pass", "call": "f()"}\n')
    # It never ends reading what /dev/full holds.
    assert execute.main([f"--jsonl={tmp_path / 'rows.jsonl'}", "--out=/dev/full"]) == 2
    assert capsys.readouterr().err.startswith("error: --out=/dev/full: expected a file")


def test_devices_and_missing_files_are_replaceable(tmp_path):
    check_replaceable("--output", "/dev/null", has_fields("id"))
    check_replaceable("--output", tmp_path / "missing" / "file", has_fields("id"))
    check_replaceable("--output", None, has_fields("id"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match="loop"):
        check_replaceable("--output", loop, has_fields("id"))
    shutil.copy("/dev/null", tmp_path / "empty")
    check_replaceable("--output", tmp_path / "empty", has_fields("id"))
