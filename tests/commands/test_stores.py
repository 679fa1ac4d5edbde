"""Tests commands as a user calls them on gs:// and s3://: outputs equal those on a disk.

Objects are written and read back by the stores' own clients.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipeline.commands import decontaminate, execute, faults, prepare, records, seeds, verify
from data_pipeline.execution.service import Sandbox
from data_pipeline.files import as_path, place_of_copy
from data_pipeline.tokens.store import open_tokens

REPOSITORY = Path(__file__).parents[2]
PROGRAM = "def f(x):\n    y = x + 1\n    return y * 2\n"
TASK = {
    "task_id": "HumanEval/0",
    "prompt": "def f(x):\n",
    "canonical_solution": PROGRAM.partition("\n")[2],
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(object_store):
    return object_store


def put(folder, name: str, rows) -> None:
    (folder / name).write_bytes("".join(json.dumps(row) + "\n" for row in rows).encode())


def without_times(content: bytes) -> list[dict]:
    rows = [json.loads(line) for line in content.splitlines()]
    times = ("cpu_seconds", "wall_seconds", "peak_bytes")
    return [{name: row[name] for name in row if name not in times} for row in rows]


def test_rows_are_those_on_a_disk(store, tmp_path):
    (tmp_path / "disk").mkdir()
    folders = tmp_path / "disk", as_path(store.path(tmp_path.name))
    found = []
    for folder in folders:
        (folder / "program.py").write_bytes(PROGRAM.encode())
        put(
            folder,
            "monologues.jsonl",
            [
                {"id": "a", "program": PROGRAM, "call": "f(1)", "monologue": "f(1) returns 4."},
                {"id": "b", "program": PROGRAM, "call": "f(2)", "monologue": "f(2) returns 5."},
            ],
        )
        rows, out = f"--jsonl={folder}/monologues.jsonl", f"--output={folder}/verdicts.jsonl"
        assert verify.main([rows, out, "--trusted"]) == 1
        program = [f"--program={folder}/program.py", "--call=f(2)"]
        assert faults.main([*program, f"--jsonl={folder}/faults.jsonl.gz"]) == 0
        assert records.main([f"{folder}/faults.jsonl.gz"]) == 0
        source = f"--source={folder}/program.py"
        assert seeds.main([source, f"--output={folder}/seeds.jsonl"]) == 0
        put(folder, "tasks.jsonl", [TASK])
        clean = [f"--input={folder}/seeds.jsonl", f"--output={folder}/kept.jsonl"]
        tasks = ["--benchmarks", f"{folder}/tasks.jsonl"]
        assert decontaminate.main([*clean, f"--report={folder}/removed.jsonl", *tasks]) == 0
        names = ("verdicts.jsonl", "faults.jsonl.gz", "seeds.jsonl", "kept.jsonl", "removed.jsonl")
        found.append({name: (folder / name).read_bytes() for name in names})
    assert found[1] == {
        name: content.replace(b"disk/program", f"{tmp_path.name}/program".encode())
        for name, content in found[0].items()
    }
    assert found[1]["kept.jsonl"] == b"" and len(found[1]["removed.jsonl"]) > 0


@pytest.mark.parametrize("scheme", ["gs", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_stopped_run_of_programs_goes_on(scheme, object_stores, tmp_path, monkeypatch):
    folder = as_path(object_stores[scheme].path(tmp_path.name))
    rows = [{"id": str(n), "program": PROGRAM, "call": f"f({n})"} for n in range(6)]
    put(folder, "rows.jsonl", rows)
    put(tmp_path, "rows.jsonl", rows)
    line = [f"--jsonl={folder}/rows.jsonl", f"--out={folder}/out.jsonl", "--workers=1"]
    real, asked = Sandbox.map, []

    def stopped(self, jobs):
        for number, result in enumerate(real(self, jobs)):
            if number == 3:
                raise KeyboardInterrupt
            yield result

    def counted(self, jobs):
        return real(self, (asked.append(job) or job for job in jobs))

    monkeypatch.setattr(Sandbox, "map", stopped)
    assert execute.main(line) == 130
    assert len((folder / "out.jsonl").read_bytes().splitlines()) == 3
    monkeypatch.setattr(Sandbox, "map", counted)
    assert execute.main(line) == 0 and len(asked) == 3
    local = [f"--jsonl={tmp_path}/rows.jsonl", f"--out={tmp_path}/out.jsonl", "--workers=1"]
    assert execute.main(local) == 0
    ours, theirs = (place / "out.jsonl" for place in (folder, tmp_path))
    assert without_times(ours.read_bytes()) == without_times(theirs.read_bytes())
    put(folder, "rows.jsonl", reversed(rows))  # results are put in the order of the rows
    assert execute.main(line) == 0 and len(asked) == 3 + 6
    assert [row["id"] for row in without_times(ours.read_bytes())] == list("543210")


@pytest.fixture
def tokens(store, tmp_path, data):
    """The same prepared tokens on a disk and in a store, in shards of ten records."""
    folder = as_path(store.path(tmp_path.name))
    for path in data.rglob("*"):
        if path.is_file():
            (folder / "data" / str(path.relative_to(data))).write_bytes(path.read_bytes())
    for source, output in ((data, tmp_path), (folder / "data", folder)):
        line = [f"--data={source}/train.jsonl", f"--eval={source}/eval.jsonl"]
        line += [f"--tokenizer={source}/tokenizer", f"--output={output}/tokens"]
        assert prepare.main([*line, "--shard_records=10"]) == 0
    return tmp_path / "tokens", folder / "tokens"


def test_prepared_tokens_are_read_shard_by_shard(tokens):
    local, remote = tokens
    names = sorted(str(path.relative_to(local)) for path in local.rglob("*") if path.is_file())
    for name in names:
        if name != "manifest.json":  # which names the sources
            assert (remote / name).read_bytes() == (local / name).read_bytes()
    ours, theirs = (open_tokens({"t": place}, "train") for place in (remote, local))
    copies = place_of_copy(remote)

    def shards() -> list[str]:
        return sorted(path.name[6:11] for path in copies.glob("train-*.array_record"))

    assert shards() == []
    for numbers, read in (([3, 7], ["00000"]), ([3, 95, 42], ["00000", "00004", "00009"])):
        wanted = np.array(numbers)
        for one, other in zip(ours.tokens(wanted), theirs.tokens(wanted), strict=True):
            assert one.tolist() == other.tolist()
        assert ours.ids(wanted) == theirs.ids(wanted)
        assert shards() == read
    assert ours.digest() == theirs.digest()


@pytest.mark.slow
@pytest.mark.usefixtures("one_device", "compiled_once")
def test_training_on_tokens_in_a_store_is_training(tokens, tmp_path):
    from semcoder_jax.training.loop import train
    from tests.support.tiny_run import tiny_config

    results = []
    for number, place in enumerate(tokens):
        config = tiny_config(tmp_path)
        kept = ("sequence_length", "global_batch_size")
        fields = {name: config["data"][name] for name in kept}
        config["data"] = {"source": "tokens", "datasets": {"mine": str(place)}, **fields}
        results.append(train(config, tmp_path / str(number)))
    assert results[0].step == results[1].step == 12
    assert results[0].eval_loss == results[1].eval_loss


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_models_go_in_and_out(scheme, object_stores, tmp_path):
    from semcoder_jax.commands import hf, sample
    from tests.support.tiny_checkpoint import write_checkpoint

    model = write_checkpoint(tmp_path / "model")
    folder = as_path(object_stores[scheme].path(tmp_path.name))
    workdir, export = f"{folder}/workdir", f"--output={folder}/export"
    assert hf.main(["import", f"--source={model}", f"--output={workdir}"]) == 0
    parts = "--shard_gigabytes=0.00001"
    assert hf.main(["export", f"--checkpoint={workdir}", export, parts]) == 0
    assert len(list((folder / "export").glob("model-*.safetensors"))) > 2
    assert hf.main(["export", f"--checkpoint={workdir}", export]) == 2
    itself = f"--checkpoint={folder}/export"
    assert hf.main(["export", itself, export, "--overwrite"]) == 2
    assert hf.main(["export", f"--checkpoint={workdir}", export, "--overwrite"]) == 0
    assert not list((folder / "export").glob("model-*"))  # of the one before
    weights = "model.safetensors"
    assert (folder / "export" / weights).read_bytes() == (model / weights).read_bytes()
    assert hf.main(["import", f"--source={folder}/export", f"--output={tmp_path}/back"]) == 0
    assert hf.main(["export", f"--checkpoint={tmp_path}/back", f"--output={tmp_path}/out"]) == 0
    assert (tmp_path / "out" / weights).read_bytes() == (model / weights).read_bytes()

    if scheme == "s3":  # reading a model from it is the same
        return
    put(folder, "prompts.jsonl", [{"id": "a", "prompt": "def f"}, {"id": "b", "prompt": "return"}])
    for checkpoint, output in ((workdir, folder / "s.jsonl"), (model, tmp_path / "s.jsonl")):
        line = [f"--checkpoint={checkpoint}", f"--prompts={folder}/prompts.jsonl"]
        assert sample.main([*line, f"--output={output}", "--max_new_tokens=8"]) == 0
    assert (folder / "s.jsonl").read_bytes() == (tmp_path / "s.jsonl").read_bytes()
    assert not (folder / "s.jsonl.partial").exists()


@pytest.mark.slow
def test_an_unfinished_export_is_begun_again(store, tmp_path):
    from semcoder_jax.commands import hf
    from tests.support.tiny_checkpoint import write_checkpoint

    model = write_checkpoint(tmp_path / "model")
    output = as_path(store.path(tmp_path.name, "export"))
    line = ["export", f"--checkpoint={model}", f"--output={output}"]
    program = (  # killed when the first file of weights is there
        "import os, sys\n"
        "from semcoder_jax.hf import shards\n"
        "from semcoder_jax.commands.hf import main\n"
        "shards.ShardWriter._index = lambda self: os._exit(9)\n"
        f"main({[*line, '--shard_gigabytes=0.00001']!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 9, done.stderr.decode()
    assert list(output.glob("*.safetensors")) and not (output / "config.json").exists()
    assert hf.main(line) == 0
    names = {path.name for path in output.iterdir()}
    assert not [name for name in names if name.startswith(("model-", "."))]
    weights = "model.safetensors"
    assert (output / weights).read_bytes() == (model / weights).read_bytes()


KILLED_EVALUATION = """
import os, sys, time
from data_pipeline.files import appended
from semcoder_jax.commands.evaluate import main
from semcoder_jax.evaluation import generators as sources

