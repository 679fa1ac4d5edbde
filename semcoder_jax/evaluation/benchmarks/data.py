"""Reads benchmark data from a path, or downloads it with a checksum into a cache.

If a file has no known checksum, the first download pins it: the checksum is written beside the
file, and later downloads must match.
"""

import contextlib
import dataclasses
import gc
import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from data_pipeline.files import (
    FileError,
    as_path,
    open_atomically,
    parse_json,
    parse_row,
    read_decompressed,
    read_numbered_lines,
    write_text,
)
from semcoder_jax.cache import cache_folder
from semcoder_jax.errors import UserError

MAX_BYTES = 8 << 30  # of one file, compressed
_LONGEST_LINE = 4 << 30  # hidden tests of a contest's problem take up to hundreds of MB
_CHUNK = 1 << 20


class DataError(UserError):
    """Raised if data cannot be fetched or read; the message names file:line and field."""


@dataclasses.dataclass(frozen=True)
class Home:
    """Public address of a file; `sha256` is None if the first download pins it."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


@dataclasses.dataclass(frozen=True)
class DataFile:
    """Rows of a data file as (file:line, object), with the checksum of the file."""

    path: str
    sha256: str
    rows: tuple[tuple[str, Mapping[str, Any]], ...]


def read_rows(source: str | Path | Home, *, cache: str | Path | None = None) -> DataFile:
    """Reads the JSON objects of a JSONL file (gzipped or not), or of one JSON list.

    Raises DataError if the file or connection is missing, the checksum differs, or a line is not
    an object.
    """
    path = fetch(source, cache=cache) if isinstance(source, Home) else as_path(source)
    lines = list(read_numbered_lines(path, raises=DataError, longest=_LONGEST_LINE))
    if not lines:
        raise DataError(f"{path}: no rows")
    with _collector_paused():
        if lines[0][1].lstrip().startswith(b"["):
            numbered = _read_list(path)
        else:
            numbered = tuple(
                (f"{path}:{number}", parse_row(line, f"{path}:{number}", raises=DataError))
                for number, line in lines
            )
    return DataFile(str(path), _sha256(path), numbered)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Pauses the garbage collector, which would visit each list of the rows again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_list(path: Path) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    content = read_decompressed(path, raises=DataError)
    rows = parse_json(content, str(path), raises=DataError, expected="a list of JSON objects")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: item {number}: expected a JSON object")
    return tuple((f"{path}: item {number}", row) for number, row in enumerate(rows, 1))


def field(where: str, row: Mapping[str, Any], name: str, kind: type = str) -> Any:
    """Returns a field of a row. Raises DataError if it is missing or has another type."""
    if name not in row:
        raise DataError(f"{where}: field {name!r} is missing; is this the right benchmark's data?")
    if not isinstance(row[name], kind) or (isinstance(row[name], bool) and kind is not bool):
        raise DataError(f"{where}: field {name!r}: expected {kind.__name__}")
    return row[name]


def check_new_id(tasks: Mapping[str, Any], where: str, id: str) -> None:
    """Raises DataError if `id` is already in `tasks`."""
    if id in tasks:
        raise DataError(f"{where}: id {id!r} is there twice")


# ==== Download


def fetch(home: Home, *, cache: str | Path | None = None, progress: bool = True) -> Path:
    """Returns the cached file of `home`; downloads it if missing. Raises DataError."""
    folder = cache_folder(cache) / "benchmarks" / hashlib.sha256(home.url.encode()).hexdigest()[:12]
    path, pin = folder / home.name, folder / f"{home.name}.sha256"
    expected = home.sha256 or (pin.read_text().strip() if pin.is_file() else None)
    if path.is_file():
        found = _sha256(path)
        if expected in (None, found):
            return path
        raise DataError(f"{path}: SHA-256 {found}, expected {expected}; remove the file")
    try:
        with open_atomically(path) as file:
            found = _download(home, file, progress)
            if expected not in (None, found):
                raise DataError(
                    f"{home.url}: SHA-256 {found}, expected {expected}: another version of the "
                    "data; give the right one with --config.data=FILE"
                )
            write_text(pin, found + "\n")
    except FileError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise DataError(
            f"{home.url}: cannot be fetched ({reason}); give the file with --config.data=FILE"
        ) from error
    return path


def _download(home: Home, file: BinaryIO, progress: bool) -> str:
    """Copies the file of `home` into `file`; returns its SHA-256 in hexadecimal."""
    url, digest = home.url, hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "semcoder-jax"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        with tqdm(
            total=total or None, unit="B", unit_scale=True, desc=home.name, disable=not progress
        ) as bar:
            read = 0
            while chunk := answer.read(_CHUNK):
                read += len(chunk)
                if read > MAX_BYTES:
                    raise DataError(f"{url}: longer than {MAX_BYTES} bytes")
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
        if total and read != total:
            raise DataError(f"{url}: ended after {read} of {total} bytes; try again")
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
