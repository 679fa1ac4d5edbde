"""Tests that what this package writes is whole or absent, locally and in object stores.

Contents are read back by plain HTTP, past the clients that wrote them.
"""

import asyncio
import contextlib
import errno
import gzip
import json
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from data_pipeline.errors import UserError
from data_pipeline.files import (
    FileError,
    RowError,
    append_row,
    as_path,
    built_folder,
    check_folder_ours,
    check_replaceable,
    has_fields,
    local_copy,
    make_folder,
    open_appended,
    open_atomically,
    partial_folder,
    read_rows,
    remove_partials,
    replace_folder,
    write_bytes,
    write_json,
    write_rows,
    write_text,
)

REPOSITORY = Path(__file__).parents[2]


class Place:
    """A folder on the disk or in a store, and what really is in it."""

    def __init__(self, folder: str, content, store=None):
        self.folder, self.content, self.store = folder, content, store

    def path(self, *names: str) -> str:
        return "/".join([self.folder, *names])


def _on_disk(folder: Path, *names: str) -> bytes | None:
    path = folder.joinpath(*names)
    return path.read_bytes() if path.is_file() else None


@pytest.fixture(params=["local", "gs", "s3", pytest.param("emulator", marks=pytest.mark.peer)])
def place(request, tmp_path) -> Place:
    if request.param == "local":
        return Place(str(tmp_path), lambda *names: _on_disk(tmp_path, *names))
    if request.param == "emulator":
        store = request.getfixturevalue("gcs_emulator")
    else:
        store = request.getfixturevalue("object_stores")[request.param]
    name = uuid.uuid4().hex
    return Place(store.path(name), lambda *names: store.content(name, *names), store)


@pytest.fixture(params=["gs", "s3"])
def remote(request, object_stores) -> Place:
    store, name = object_stores[request.param], uuid.uuid4().hex
    return Place(store.path(name), lambda *names: store.content(name, *names), store)


@pytest.fixture
def short_pauses(monkeypatch):
    """Clients of stores wait less before they repeat a request."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda delay, *rest: sleep(min(delay, 0.01), *rest))


def test_a_file_is_replaced_whole(place):
    write_text(place.path("a", "b.txt"), "é")
    assert place.content("a", "b.txt") == "é".encode()
    with open_atomically(place.path("a", "b.txt")) as file:
        file.write(b"new")
        file.flush()
        assert place.content("a", "b.txt") == "é".encode()  # until the block ends
    assert place.content("a", "b.txt") == b"new"
    with pytest.raises(ZeroDivisionError), open_atomically(place.path("a", "b.txt")) as file:
        file.write(b"half")
        1 / 0  # noqa: B018
    assert place.content("a", "b.txt") == b"new"
    assert [path.name for path in as_path(place.path("a")).iterdir()] == ["b.txt"]
    write_json(place.path("c.json"), {"x": [1, None]})
    assert json.loads(place.content("c.json")) == {"x": [1, None]}


def test_paths_answer_as_on_a_disk(place):
    folder = as_path(place.path("deep", "er"))
    assert not folder.exists() and not folder.is_dir() and not folder.is_file()
    make_folder(folder)
    write_bytes(folder / "x.bin", bytes(range(256)) * 5000)
    assert folder.is_dir() and folder.exists() and not folder.is_file()
    file = folder / "x.bin"
    assert file.is_file() and not file.is_dir() and file.stat().st_size == 1_280_000
    assert file.read_bytes() == bytes(range(256)) * 5000
    with file.open("rb") as opened:
        opened.seek(1_000_001)
        assert opened.read(3) == bytes([65, 66, 67])  # 1,000,001 % 256 == 65
    write_text(folder / "y.txt", "ä\nb\n")
    with (folder / "y.txt").open(encoding="utf-8") as opened:
        assert list(opened) == ["ä\n", "b\n"]
    assert sorted(path.name for path in folder.glob("*.txt")) == ["y.txt"]
    assert sorted(path.name for path in as_path(place.path("deep")).iterdir()) == ["er"]
    (folder / "y.txt").unlink()
    (folder / "y.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (folder / "y.txt").read_text()


def test_rows_come_back(place):
    rows = [{"n": n, "text": "ü" * n} for n in range(50)]
    assert write_rows(place.path("rows.jsonl"), rows, ensure_ascii=False) == 50
    assert [json.loads(line) for line in place.content("rows.jsonl").splitlines()] == rows
    write_rows(place.path("rows.jsonl.gz"), rows)
    unpacked = gzip.decompress(place.content("rows.jsonl.gz"))
    assert [json.loads(line) for line in unpacked.splitlines()] == rows
    for name in ("rows.jsonl", "rows.jsonl.gz"):
        read = list(read_rows(place.path(name)))
        assert read == [(f"{place.path(name)}:{n + 1}", row) for n, row in enumerate(rows)]
    with pytest.raises(RowError, match=r"none\.jsonl: cannot read the file: No such file"):
        list(read_rows(place.path("none.jsonl")))


def test_rows_are_appended_and_saved(place):
    path = place.path("log.jsonl")
    for session in range(3):
        with open_appended(path) as file:
            append_row(file.fileno(), {"session": session}, path)
            append_row(file.fileno(), {"more": session}, path)
            file.save()
            assert place.content("log.jsonl").count(b"\n") == 2 * session + 2
    expected = [row for n in range(3) for row in ({"session": n}, {"more": n})]
    assert [row for _, row in read_rows(path)] == expected


def test_rows_of_another_writer_are_not_overwritten(remote):
    path = remote.path("log.jsonl")
    file = open_appended(path)
    append_row(file.fileno(), {"mine": 1}, path)
    file.save()
    write_rows(path, [{"theirs": 1}])
    append_row(file.fileno(), {"mine": 2}, path)
    with pytest.raises(FileError, match="another program has written it") as raised:
        file.close()
    assert raised.value.filename == path
    assert [row for _, row in read_rows(path)] == [{"theirs": 1}]


APPENDER = """
import os, sys, time
from data_pipeline.files import append_row, appended, open_appended
appended.INTERVAL = 0.05
file = open_appended(sys.argv[1])
for n in range(10**9):
    append_row(file.fileno(), {"n": n}, sys.argv[1])
    time.sleep(0.002)
