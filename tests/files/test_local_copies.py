"""Tests local copies of objects, finished and unfinished folders, and files for one writer.

What is in a store is written and read here by the stand-ins' own HTTP, past our writers.
"""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from data_pipeline.files import (
    FileError,
    LockError,
    append_row,
    as_path,
    built_folder,
    file_versions,
    is_unfinished,
    local_copies,
    local_copy,
    mark_finished,
    mark_unfinished,
    open_exclusively,
    place_of_copy,
    replace_folder,
)

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["gs", "s3"])
def store(request, object_stores):
    return object_stores[request.param]


@pytest.fixture
def folder(store, tmp_path):
    """A folder in a store: a.txt, sub/b.txt, sub/c.bin."""
    path = as_path(store.path(tmp_path.name))
    for name, content in {"a.txt": b"a", "sub/b.txt": b"bb", "sub/c.bin": bytes(9)}.items():
        (path / name).write_bytes(content)
    return path


def names(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def downloads(store) -> list[str]:
    """Requests for the content of objects, in either store's form."""
    mark = "alt=media" if store.scheme == "gs" else "/bucket/"
    return [
        line
        for line in store.requests
        if line.startswith("GET ") and mark in line and "list-type" not in line
    ]


def test_what_is_wanted_is_copied_once(folder, store):
    begin = len(downloads(store))
    copy = local_copy(folder, wanted=lambda name: name.endswith(".txt"))
    assert names(copy) == {"a.txt", "sub/b.txt"} and copy == place_of_copy(folder)
    assert (copy / "sub" / "b.txt").read_bytes() == b"bb"
    assert len(downloads(store)) - begin == 2
    local_copy(folder, wanted=lambda name: name.endswith(".txt"))
    assert local_copy(folder / "a.txt") == copy / "a.txt"
    assert len(downloads(store)) - begin == 2
    assert names(local_copy(folder)) == {"a.txt", "sub/b.txt", "sub/c.bin"}
    assert len(downloads(store)) - begin == 3


def test_changes_in_the_store_are_followed(folder):
    local_copy(folder)
    (folder / "a.txt").write_bytes(b"A")  # as long as before
    (folder / "sub" / "b.txt").unlink()
    copy = local_copy(folder)
    assert (copy / "a.txt").read_bytes() == b"A"
    assert names(copy) == {"a.txt", "sub/c.bin"}


def test_a_copy_that_was_damaged_or_deleted_is_made_again(folder):
    copy = local_copy(folder)
    (copy / "a.txt").write_bytes(b"longer")
    (copy / "sub" / "b.txt").unlink()
    local_copy(folder)
    assert (copy / "a.txt").read_bytes() == b"a" and (copy / "sub" / "b.txt").read_bytes() == b"bb"


def test_a_local_path_is_its_own_copy(tmp_path):
    assert local_copy(tmp_path / "none") == tmp_path / "none" == place_of_copy(tmp_path / "none")


def test_what_is_not_there_is_no_copy(folder):
    with pytest.raises(FileNotFoundError):
        local_copy(folder / "none")


def test_a_full_disk_is_told_before_anything_is_copied(folder, store, cache, monkeypatch):
    real = local_copies.shutil.disk_usage
    monkeypatch.setattr(
        local_copies.shutil, "disk_usage", lambda path: real(path)._replace(free=11)
    )
    begin = len(downloads(store))
    with pytest.raises(FileError, match=r"needs 12 bytes in .*has 11 bytes free; SEMCODER_CACHE"):
        local_copy(folder)
    assert len(downloads(store)) == begin


@pytest.mark.parametrize("store", ["gs"], indirect=True)  # the locks are local
@pytest.mark.parametrize("processes", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_many_copies_at_once_are_whole(folder, store, processes):
    """Threads and processes of this machine share one download of each object."""
    begin = len(downloads(store))
    program = f"from data_pipeline.files import local_copy; local_copy({str(folder)!r})"
    command = [sys.executable, "-c", program]
    others = [subprocess.Popen(command, cwd=REPOSITORY) for _ in range(processes)]
    threads = [threading.Thread(target=local_copy, args=(folder,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0] * processes
    assert names(place_of_copy(folder)) == {"a.txt", "sub/b.txt", "sub/c.bin"}
    assert len(downloads(store)) - begin == 3


def test_a_download_that_fails_leaves_no_file(folder, store):
    with store.failing(403, method="GET", part="b.txt"), pytest.raises(FileError):
        local_copy(folder)
    assert "sub/b.txt" not in names(place_of_copy(folder))
    assert names(local_copy(folder)) == {"a.txt", "sub/b.txt", "sub/c.bin"}


def test_versions_change_with_the_files(folder, tmp_path):
    before = file_versions(folder)
    assert set(before) == {"a.txt"} and before["a.txt"][0] == 1
    (folder / "a.txt").write_bytes(b"A")
    assert file_versions(folder) != before
    (tmp_path / "a.txt").write_bytes(b"a")
    assert file_versions(tmp_path)["a.txt"] == (1, (tmp_path / "a.txt").stat().st_mtime_ns)


def test_an_unfinished_folder_is_replaced(folder, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mark.json").write_text("{}")

    def replace() -> None:
        ours = lambda found: (found / "mark.json").is_file()  # noqa: E731
        replace_folder(tmp_path / "new", folder, is_ours=ours, marker="mark.json")

    with pytest.raises(FileError, match="did not write the existing folder"):
        replace()
    mark_unfinished(folder)
    assert is_unfinished(folder)
    replace()
    assert sorted(path.name for path in folder.iterdir()) == ["mark.json"]
    mark_finished(folder)
    assert not is_unfinished(folder)


def test_a_built_folder_appears_when_it_is_whole(folder, store, tmp_path):
    with pytest.raises(RuntimeError), built_folder(folder / "new") as here:
        (here / "a").write_text("a")
        raise RuntimeError
    assert not (folder / "new").exists()
    begin = len(store.requests)
    with built_folder(folder / "new", last="b") as here:
        for name in "abc":
            (here / name).write_text(name)
    written = [line[-300:] for line in store.requests[begin:] if line.startswith(("POST", "PUT"))]
    assert len(written) == 3 and (folder / "new" / "b").read_bytes() == b"b"
    if store.scheme == "s3":  # whose requests name the object
        assert "/new/b" in written[-1]
    with built_folder(tmp_path / "local") as here:
        assert here == tmp_path / "local" and here.is_dir()


def test_one_process_has_the_rows(folder, tmp_path):
    for path in (folder / "rows.jsonl", tmp_path / "rows.jsonl"):
        with open_exclusively(path) as file:
            append_row(file.fileno(), {"n": 1}, path)
            with file.reader() as reader:
                assert reader.read() == b'{"n": 1}\n'
            with pytest.raises(LockError), open_exclusively(path):
                pass
        with open_exclusively(path) as file:
            append_row(file.fileno(), {"n": 2}, path)
        assert path.read_bytes() == b'{"n": 1}\n{"n": 2}\n'
