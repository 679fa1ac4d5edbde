"""Tests how programs and texts that a user names are read: as Python reads them, or one line."""

import os
import subprocess
import sys

import pytest

from data_pipeline.errors import UserError
from data_pipeline.files import FileError, RowError, read_program, read_rows, read_text
from data_pipeline.files.ownership import check_output

PROGRAMS = {
    "plain": "print(ascii('é'))\n".encode(),
    "byte order mark": b"\xef\xbb\xbf" + "print(ascii('é'))\n".encode(),
    "declared": "# -*- coding: latin-1 -*-\nprint(ascii('é'))\n".encode("latin-1"),
    "declared in the second line": "#!python\n# vim: set fileencoding=cp1252 :\n"
    "print(ascii('€'))\n".encode("cp1252"),
    "lines of Windows": b"print(1,\r\n      '\\n')\r\n",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_is_read_as_python_reads_it(tmp_path, kind):
    path = tmp_path / "program.py"
    path.write_bytes(PROGRAMS[kind])
    real = subprocess.run([sys.executable, path], capture_output=True, check=True).stdout
    own = [sys.executable, "-c", read_program(path)]
    assert subprocess.run(own, capture_output=True, check=True).stdout == real


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x = '\xe9'\n", "not UTF-8 text; another encoding is declared in the first line"),
        (b"x = 1\n\n\ny = '\xe9'\n", "not UTF-8 text; another encoding"),
        (b"# coding: none\nx = 1\n", "it declares an unknown encoding: none"),
        (b"# coding: rot13\nx = 1\n", "not rot13 text"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "it declares an encoding that is not UTF-8"),
    ],
)
def test_a_program_that_python_does_not_read_is_one_line(tmp_path, content, told):
    path = tmp_path / "program.py"
    path.write_bytes(content)
    assert subprocess.run([sys.executable, path], capture_output=True).returncode != 0
    with pytest.raises(UserError, match=told) as error:
        read_program(path, "--program")
    assert str(error.value).startswith(f"--program={path}: ") and "\n" not in str(error.value)


ENDLESS = "expected at most 16 MiB of text; it has more"


def test_what_is_no_file_of_text_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, told in (
        ("/dev/zero", ENDLESS),
        ("/dev/urandom", ENDLESS),
        (tmp_path / "pipe", "expected a file; it is a named pipe"),  # it would wait for ever
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
    ):
        for read in (read_text, read_program):
            with pytest.raises(UserError, match=told):
                read(path)


def test_rows_that_are_no_text_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_bytes(b'{"id": "' + b"a" * (65 << 20))
    (tmp_path / "cut").write_bytes(b'{"id": 1}\n{"id":\n')
    for path, told in (
        ("/dev/zero", "/dev/zero:1: expected text; it holds bytes of zero"),
        ("/dev/urandom", "/dev/urandom:1: "),
        (tmp_path / "pipe", "pipe: expected a file; it is a named pipe"),
        (tmp_path / "long", "long:1: expected lines of at most 64 MiB; this one is longer"),
        (tmp_path / "cut", r"cut:2: not JSON \(Expecting value at column 7\); expected one JSON"),
    ):
        with pytest.raises(RowError, match=told) as error:
            list(read_rows(path))
        assert "\n" not in str(error.value)


def test_a_pipe_that_a_shell_opens_is_read():
    script = "from data_pipeline.files import read_rows; print(len(list(read_rows('/dev/stdin'))))"
    done = subprocess.run(
        [sys.executable, "-c", script], input=b"{}\n{}\n", capture_output=True, check=True
    )
    assert done.stdout == b"2\n"


def test_a_file_is_written_into_a_folder_that_exists(tmp_path):
    (tmp_path / "file").write_text("")
    check_output("--output", None, bool)
    check_output("--output", tmp_path / "new", bool)
    with pytest.raises(UserError, match=f"--output={tmp_path}/none/x: there is no folder"):
        check_output("--output", tmp_path / "none" / "x", bool)
    with pytest.raises(FileError, match="Not a directory"):
        check_output("--output", tmp_path / "file" / "x", bool)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