"""


def test_a_killed_process_loses_the_last_rows_only(object_store, tmp_path):
    path = object_store.path(tmp_path.name, "log.jsonl")
    write_rows(path, [{"n": -1}])
    process = subprocess.Popen([sys.executable, "-c", APPENDER, path], cwd=REPOSITORY)
    content = b""
    while content.count(b"\n") < 20 and process.poll() is None:
        content = object_store.content(tmp_path.name, "log.jsonl")
        time.sleep(0.02)
    process.kill()
    process.wait()
    rows = [row["n"] for _, row in read_rows(path)]
    assert len(rows) >= 20 and rows == list(range(-1, len(rows) - 1))


def test_a_folder_is_replaced_with_its_marker_last(place):
    for content in ("one", "two"):
        new = partial_folder(place.path("out"))
        new.mkdir(parents=True)
        (new / "sub").mkdir()
        (new / "a.txt").write_text(content)
        (new / "sub" / f"{content}.txt").write_text(content)
        (new / "manifest.json").write_text(content)
        replace_folder(
            new,
            place.path("out"),
            is_ours=lambda folder: (folder / "manifest.json").is_file(),
            marker="manifest.json",
        )
        assert not new.exists()
    assert place.content("out", "a.txt") == place.content("out", "manifest.json") == b"two"
    assert place.content("out", "sub", "two.txt") == b"two"
    assert place.content("out", "sub", "one.txt") is None
    write_text(place.path("foreign", "x"), "x")
    new.mkdir(parents=True)
    with pytest.raises(FileError, match="did not write"):
        replace_folder(new, place.path("foreign"), is_ours=lambda folder: False)
    assert place.content("foreign", "x") == b"x"
    shutil.rmtree(new)


@pytest.mark.parametrize("uploads", range(5))
def test_a_folder_whose_upload_fails_is_not_taken_for_complete(remote, short_pauses, uploads):
    """Whatever upload fails: with its marker, a folder has all files of one version."""
    names = ("a", "manifest.json", "z")
    for name in names:
        write_text(remote.path("out", name), "old")
    new = partial_folder(remote.path("out"))
    new.mkdir(parents=True)
    for name in names:
        (new / name).write_text("new")
    method = {"gs": "POST", "s3": "PUT"}[remote.store.scheme]
    with (
        remote.store.failing(403, method=method, skip=uploads),
        contextlib.suppress(FileError),
    ):
        replace_folder(new, remote.path("out"), marker="manifest.json")
    found = {remote.content("out", name) for name in names}
    assert remote.content("out", "manifest.json") is None or len(found) == 1
    if new.exists():
        replace_folder(new, remote.path("out"), marker="manifest.json")
    assert {remote.content("out", name) for name in names} == {b"new"}


def test_files_are_built_for_a_folder(place):
    write_text(place.path("into", "a"), "a")
    with built_folder(place.path("into"), last="b") as local:
        (local / "sub").mkdir()
        (local / "sub" / "c").write_text("c")
        (local / "b").write_text("b")
    assert [place.content("into", *name) for name in (["a"], ["b"], ["sub", "c"])] == [
        b"a",
        b"b",
        b"c",
    ]


def test_what_others_wrote_is_not_replaced(place):
    write_rows(place.path("ours.jsonl"), [{"id": 1, "code": "x"}])
    write_text(place.path("theirs.txt"), "their notes\n")
    write_text(place.path("empty"), "")
    ours = has_fields("id", "code")
    for name in ("ours.jsonl", "empty", "none"):
        check_replaceable("--output", place.path(name), ours)
    with pytest.raises(UserError, match=r"--output=.*theirs\.txt: this command did not write"):
        check_replaceable("--output", place.path("theirs.txt"), ours)
    with pytest.raises(UserError, match="expected a file; it is a folder"):
        check_replaceable("--output", place.folder, ours)
    check_folder_ours("--output", place.folder, "ours.jsonl", ["theirs.txt"])
    with pytest.raises(FileError, match="did not write"):
        check_folder_ours("--output", place.folder, "mark", ["theirs.txt"])
    remove_partials(place.folder)


def test_a_store_that_fails_for_a_while_costs_time_only(remote, short_pauses):
    with remote.store.failing(503, times=3):
        write_text(remote.path("a"), "written")
    assert remote.content("a") == b"written"
    with remote.store.failing(503, times=3) as fault:
        assert as_path(remote.path("a")).read_text() == "written"
    with (
        remote.store.failing(500, times=2, method="GET"),
        as_path(remote.path("a")).open("rb") as file,
    ):
        assert file.read() == b"written"
    assert fault.times < 0


@pytest.mark.parametrize(
    ("status", "told"),
    [(403, "access denied by the store"), (412, "the store failed"), (400, "the store failed")],
)
def test_a_store_that_refuses_is_one_line(remote, capfd, status, told):
    write_text(remote.path("a"), "old")
    method = "POST" if remote.store.scheme == "gs" else "PUT"
    with remote.store.failing(status, method=method), pytest.raises(FileError) as raised:
        write_text(remote.path("a"), "new")
    assert str(raised.value).startswith(f"{remote.path('a')}: {told}")
    assert "\n" not in str(raised.value) and raised.value.filename == remote.path("a")
    assert remote.content("a") == b"old"
    with remote.store.failing(403, method="GET"), pytest.raises(FileError, match="denied"):
        as_path(remote.path("a")).read_bytes()
    with remote.store.failing(403, method="GET"), pytest.raises(RowError, match=r"/a: cannot read"):
        list(read_rows(remote.path("a")))
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err


def test_a_bucket_that_does_not_exist_is_named(remote):
    path = f"{remote.store.scheme}://no-such-bucket/a"
    for write in (write_text, lambda path, text: open_appended_once(path)):
        with pytest.raises(FileError, match="no-such-bucket/a: the bucket does not exist") as error:
            write(path, "x")
        assert error.value.errno == errno.ENOENT


def open_appended_once(path: str) -> None:
    with open_appended(path) as file:
        append_row(file.fileno(), {}, path)


def test_a_lost_answer_to_a_write_is_no_conflict(remote, short_pauses):
    """The store wrote, but its answer was lost: the repeated write finds its own content."""
    from data_pipeline.files.objects import ChangedError, read_object, write_object

    path = as_path(remote.path("a"))
    method = "POST" if remote.store.scheme == "gs" else "PUT"
    with remote.store.failing(503, times=1, method=method, after=True):
        version = write_object(path, b"one", replaces=None)
    assert read_object(path).version == version
    with pytest.raises(ChangedError):
        write_object(path, b"other", replaces=None)
    with remote.store.failing(503, times=1, method=method, after=True):
        version = write_object(path, b"two", replaces=version)
    assert read_object(path).content == b"two"
    with pytest.raises(ChangedError):
        write_object(path, b"three", replaces="1")
    assert remote.content("a") == b"two" and write_object(path, b"three", replaces=version)


def test_a_local_copy_follows_the_object(place, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMCODER_CACHE", str(tmp_path / "cache"))
    for content in ("one", "two"):
        write_text(place.path("folder", "sub", "a.txt"), content)
        folder = local_copy(place.path("folder"))
        assert isinstance(folder, Path) and folder.name == "folder"
        assert (folder / "sub" / "a.txt").read_text() == content
        assert local_copy(place.path("folder", "sub", "a.txt")).read_text() == content
    with pytest.raises(FileNotFoundError):
        local_copy(place.path("none")).read_bytes()