appended.INTERVAL = 0.01
real = sources.stream

def killed(*arguments, **options):
    for number, item in enumerate(real(*arguments, **options)):
        if number == 4:
            time.sleep(1)  # some uploads
            os._exit(9)
        yield item

sources.stream = killed
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(store, tmp_path, monkeypatch):
    from semcoder_jax.commands import evaluate
    from semcoder_jax.evaluation import generators as sources
    from tests.support.random_runs import write_problems
    from tests.support.tiny_checkpoint import write_checkpoint

    checkpoint = write_checkpoint(tmp_path / "checkpoint", max_positions=1024)
    folder = as_path(store.path(tmp_path.name))
    problems = write_problems(tmp_path / "problems.jsonl").read_bytes()
    (folder / "problems.jsonl").write_bytes(problems)
    for path in checkpoint.iterdir():
        (folder / "checkpoint" / path.name).write_bytes(path.read_bytes())

    def line(place) -> list[str]:
        return [
            f"--config={REPOSITORY}/configs/eval/heldout.py",
            f"--checkpoint={place}/checkpoint",
            f"--workdir={place}/work",
            f"--config.data={place}/problems.jsonl",
            "--config.sampling.max_new_tokens=12",
            f"--json={place}/result.json",
        ]

    done = subprocess.run(
        [sys.executable, "-c", KILLED_EVALUATION, *line(folder)],
        cwd=REPOSITORY,
        capture_output=True,
    )
    assert done.returncode == 9, done.stderr.decode()
    real, asked = sources.stream, []

    def counted(model, prompts, params, **options):
        asked.extend(prompts)
        return real(model, prompts, params, **options)

    monkeypatch.setattr(sources, "stream", counted)
    assert evaluate.main(line(folder)) == 0
    assert len(asked) == 12 - 4
    assert evaluate.main(line(tmp_path)) == 0
    texts = [
        [
            answer["text"]
            for run in json.loads(path.read_bytes())["runs"]
            for answer in run["answers"]
        ]
        for path in (folder / "result.json", tmp_path / "result.json")
    ]
    assert texts[0] == texts[1] and len(texts[0]) == 12
    assert b"<table" in (folder / "work" / "report.html").read_bytes()
    stored = [f"--generations={folder}/work/generations.jsonl", f"--json={folder}/again.json"]
    assert evaluate.main([line(folder)[0], line(folder)[3], *stored]) == 0
    assert evaluate.main(["compare", f"{folder}/result.json", f"{folder}/again.json"]) == 0
