"""Tests the TFDS builder: it keeps records in order, runs once, and leaves no partial dataset."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from data_pipeline.pyx.dataset import PyxError, load, prepare
from data_pipeline.pyx.records import PyXRecord, RecordError, RefineRecord, read_jsonl, write_jsonl
from data_pipeline.source.fingerprints import FINGERPRINT

REPO = Path(__file__).parents[2]
TRAIN = [
    PyXRecord("nl_1", "Größe ≥ 1?\n", "", "", "ja\u2028"),
    RefineRecord("fault_own", "### Problem", "[Refined]"),
    *(PyXRecord(f"f{i}", "", f"[PYTHON] {i}", "", f"answer {i}") for i in range(200)),
    PyXRecord("nl_1", "the same id again", "", "", "is no error"),
]
HELDOUT = [PyXRecord("b", "", "", "PYTHON]", "witness")]


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    paths = {"train": tmp_path / "train.jsonl", "heldout": tmp_path / "heldout.jsonl.gz"}
    write_jsonl(paths["train"], TRAIN)
    write_jsonl(paths["heldout"], HELDOUT)
    return paths


def written(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file was written, and its inode."""
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_records_come_out_as_they_went_in(files, tmp_path):
    folder = prepare(files, tmp_path / "data", name="pyx_small")
    train = load(tmp_path / "data", "train", name="pyx_small")
    assert len(train) == len(TRAIN)
    assert list(train) == TRAIN
    assert train[-1] == TRAIN[-1] and train[5:9] == TRAIN[5:9] and train[3:0:-2] == TRAIN[3:0:-2]
    assert train.__getitems__([7, 0]) == [TRAIN[7], TRAIN[0]]
    assert list(load(tmp_path / "data", "heldout", name="pyx_small")) == HELDOUT
    with pytest.raises(IndexError):
        train[len(TRAIN)]
    # TFDS knows the dataset without our code.
    info = tfds.builder_from_directory(folder).info
    assert (info.name, str(info.version), info.splits["train"].num_examples) == (
        "pyx_small",
        "1.0.0",
        len(TRAIN),
    )
    assert sorted(info.features) == ["id", "kind", "prompt_field", "response"]
    assert {path.name.split("-")[0] for path in folder.glob("*array_record*")} == {"pyx_small"}


def test_nothing_stays_among_the_temporary_files(files, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    prepare(files, tmp_path / "data", name="pyx_small")
    assert len(load(tmp_path / "data", "train", name="pyx_small")) == len(TRAIN)
    assert list(temporary.iterdir()) == []


def test_preparing_again_does_nothing_until_the_records_change(files, tmp_path, capsys):
    data_dir = tmp_path / "data"
    folder = prepare(files, data_dir)
    assert capsys.readouterr().out == ""
    before = written(folder)
    assert prepare({split: str(path) for split, path in files.items()}, str(data_dir)) == folder
    assert written(folder) == before

    write_jsonl(files["train"], TRAIN[:3])
    assert prepare(files, data_dir) == folder
    assert list(load(data_dir, "train")) == TRAIN[:3]
    assert not set(written(folder).values()) & set(before.values())
    prepare({"train": files["train"]}, data_dir)
    with pytest.raises(PyxError, match="split 'heldout': expected one of train"):
        load(data_dir, "heldout")
    assert [path.name for path in data_dir.iterdir() if path.is_dir()] == ["pyx"]


def test_a_bad_row_is_named_and_the_old_dataset_stays(files, tmp_path):
    data_dir = tmp_path / "data"
    with pytest.raises(RecordError, match="cannot read the file"):
        prepare({"train": tmp_path / "absent.jsonl"}, data_dir)
    assert not data_dir.exists()
    prepare(files, data_dir)
    with files["train"].open("a") as file:
        file.write('{"id": "x", "nl": "", "response": "r"}\n')
    with pytest.raises(RecordError, match=r"train\.jsonl:204: fields nl, .*got none"):
        prepare(files, data_dir)
    assert list(load(data_dir, "train")) == TRAIN
    files["train"].write_text("\n")
    with pytest.raises(RecordError, match="expected at least one record"):
        prepare(files, data_dir)


KILLED_BUILD = """
import os, signal, sys
from data_pipeline.pyx import dataset as pyx
whole = pyx.read_jsonl
def cut_short(path):
    for number, record in enumerate(whole(path)):
        if number == 100 and pyx.building:
            os.kill(os.getpid(), signal.SIGKILL)
        yield record
build = pyx._build
def marked(*arguments):
    pyx.building = True
    build(*arguments)
pyx.building, pyx.read_jsonl, pyx._build = False, cut_short, marked
pyx.prepare({"train": sys.argv[1]}, sys.argv[2])
"""


@pytest.mark.parametrize("prepared_before", [False, True])
def test_a_killed_build_leaves_nothing_that_looks_whole(files, tmp_path, prepared_before):
    data_dir = tmp_path / "data"
    if prepared_before:
        prepare({"train": files["heldout"]}, data_dir)
    command = [sys.executable, "-c", KILLED_BUILD, files["train"], data_dir]
    killed = subprocess.run(command, cwd=REPO, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert list(data_dir.rglob("*incomplete*")), "the build was to be killed half way"
    if prepared_before:
        assert list(load(data_dir, "train")) == HELDOUT
    else:
        with pytest.raises(PyxError, match="expected the --output of a build"):
            load(data_dir, "train")
    prepare({"train": files["train"]}, data_dir)
    assert list(load(data_dir, "train")) == TRAIN
    assert not list(data_dir.rglob("*incomplete*"))
    assert [path.name for path in data_dir.iterdir() if path.is_dir()] == ["pyx"]


def test_processes_prepare_the_same_folder_together(files, tmp_path):
    data_dir = tmp_path / "data"
    program = "import json, sys; from data_pipeline.pyx.dataset import prepare; "
    program += "prepare(json.loads(sys.argv[1]), sys.argv[2])"
    paths = json.dumps({split: str(path) for split, path in files.items()})
    command = [sys.executable, "-c", program, paths, str(data_dir)]
    together = [
        subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in together:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert list(load(data_dir, "train")) == list(read_jsonl(files["train"]))


def test_names_that_tfds_would_misread_are_refused(files, tmp_path):
    for jsonl_by_split, name in (
        ({"all": files["train"]}, "pyx"),
        ({"Train[:5]": files["train"]}, "pyx"),
        (files, "../pyx"),
        ({}, "pyx"),
    ):
        with pytest.raises(PyxError, match="expected"):
            prepare(jsonl_by_split, tmp_path / "data", name=name)
    assert not (tmp_path / "data").exists()


def test_a_dataset_split_by_another_fingerprint_is_refused_in_one_line(files, tmp_path):
    folder = prepare(files, tmp_path / "data")
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps(metadata | {"function_fingerprint": FINGERPRINT}))
    assert len(load(tmp_path / "data", "train")) == len(TRAIN)
    path.write_text(json.dumps(metadata | {"function_fingerprint": "tree-3.11/0"}))
    with pytest.raises(PyxError, match=r"tree-3.11/0.*build the data again") as raised:
        load(tmp_path / "data", "train")
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
