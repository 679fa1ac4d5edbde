"""Tests the data build from sources to a dataset: equal records everywhere, also after failures."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.openai_stand_in import MODEL, StandIn
from tests.support.tiny_run import tiny_config
from tests.support.tiny_sources import write_sources

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from data_pipeline.builder import (
    BuildError,
    BuildOptions,
    TeacherOptions,
    build,
    deadline,
    recheck,
    row_maker,
    rows,
    runners,
)
from data_pipeline.builder.held_out import EVAL, TRAIN
from data_pipeline.builder.report import summary
from data_pipeline.commands.build import main, parse_arguments
from data_pipeline.monologue.forward import NarrationError
from data_pipeline.pyx import dataset as pyx
from data_pipeline.pyx.records import KINDS, read_jsonl
from data_pipeline.source.fingerprints import FINGERPRINT
from data_pipeline.tracing import trace_call
from semcoder_jax.training.loop import train
from tests.support.poisoned_rows import PoisonedRowMaker

IN_MEMORY = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    return write_sources(tmp_path_factory.mktemp("sources"))


def options_for(sources: Path, **changes) -> BuildOptions:
    return BuildOptions(**{"sources": (str(sources),), "inputs": 4, "heldout_share": 0.3} | changes)


@pytest.fixture(scope="module")
def built(sources, tmp_path_factory):
    """(folder, report) of a build by two processes."""
    output = tmp_path_factory.mktemp("built")
    return output, build(options_for(sources, workers=2), output, progress=False)


def records_of(output: Path) -> dict[str, list]:
    return {split: list(pyx.load(output, split)) for split in pyx.splits(output)}


def test_a_dataset_of_all_kinds_that_holds(built):
    output, report = built
    records = records_of(output)
    kinds = Counter(record.kind for split in records.values() for record in split)
    assert set(kinds) == set(KINDS)
    assert kinds.total() == report.records == len({r.id for part in records.values() for r in part})
    assert report.tally.get("claims")["contradicted"] == 0
    assert report.tally.get("claims")["confirmed"] > 100
    found = recheck.recheck(str(output), sample=2 * len(KINDS), hash_seed=12345, progress=False)
    assert found.refuted.total() == 0, found.wrong
    assert found.held.total() >= len(KINDS)


@pytest.mark.slow
def test_every_record_of_a_dataset_holds(built):
    output, _ = built
    kinds = Counter(record.kind for split in records_of(output).values() for record in split)
    found = recheck.recheck(str(output), sample=1000, hash_seed=12345, progress=False)
    assert found.refuted.total() == 0, found.wrong
    assert found.held == kinds


def test_the_jsonl_files_hold_the_same_records_in_upstreams_schema(built):
    output, _ = built
    for split, records in records_of(output).items():
        assert list(read_jsonl(output / f"{split}.jsonl")) == records


def test_a_function_is_on_one_side_of_the_split(built):
    output, _ = built
    programs = {
        split: {r.id.split("_")[2] for r in records if r.kind in ("fwd_mnl", "bwd_mnl")}
        for split, records in records_of(output).items()
    }
    assert programs[TRAIN]
    assert programs[EVAL]
    assert not programs[TRAIN] & programs[EVAL]
    problems = [json.loads(line) for line in (output / "problems.jsonl").open()]
    for (
        problem
    ) in problems:  # what `semcoder_jax.commands.evaluate` asks about: held-out functions only
        assert problem["id"].split("_")[1] in programs[EVAL]
        scope: dict = {}
        exec(problem["program"], scope)
        assert eval(problem["call"], scope) == ast.literal_eval(problem["output"])


def test_what_is_not_taken_is_told(built):
    output, report = built
    refused = [json.loads(line) for line in (output / "refused.jsonl").open()]
    assert any(row["name"] == "folder" for row in refused)  # it lists a directory
    assert sum("/broken.py:" in row["origin"] for row in refused) == 1
    removed = [json.loads(line) for line in (output / "removed.jsonl").open()]
    assert [row["reason"] for row in removed] == ["normalized"]  # gcd by another author
    assert {removed[0]["name"]} < {"gcd", "biggest_divisor"}
    assert report.tally.get("functions")["found"] == 7
    html = (output / "report.html").read_text()
    assert f"{report.records:,} records" in html


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 1},
        pytest.param({"workers": 3, "tier": "B"}, marks=pytest.mark.slow),
        pytest.param({"runner": IN_MEMORY}, marks=pytest.mark.slow),
    ],
)
def test_any_runner_and_number_of_workers_makes_the_same_files(built, sources, changes, tmp_path):
    if "runner" in changes:
        pytest.importorskip("apache_beam", reason="needs the extra 'beam'")
    build(options_for(sources, **changes), tmp_path / "again", progress=False)
    written = pyx.folder_of(built[0])
    for path in written.iterdir():  # ArrayRecord too
        if "tier" in changes and path.name == "metadata.json":
            continue  # has the fingerprint, and the tier is part of the recipe
        assert (pyx.folder_of(tmp_path / "again") / path.name).read_bytes() == path.read_bytes()
    for name in ("train.jsonl", "eval.jsonl", "problems.jsonl", "removed.jsonl", "refused.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (built[0] / name).read_bytes(), name


@pytest.mark.slow
def test_another_seed_and_a_limit_make_others_of_the_same_functions(built, sources, tmp_path):
    report = build(
        options_for(sources, workers=1, seed=1, limit=3), tmp_path / "other", progress=False
    )
    assert report.tally.get("functions")["found"] == 3
    ours = {record.id.split("_ipt")[0] for part in records_of(built[0]).values() for record in part}
    theirs = records_of(tmp_path / "other")
    for record in (record for part in theirs.values() for record in part):
        if record.kind != "fault":
            assert record.id.split("_ipt")[0] in ours  # ids hang on the function


@pytest.mark.slow
def test_a_finished_build_is_returned_and_more_source_adds_to_it(built, sources, tmp_path):
    output = tmp_path / "grown"
    first = build(options_for(sources / "texts", workers=1), output, progress=False)
    stamp = (output / "report.json").stat().st_mtime_ns
    again = build(options_for(sources / "texts", workers=1), output, progress=False)
    assert again.to_json() == first.to_json()
    assert summary(again) == summary(first)
    assert first.function_fingerprint == FINGERPRINT
    metadata = json.loads((pyx.folder_of(output) / "metadata.json").read_text())
    assert metadata["function_fingerprint"] == FINGERPRINT
    assert (output / "report.json").stat().st_mtime_ns == stamp
    both = BuildOptions(
        **vars(options_for(sources, workers=1))
        | {"sources": (str(sources / "texts"), str(sources / "numbers_.py"))}
    )
    report = build(both, output, progress=False)
    assert report.reused == first.tally.get("functions")["found"]
    expected = {r.id: r for part in records_of(built[0]).values() for r in part}
    grown = {r.id: r for part in records_of(output).values() for r in part}
    assert grown == expected


@pytest.mark.slow
def test_poison_is_put_aside_with_its_reason(sources, tmp_path, monkeypatch):
    """With a narrator that fails, hangs and lies."""
    monkeypatch.setattr(row_maker, "RowMaker", PoisonedRowMaker)
    monkeypatch.setattr(deadline, "CPU_SECONDS", 5.0)  # all others take 3.5 together
    report = build(options_for(sources, workers=1), tmp_path / "out", progress=False)
    dead = [json.loads(line) for line in (tmp_path / "out" / "dead_letters.jsonl").open()]
    by_stage = Counter(row["stage"] for row in dead)
    assert by_stage == report.tally.get("dead letters")
    assert by_stage["deadline"] == 1  # runs: nothing of it is kept
    failed = [row for row in dead if row["reason"] == "ZeroDivisionError: poison"]
    assert failed
    assert {row["origin"] for row in failed} == {f"{sources.name}/texts/words.py:6"}
    assert failed[0]["detail"].startswith("poisoned_rows.py:")
    lied = [row for row in dead if "contradicted" in row["reason"] or "the run" in row["reason"]]
    assert {row["origin"].partition(":")[0] for row in lied} == {f"{sources.name}/numbers_.py"}
    ids = {record.id for part in records_of(tmp_path / "out").values() for record in part}
    assert not ids & {row["item"] for row in dead}
    assert report.of_kind("fwd_mnl") > 0
    assert report.of_kind("bwd_mnl") > report.of_kind("fwd_mnl")  # vowels has its others


@pytest.mark.slow
def test_a_teacher_writes_where_it_is_right_and_the_narrator_elsewhere(sources, tmp_path):
    def answer(body):
        """To each forward question what is right but for gcd; nothing useful to the others."""
        program, found, _ = body["prompt"].rpartition("\nassert ")
        call = body["prompt"].rpartition("\nassert ")[2].partition(" == ??")[0]
        if not found or "[PYTHON]" not in program or "(??)" in body["prompt"]:
            return "no idea"
        trace = trace_call(program.rpartition("[PYTHON]\n")[2], call)
        try:
            told = rows.forward_monologue(trace)
        except NarrationError:
            return "no idea"
        if "gcd" in call:
            return told.replace(f"== {trace.result}", "== 12345")
        return told.replace("### Key", "This is what a teacher said.\n\n### Key", 1)

    with StandIn(answer) as server:
        teacher = TeacherOptions(server.url, MODEL, attempts=1, chat=False, prices=(1.0, 2.0))
        options = options_for(sources, workers=1, faults=0, teacher=teacher)
        report = build(options, tmp_path / "taught", progress=False)
        asked = len(server.requests)
        for file in (tmp_path / "taught" / ".work" / "rows").iterdir():
            file.unlink()  # as if it had been killed before any function was done
        (tmp_path / "taught" / "report.json").unlink()
        again = build(options, tmp_path / "taught", progress=False)
        assert len(server.requests) == asked + 1  # the one that finds out whether it answers
    forward = [
        record
        for part in records_of(tmp_path / "taught").values()
        for record in part
        if record.kind == "fwd_mnl"
    ]
    by_teacher = ["what a teacher said" in record.response for record in forward]
    assert by_teacher == ["def gcd(" not in record.prompt_field for record in forward]
    assert any(by_teacher)
    assert not all(by_teacher)
    told = report.tally.get("teacher")
    assert told["monologues kept"] == sum(by_teacher)
    assert told["requests"] == asked - 1
    assert report.tally.get("answers refused")["wrong output"] == len(by_teacher) - sum(by_teacher)
    assert "cost" in summary(report)
    assert again.tally.get("teacher") == told


def test_a_teacher_that_cannot_be_used_is_told_before_the_work(sources, tmp_path):
    with (
        StandIn(faults=[(401, {}, {"error": {"message": "no such key"}})]) as server,
        pytest.raises(BuildError, match=r"--teacher: .*401"),
    ):
        options = options_for(sources, teacher=TeacherOptions(server.url, MODEL))
        build(options, tmp_path / "x", progress=False)
    assert not (tmp_path / "x").exists()
    with pytest.raises(BuildError, match="--teacher: url: expected http"):
        TeacherOptions("localhost:8000", MODEL)


@pytest.mark.slow
def test_training_reads_what_was_built(built, tmp_path):
    config = tiny_config(
        tmp_path,
        data__source="pyx",
        data__directory=str(built[0]),
        data__train=None,
        data__eval=None,
        data__tokenizer=None,
        data__sequence_length=512,
        data__overlong="drop",
        train__num_steps=3,
    )
    result = train(config, tmp_path / "run")
    assert result.step == 3
    assert result.eval_loss > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=x"], "--source"),
        (["--source=no_such_package", "--output=x"], "no_such_package: expected"),
        (["--source={empty}", "--output=x"], "no Python files|the folder has none"),
        (["--source={sources}", "--output=x", "--runner=Nix"], "--runner=Nix"),
        (["--source={sources}", "--output=x", "--pipeline.regoin=eu"], "did you mean region"),
        (["--source={sources}", "--output=x", "--pipeline.region=eu"], "expected another --runner"),
        (["--source={sources}", "--output=x", "--tokenizer=gone"], "--tokenizer: gone: no such"),
        (["--source={sources}", "--output=x", "--benchmarks={empty}"], "expected a benchmark"),
        (["--source={sources}", "--output={file}"], "--output: .*"),
        (["--source={sources}", "--output=x", "--limit=none"], "invalid int value"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, sources, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    names = {"sources": sources, "empty": tmp_path / "empty", "file": tmp_path / "file"}
    assert main([argument.format(**names) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert re.search(message, error)
    assert not (tmp_path / "x").exists()


def test_what_a_runner_fails_of_is_told_in_one_line(sources, tmp_path, monkeypatch, capsys):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    nobody = ["--pipeline.job_endpoint=127.0.0.1:9", "--pipeline.job_server_timeout=1"]
    arguments = [f"--source={sources}", f"--output={tmp_path}", "--runner=PortableRunner", *nobody]
    assert main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: --runner=PortableRunner: ")
    assert list(temporary.iterdir()) == []


def test_a_pipeline_stopped_at_once_leaves_no_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runners.remove_temporary_files()
    assert tmp_path.is_dir()
    with runners._temporary_files():
        (Path(tempfile.mkdtemp()) / "file").write_text("of Beam")
        assert len(list(tmp_path.rglob("file"))) == 1
        runners.remove_temporary_files()
        assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)


def test_options_are_read_as_written():
    line = "--source=a,b --source=c --output=o --runner=FlinkRunner"
    passed = "--pipeline.flink_master=host:8081 --pipeline.parallelism=4"
    options, output = parse_arguments([*line.split(), *passed.split()])
    assert options.sources == ("a", "b", "c")
    assert options.pipeline == ("--flink_master=host:8081", "--parallelism=4")
    assert (options.runner, output) == ("FlinkRunner", "o")


@pytest.mark.slow
def test_killed_at_any_time_it_goes_on_to_the_same_files(built, sources, tmp_path):
    output = tmp_path / "killed"
    arguments = [sys.executable, "-m", "data_pipeline.build", f"--source={sources}"]
    arguments += [f"--output={output}", "--inputs=4", "--heldout_share=0.3", "--workers=2"]
    groups = output / ".work" / "rows"
    kept: dict[str, int] = {}
    for delay in (0.0, 0.3, 0.1):
        process = subprocess.Popen(
            arguments, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(1200):
            if len(list(groups.glob("*.json"))) > len(kept) or process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        now = {path.name: path.stat().st_mtime_ns for path in groups.glob("*.json")}
        assert kept.items() <= now.items()  # nothing is made twice
        kept = now
    assert kept
    result = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for name in ("train.jsonl", "eval.jsonl", "problems.jsonl", "removed.jsonl"):
        assert (output / name).read_bytes() == (built[0] / name).read_bytes(), name


@pytest.mark.slow
def test_asked_to_stop_it_ends_at_once_and_says_how_to_go_on(sources, tmp_path):
    arguments = [sys.executable, "-m", "data_pipeline.build", f"--source={sources}"]
    process = subprocess.Popen(
        [*arguments, f"--output={tmp_path}"], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (tmp_path / ".work" / "rows").is_dir():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert "the same command goes on from here" in process.stderr.read()
