"""Tests that a kill at any moment leaves old or new content, and that disk errors name the file."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.errors import UserError
from data_pipeline.files import (
    FileError,
    check_separate,
    open_atomically,
    partial_folder,
    remove_partials,
    replace_folder,
    write_bytes,
    write_json,
    write_text,
)

REPOSITORY = Path(__file__).parents[2]

# Kills itself at the N-th call into the operating system that the write makes.
KILLED_AT_STEP = """
import os, signal, sys
from data_pipeline.files import write_bytes, open_atomically
step, path, durable, new = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "durable", sys.argv[4]
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.truncate"}
seen = 0
def count():
    global seen
    seen += 1
    if seen == step:
        os.kill(os.getpid(), signal.SIGKILL)
def watch(event, arguments):
    if event in EVENTS:
        count()
fsync = os.fsync
def watched_fsync(descriptor):
    count()
    fsync(descriptor)
    count()
os.fsync = watched_fsync
sys.addaudithook(watch)
with open_atomically(path, durable=durable) as file:
    for byte in new.encode():
        file.write(bytes([byte]))
        file.flush()
        count()
count()
"""


@pytest.mark.parametrize(
    ("durable", "old"),
    [
        ("durable", "the old content"),
        pytest.param("quick", "the old content", marks=pytest.mark.slow),
        pytest.param("durable", None, marks=pytest.mark.slow),
        pytest.param("quick", None, marks=pytest.mark.slow),
    ],
)
def test_a_kill_at_any_step_leaves_old_or_new(tmp_path, durable, old):
    path = tmp_path / "file.txt"
    found = set()
    for step in range(1, 30):
        path.unlink(missing_ok=True)
        if old is not None:
            path.write_text(old)
        command = [sys.executable, "-c", KILLED_AT_STEP, str(step), str(path), durable, "new"]
        done = subprocess.run(command, cwd=REPOSITORY, timeout=60)
        content = path.read_text() if path.exists() else None
        found.add(content)
        assert content in (old, "new")
        others = [other.name for other in tmp_path.iterdir() if other != path]
        assert all(name.endswith(".semcoder-partial") for name in others)
        remove_partials(tmp_path, "file.txt")
        assert [other for other in tmp_path.iterdir() if other != path] == []
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert done.returncode == 0 and step > 4
    assert found == {old, "new"}


def test_a_kill_at_any_moment_leaves_one_whole_version(tmp_path):
    path = tmp_path / "numbers.json"
    program = (
        "import sys; from data_pipeline.files import write_json\n"
        "for n in range(10**9): write_json(sys.argv[1], [n] * 20_000)"
    )
    for pause in (0.0, 0.003, 0.011, 0.02):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=REPOSITORY)
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not path.exists() or path.stat().st_mtime_ns == before:
            time.sleep(0.001)
        time.sleep(pause)
        process.kill()
        process.wait()
        rows = json.loads(path.read_text())
        assert len(rows) == 20_000 and len(set(rows)) == 1


@settings(max_examples=60, deadline=None)
@given(contents=st.lists(st.binary(max_size=2000), min_size=1, max_size=4), broken=st.binary())
def test_the_last_whole_write_stays(tmp_path_factory, contents, broken):
    folder = tmp_path_factory.mktemp("atomic")
    path = folder / "new" / "file"
    for content in contents:
        write_bytes(path, content)
        with pytest.raises(KeyboardInterrupt), open_atomically(path) as file:
            file.write(broken)
            raise KeyboardInterrupt
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


@settings(max_examples=60, deadline=None)
@given(
    name=st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1
    ).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)
)
def test_every_file_name_can_be_written(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    write_text(folder / name, "text")
    assert [path.read_text() for path in folder.iterdir()] == ["text"]


def test_a_name_as_long_as_the_system_allows(tmp_path):
    write_text(tmp_path / ("é" * 127), "text")
    assert (tmp_path / ("é" * 127)).read_text() == "text"


def test_two_writers_leave_one_whole_version(tmp_path):
    path = tmp_path / "shared"
    program = (
        "import sys; from data_pipeline.files import write_bytes\n"
        "for _ in range(150): write_bytes(sys.argv[1], sys.argv[2].encode() * 100_000)"
    )
    write_bytes(path, b"a" * 100_000)
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), letter], cwd=REPOSITORY)
        for letter in "ab"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        content = path.read_bytes()
        assert len(content) == 100_000 and len(set(content)) == 1
        seen.add(content[:1])
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen == {b"a", b"b"} and os.listdir(tmp_path) == ["shared"]


def test_json_survives_half_a_surrogate_pair(tmp_path):
    for ensure_ascii in (True, False):
        write_json(tmp_path / "x.json", {"é": "\ud83d"}, ensure_ascii=ensure_ascii)
        assert json.loads((tmp_path / "x.json").read_bytes()) == {"é": "\ud83d"}


# ---- errors


def test_a_full_disk_is_one_line_with_the_bytes_needed():
    with pytest.raises(FileError) as raised:
        write_bytes("/dev/full", b"12345")
    assert str(raised.value) == "/dev/full: No space left on device (needed 5 bytes)"
    assert isinstance(raised.value, UserError) and raised.value.errno == errno.ENOSPC
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("step", ["write", "flush", "close", "fsync"])
def test_a_disk_that_fills_up_leaves_the_old_content(tmp_path, step, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(FileError, match=r"file: No space left on device") as raised:
        if step == "fsync":
            monkeypatch.setattr(os, "fsync", full)
            write_text(path, "new", durable=True)
        else:
            _write_to_full_disk(path, step)
    assert raised.value.filename == str(path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def _write_to_full_disk(path, step):
    """Replaces the descriptor by that of /dev/full, so that every write finds no space."""
    with open_atomically(path) as file:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        os.close(full)
        file.write(b"x" * (10_000_000 if step == "write" else 10))
        if step == "flush":
            file.flush()


def test_an_error_of_the_block_is_none_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, open_atomically(tmp_path / "file"):
        (tmp_path / "source").read_bytes()
    assert not isinstance(raised.value, FileError)
    assert os.listdir(tmp_path) == []


def test_folders_and_devices_are_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="folder: Is a directory"):
        write_text(tmp_path / "folder", "text")
    with pytest.raises(FileError, match="file: expected a folder"):
        write_text(tmp_path / "file" / "x", "text")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "file").read_text() == "mine"


def test_one_file_for_two_flags_is_refused(tmp_path):
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("a")
    check_separate({"--in": tmp_path / "a", "--out": tmp_path / "b", "--report": None})
    check_separate({"--out": "/dev/null", "--report": "/dev/null"})
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    for other in (
        tmp_path / "a", tmp_path / "x" / ".." / "a", tmp_path / "link", tmp_path / "hard"
    ):  # fmt: skip
        with pytest.raises(UserError, match="--in and --out: expected two files"):
            check_separate({"--in": tmp_path / "a", "--out": other})
    with pytest.raises(UserError, match="--out and --report"):
        check_separate({"--out": tmp_path / "new", "--report": tmp_path / "new"})


# ---- folders


def a_folder(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text(content)
    return path


def test_a_folder_takes_the_place_of_ours_only(tmp_path):
    target = tmp_path / "model"
    for content in ("one", "two"):
        replace_folder(a_folder(partial_folder(target), content), target)
        assert (target / "file").read_text() == content
        assert os.listdir(tmp_path) == ["model"]
    new = a_folder(partial_folder(target), "three")
    with pytest.raises(FileError, match="model: this program did not write"):
        replace_folder(new, target, is_ours=lambda folder: (folder / "config").exists())
    assert (target / "file").read_text() == "two" and new.exists()


def test_the_folder_behind_a_link_is_replaced(tmp_path):
    target = a_folder(tmp_path / "elsewhere" / "model", "one")
    link = tmp_path / "link"
    link.symlink_to(target)
    replace_folder(a_folder(partial_folder(link), "two"), link)
    assert link.is_symlink() and (target / "file").read_text() == "two"
    assert os.listdir(tmp_path / "elsewhere") == ["model"]
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "link"]


def test_only_our_leftovers_are_removed(tmp_path):
    ours = [".a.1.ff.semcoder-partial", ".b.1.ff.semcoder-partial"]
    others = ["a", ".a.partial", "a.semcoder-partial", ".a.1.ff.semcoder-partial.txt"]
    for name in (*ours, *others):
        (tmp_path / name).write_text("")
    a_folder(tmp_path / ".c.semcoder-partial", "")
    remove_partials(tmp_path, "a")
    assert set(os.listdir(tmp_path)) == {ours[1], ".c.semcoder-partial", *others}
    remove_partials(tmp_path)
    assert set(os.listdir(tmp_path)) == {".c.semcoder-partial", *others}
