"""Tests which folders an export may replace."""

from pathlib import Path

import pytest

from semcoder_jax.errors import HFError
from semcoder_jax.hf.directory import check_writable, rename_when_complete

MODEL = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "chat_template.jinja", "README.md", "LICENSE", "model.safetensors.index.json",
    "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
)  # fmt: skip
ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "README.md", "LICENSE-MODEL")


def a_folder(path, names):
    path.mkdir()
    for name in names:
        (path / name).write_text("old")
    return path


@pytest.mark.parametrize("names", [MODEL, ADAPTER], ids=["model", "adapter"])
def test_files_of_exports_are_replaced(tmp_path, names):
    folder = a_folder(tmp_path / "out", names)
    with rename_when_complete(folder, overwrite=True) as partial:
        (partial / "config.json").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name", ["notes.txt", "sub/b", "README.md.orig", "model-backup.safetensors", "optimizer.bin"]
)
def test_files_of_others_are_kept(tmp_path, name):
    folder = a_folder(tmp_path / "out", MODEL)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with (
        pytest.raises(HFError, match=f"out: holds {name.partition('/')[0]}, which no export"),
        rename_when_complete(folder, overwrite=True),
    ):
        raise AssertionError("nothing may be written")
    assert (folder / name).read_text() == "mine" and (folder / "config.json").read_text() == "old"


def test_a_file_that_comes_during_an_export_is_kept(tmp_path):
    folder = a_folder(tmp_path / "out", MODEL)
    with (
        pytest.raises(OSError, match="out"),
        rename_when_complete(folder, overwrite=True),
    ):
        (folder / "notes.txt").write_text("mine")
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_link_keeps_pointing_to_the_folder(tmp_path):
    folder = a_folder(tmp_path / "out", MODEL)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with rename_when_complete(link, overwrite=True) as partial:
        (partial / "config.json").write_text("new")
    assert link.is_symlink() and (folder / "config.json").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]


@pytest.mark.parametrize("names", [(), MODEL], ids=["empty", "model"])
def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch, names):
    folder = a_folder(tmp_path / "out", names)
    monkeypatch.chdir(folder)
    for name in (Path("."), folder, Path("../out")):
        with (
            pytest.raises(HFError, match="is the current folder"),
            rename_when_complete(name, overwrite=True),
        ):
            raise AssertionError("nothing may be written")
    assert {path.name for path in folder.iterdir()} == set(names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_told_as_one(tmp_path, overwrite):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(HFError, match="out: expected a directory; it is a file"):
        check_writable(tmp_path / "out", overwrite=overwrite)
