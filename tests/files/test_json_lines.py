"""Tests rows written, read, cut at any byte or appended by many; errors name file and line."""

import bz2
import gzip
import json
import lzma
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.files import (
    FileError,
    RowError,
    append_row,
    lock_file,
    mend_last_line,
    parse_row,
    read_numbered_lines,
    read_rows,
    write_rows,
)

REPOSITORY = Path(__file__).parents[2]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)


def values(path, **options):
    return [row for _, row in read_rows(path, **options)]


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, ascii_only=st.booleans(), packed=st.booleans())
def test_rows_there_and_back(tmp_path_factory, rows, ascii_only, packed):
    path = tmp_path_factory.mktemp("rows") / ("rows.jsonl.gz" if packed else "rows.jsonl")
    assert write_rows(path, rows, ensure_ascii=ascii_only) == len(rows)
    # Python's own readers are the oracle.
    with gzip.open(path) if packed else path.open("rb") as file:
        lines = file.read().split(b"\n")
    assert lines.pop() == b"" and [json.loads(line) for line in lines] == rows
    assert values(path) == rows
    first = path.read_bytes()
    write_rows(path, rows, ensure_ascii=ascii_only)
    assert path.read_bytes() == first


@pytest.mark.parametrize("opened", [gzip.open, bz2.open, lzma.open])
def test_packed_files_are_read(tmp_path, opened):
    end = {gzip.open: ".gz", bz2.open: ".bz2", lzma.open: ".xz"}[opened]
    path = tmp_path / f"rows.jsonl{end}"
    with opened(path, "wb") as file:
        file.write(b'{"a": 1}\n\n{"a": 2}')
    assert list(read_rows(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:3", {"a": 2})]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RowError, match=f"rows.jsonl{end}: cannot read the file: cannot be unp"):
        values(path)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS.filter(len), place=st.integers(0, 5), bad=st.data())
def test_the_line_at_fault_is_named(tmp_path_factory, rows, place, bad):
    line, told = bad.draw(
        st.sampled_from(
            [
                (b'{"a": ', "not JSON"),
                (b"{} {}", "not JSON"),
                (b'{"a": "\xff"}', "expected UTF-8; byte 7 is not"),
                (b"[1]", "expected a JSON object; got [1]"),
                (b"null", "expected a JSON object; got null"),
                (b"[" * 100_000, "not JSON (nested too deep)"),
                (b'{"a": ' + b"9" * 5000 + b"}", "not JSON (Exceeds the limit"),
                (b"\xef\xbb\xbf{}", "not JSON (Unexpected UTF-8 BOM"),
            ]
        )
    )
    path = tmp_path_factory.mktemp("bad") / "rows.jsonl"
    lines = [json.dumps(row).encode() for row in rows]
    place = min(place, len(lines))
    path.write_bytes(b"\n".join([*lines[:place], line, *lines[place:]]) + b"\n")
    with pytest.raises(RowError) as raised:
        values(path)
    assert str(raised.value).startswith(f"{path}:{place + 1}: {told}")
    assert "\n" not in str(raised.value)


def test_errors_are_of_the_class_that_the_caller_names(tmp_path):
    class MineError(Exception):
        pass

    (tmp_path / "rows").write_text("{")
    for path in (tmp_path / "rows", tmp_path / "none", tmp_path):
        with pytest.raises(MineError, match=str(path)):
            values(path, raises=MineError)
    with pytest.raises(RowError, match="here: not JSON"):
        parse_row(b"{", "here")


@settings(max_examples=75, deadline=None)
@given(rows=ROWS, cut=st.data())
def test_a_file_cut_anywhere_gives_its_whole_rows(tmp_path_factory, rows, cut):
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    write_rows(path, rows)
    content = path.read_bytes()
    left = content[: cut.draw(st.integers(0, len(content)))]
    lines = content.splitlines()
    whole = 0
    while whole < len(lines) and left.startswith(b"\n".join(lines[: whole + 1])):
        whole += 1
    path.write_bytes(left)
    assert values(path, allow_cut_end=True) == rows[:whole]
    with path.open("a+b") as file:
        mend_last_line(file.fileno(), path, b"{")
        assert values(path) == rows[:whole]
        for row in rows[whole:]:
            append_row(file.fileno(), row, path)
    assert path.read_bytes() == content


def test_a_bad_line_before_the_end_is_no_cut(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b'{"a": \n{}')
    with pytest.raises(RowError, match="rows:1: not JSON"):
        values(path, allow_cut_end=True)


def test_what_we_did_not_write_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes"
    for content in (b"notes", b'{"id": 1}\nnotes', b'{"name": "x"'):
        path.write_bytes(content)
        with path.open("a+b") as file, pytest.raises(RowError, match=r"notes:\d: not a row"):
            mend_last_line(file.fileno(), path, b'{"id": ')
        assert path.read_bytes() == content


def test_an_appended_row_tells_its_place_and_closes_a_cut_line(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b'{"cut": ')
    with path.open("a+b") as file:
        first, length = append_row(file.fileno(), {"a": "é"}, path, durable=True)
        second = append_row(file.fileno(), {"b": 2}, path)
    content = path.read_bytes()
    assert content[first : first + length] == b'{"a": "\\u00e9"}\n'
    assert content[second[0] : sum(second)] == b'{"b": 2}\n' and content.startswith(b'{"cut": \n')


def test_a_row_that_does_not_fit_on_the_disk_leaves_none(tmp_path):
    """Simulates a full disk by a limit on file sizes, which cuts the write of a row."""
    path = tmp_path / "rows"
    program = """
import resource, signal, sys
from data_pipeline.files import FileError, append_row
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with open(sys.argv[1], "a+b") as file:
    append_row(file.fileno(), {"n": 1}, sys.argv[1])
    try:
        append_row(file.fileno(), {"n": "x" * 2000}, sys.argv[1])
    except FileError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=REPOSITORY, stdout=-1, text=True, check=True
    )
    assert done.stdout == f"{path}: File too large\n"
    assert path.read_bytes() == b'{"n": 1}\n'
    with open("/dev/full", "r+b", buffering=0) as full, pytest.raises(FileError, match="No space"):
        append_row(full.fileno(), {}, "/dev/full")


def _append(path, worker, count):
    with open(path, "a+b") as file:
        for n in range(count):
            with open(path, "a+b") as lock:
                lock_file(lock, path, wait=True)
                append_row(file.fileno(), {"worker": worker, "n": n, "text": "x" * 3000}, path)


def test_several_writers_lose_no_row(tmp_path):
    path = tmp_path / "rows"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_append, args=(path, w, 50)) for w in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    rows = values(path)
    for number in range(3):
        assert [row["n"] for row in rows if row["worker"] == number] == list(range(50))
    assert len(rows) == 150


def test_a_killed_writer_costs_one_row_at_most(tmp_path):
    path = tmp_path / "rows"
    program = """
import sys
from data_pipeline.files import append_row
with open(sys.argv[1], "a+b") as file:
    for n in range(10**9):
        append_row(file.fileno(), {"n": n, "text": "x" * 100_000}, sys.argv[1])
        print(n, flush=True)
"""
    command = [sys.executable, "-c", program, str(path)]
    for count in (1, 3, 20):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(count):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        told = count + len(process.stdout.readlines())
        process.wait()
        rows = values(path, allow_cut_end=True)
        assert [row["n"] for row in rows] == list(range(len(rows)))
        assert told <= len(rows) <= told + 1


def test_lines_are_counted_with_the_blank_ones(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b'\n{"a": "\xe2\x80\xa8"}\r\n \n{}')
    read = []
    found = list(read_numbered_lines(path, on_read=read.append))
    assert [number for number, _ in found] == [2, 4]
    assert values(path) == [{"a": "\u2028"}, {}]
    assert read == sorted(read) and read[-1] == path.stat().st_size
