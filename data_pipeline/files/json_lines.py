"""Reads, writes and appends JSON lines; every error names the file and line.

Compresses and decompresses files named .gz, .bz2 or .xz.
"""

import bz2
import contextlib
import gzip
import itertools
import json
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from data_pipeline.errors import UserError
from data_pipeline.files.atomic import open_atomically
from data_pipeline.files.file_error import FileError
from data_pipeline.files.paths import AnyPath, as_path
from data_pipeline.files.text_files import NamedPipeError, refuse_named_pipe

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


_CHUNK = 1 << 16
_BEGIN = 1 << 20  # bytes of a long line that are looked at before the rest is read
_NO_TEXT = "expected text; it holds bytes of zero"
LONGEST_LINE = 64 << 20
"""Maximum bytes of a row. A program, its call and a text about it take a few."""


class RowError(UserError):
    """A file of rows, or a row in it, cannot be read: "FILE:LINE: " and the expected content."""


Pairs = list[tuple[str, Any]]


def read_rows(
    path: str | os.PathLike,
    *,
    raises: type[Exception] = RowError,
    allow_cut_end: bool = False,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields ("FILE:LINE", object) for every line that is not blank.

    Raises `raises` with a message of one line if the file cannot be read, or a line is not UTF-8,
    not JSON or not an object.
    allow_cut_end: skips a last line that a kill cut short.
    """
    for number, line in read_numbered_lines(path, raises=raises):
        where = f"{os.fspath(path)}:{number}"
        try:
            row = parse_row(line, where, raises=raises)
        except raises:
            if allow_cut_end and not line.endswith(b"\n"):
                return
            raise
        yield where, row


class _NoLineError(UserError):
    """What is read is no line of text."""


def read_numbered_lines(
    path: str | os.PathLike,
    *,
    raises: type[Exception] = RowError,
    on_read: Callable[[int], None] | None = None,
    longest: int = LONGEST_LINE,
) -> Iterator[tuple[int, bytes]]:
    """Yields (line number, line) for every line that is not blank. Raises `raises`.

    on_read: called at each line with the number of bytes read from the file on disk.
    longest: bytes of a line; a device, or a file that is no text, may hold a line without end.
    """
    with _open_decompressed(as_path(path), raises) as (file, lines):
        for number in itertools.count(1):
            try:
                line = _read_line(lines, longest)
            except _NoLineError as error:
                raise raises(f"{os.fspath(path)}:{number}: {error}") from None
            if not line:
                return
            if on_read is not None:
                on_read(file.tell())
            if line.strip():
                yield number, line


def _read_line(lines: BinaryIO, longest: int) -> bytes:
    line = lines.readline(_BEGIN)
    if len(line) < _BEGIN or line.endswith(b"\n"):
        return line
    if b"\0" in line:
        raise _NoLineError(_NO_TEXT)
    line += lines.readline(longest - _BEGIN)
    if len(line) >= longest and not line.endswith(b"\n"):
        raise _NoLineError(f"expected lines of at most {longest >> 20} MiB; this one is longer")
    return line


def read_decompressed(path: str | os.PathLike, *, raises: type[Exception] = RowError) -> bytes:
    """Returns a file's content, decompressed according to its suffix. Raises `raises`."""
    with _open_decompressed(as_path(path), raises) as (_, content):
        begin = content.read(_BEGIN)
        if b"\0" in begin:
            raise raises(f"{os.fspath(path)}: {_NO_TEXT}")
        return begin + content.read()


@contextlib.contextmanager
def _open_decompressed(
    path: AnyPath, raises: type[Exception]
) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yields the open file on disk and its decompressed content. Raises `raises`."""
    try:
        refuse_named_pipe(path)
        with path.open("rb") as file:
            opener = _OPENERS.get(path.suffix)
            yield file, opener(file) if opener else file
    except NamedPipeError as error:
        raise raises(f"{path}: {error}") from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or f"cannot be unpacked ({error})"
        raise raises(f"{path}: cannot read the file: {reason}") from None


def parse_json(
    line: bytes,
    where: str,
    *,
    raises: type[Exception] = RowError,
    expected: str = "one JSON object",
    object_of_pairs: Callable[[Pairs], Any] | None = None,
) -> Any:
    """Parses the JSON value of a line. Raises `raises` with a message that begins with `where`.

    object_of_pairs: the object_pairs_hook of json.loads; may raise `raises` without `where`.
    """
    try:
        return json.loads(line.decode().rstrip(), object_pairs_hook=object_of_pairs)
    except raises as error:
        reason = str(error)
    except UnicodeDecodeError as error:
        reason = f"expected UTF-8; byte {error.start} is not"
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} " if error.lineno > 1 else ""
        reason = f"not JSON ({error.msg} at {place}column {error.colno}); expected {expected}"
    except (RecursionError, ValueError) as error:  # ValueError: a number of thousands of digits
        cause = "nested too deep" if isinstance(error, RecursionError) else str(error)
        reason = f"not JSON ({cause}); expected {expected}"
    raise raises(f"{where}: {reason}")


def parse_row(line: bytes, where: str, *, raises: type[Exception] = RowError) -> dict[str, Any]:
    """The JSON object of a line; `where` opens every message. Raises `raises`."""
    row = parse_json(line, where, raises=raises)
    if not isinstance(row, dict):
        shown = json.dumps(row)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise raises(f"{where}: expected a JSON object; got {shown}")
    return row


def check_id(
    row: Mapping[str, Any], where: str, *, raises: type[Exception] = RowError
) -> str | int:
    """Returns the "id" of a row, a text or a whole number as it stands. Raises `raises`."""
    found = row.get("id")
    if isinstance(found, str | int) and not isinstance(found, bool):
        return found
    if "id" not in row:
        raise raises(f"{where}: field 'id' is missing")
    raise raises(f"{where}: field 'id': expected text or a whole number")


def check_text(
    row: Mapping[str, Any], field: str, where: str, *, raises: type[Exception] = RowError
) -> str:
    """Returns a field of a row that holds text. Raises `raises`."""
    found = row.get(field)
    if isinstance(found, str):
        return found
    if field not in row:
        raise raises(f"{where}: field {field!r} is missing")
    raise raises(f"{where}: field {field!r}: expected text")


def encode_row(row: Mapping[str, Any], *, ensure_ascii: bool = True) -> bytes:
    """The line of a row, newline included. Half of a surrogate pair becomes JSON's own escape."""
    text = json.dumps(row, ensure_ascii=ensure_ascii)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def write_rows(
    path: str | os.PathLike,
    rows: Iterable[Mapping[str, Any]],
    *,
    ensure_ascii: bool = True,
    durable: bool = False,
) -> int:
    """Writes rows whole or not at all, with .gz compressed; returns their number.

    The same rows give the same bytes. See `open_atomically`.
    """
    count = 0
    with open_atomically(path, durable=durable) as file, contextlib.ExitStack() as stack:
        sink = file
        if Path(path).suffix == ".gz":
            # Without time stamp and name, so that the bytes depend on the rows alone.
            sink = stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
        for row in rows:
            sink.write(encode_row(row, ensure_ascii=ensure_ascii))
            count += 1
    return count


def append_row(
    descriptor: int,
    row: Mapping[str, Any],
    path: str | os.PathLike,
    *,
    ensure_ascii: bool = True,
    durable: bool = False,
) -> tuple[int, int]:
    """Appends a row to a file opened for reading and appending; returns (first byte, length).

    Writes the whole row or nothing, unless the process is killed. Ends a last line that was cut
    short earlier with a newline; it stays invalid. The caller holds the lock if several processes
    append. Raises FileError about `path`.
    durable: returns only once the row is on the disk.
    """
    end = os.fstat(descriptor).st_size
    is_open = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
    line = encode_row(row, ensure_ascii=ensure_ascii)
    try:
        _write_all(descriptor, b"\n" + line if is_open else line)
        if durable:
            os.fsync(descriptor)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end)
        raise FileError(error.errno, error.strerror, os.fspath(path)) from error
    return end + is_open, len(line)


def mend_last_line(descriptor: int, path: str | os.PathLike, start: bytes) -> None:
    """Makes a file of rows end with a newline: completes a whole last row, removes a cut one.

    The caller holds the lock. Raises RowError and leaves the file unchanged if the last line does
    not begin with `start`, because then another program wrote it.
    start: the first bytes of every row, such as `{"id": `.
    """
    last = _last_line(descriptor)
    if not last:
        return
    if not (last.startswith(start) or start.startswith(last)):
        number = os.pread(descriptor, os.fstat(descriptor).st_size, 0).count(b"\n") + 1
        raise RowError(f"{os.fspath(path)}:{number}: not a row of this file; nothing was changed")
    try:
        parse_row(last, "")
    except RowError:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(last))
        return
    try:
        _write_all(descriptor, b"\n")
    except OSError as error:
        raise FileError(error.errno, error.strerror, os.fspath(path)) from error


def _last_line(descriptor: int) -> bytes:
    """Returns the bytes after the last newline of a file."""
    place = os.fstat(descriptor).st_size
    line = b""
    while place and b"\n" not in line:
        size = min(place, _CHUNK)
        place -= size
        line = os.pread(descriptor, size, place) + line
    return line.rpartition(b"\n")[2]


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
