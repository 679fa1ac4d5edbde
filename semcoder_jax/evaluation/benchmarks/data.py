"""Data of the benchmarks: by path, or from its public home with a checksum, kept in a cache.

A home whose checksum is not known to us is pinned when it is first fetched: the sum is written
beside the file, and what comes later must have the same.
"""

import bz2
import dataclasses
import gzip
import hashlib
import json
import lzma
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from semcoder_jax.cache import cache_folder
from semcoder_jax.errors import UserError

MAX_BYTES = 8 << 30  # of one file, packed
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_CHUNK = 1 << 20


class DataError(UserError):
    """Data that cannot be had or read; the message names file:line and field."""


@dataclasses.dataclass(frozen=True)
class Home:
    """Where a file is published. ``sha256`` of its bytes, None where it is pinned on first use."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of a data file: (file:line, object), with what tells this version of it."""

    path: str
    sha256: str
    rows: tuple[tuple[str, Mapping[str, Any]], ...]


def read_rows(source: str | Path | Home, *, cache: str | Path | None = None) -> Rows:
    """The JSON objects of a JSONL file (packed or not), or of a file that is one JSON list.

    Raises DataError: no file, no connection, another checksum, a line that is no object.
    """
    path = fetch(source, cache=cache) if isinstance(source, Home) else Path(source)
    try:
        packed = path.read_bytes()
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or f"cannot be unpacked ({error})"
        raise DataError(f"{path}: {reason}") from error
    if content.lstrip()[:1] == b"[":
        whole = _parse(content, str(path))
        numbered = [(f"{path}: item {n}", row) for n, row in enumerate(whole, 1)]
    else:
        numbered = [
            (f"{path}:{n}", _parse(line, f"{path}:{n}"))
            for n, line in enumerate(content.split(b"\n"), 1)
            if line.strip()
        ]
    for where, row in numbered:
        if not isinstance(row, dict):
            raise DataError(f"{where}: expected a JSON object")
    if not numbered:
        raise DataError(f"{path}: no rows")
    return Rows(str(path), hashlib.sha256(packed).hexdigest(), tuple(numbered))


def field(where: str, row: Mapping[str, Any], name: str, kind: type = str) -> Any:
    """The field of a row. Raises DataError where it is missing or of another type."""
    if name not in row:
        raise DataError(f"{where}: field {name!r} is missing; is this the right benchmark's data?")
    if not isinstance(row[name], kind) or (isinstance(row[name], bool) and kind is not bool):
        raise DataError(f"{where}: field {name!r}: expected {kind.__name__}")
    return row[name]


def unique_ids(tasks: Mapping[str, Any], where: str, id: str) -> None:
    """Raises DataError where ``id`` is in ``tasks`` already."""
    if id in tasks:
        raise DataError(f"{where}: id {id!r} is there twice")


def _parse(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from error


# ==== From its home


def fetch(home: Home, *, cache: str | Path | None = None, progress: bool = True) -> Path:
    """The file of ``home`` in the cache, fetched where it is not there. Raises DataError."""
    folder = cache_folder(cache) / "benchmarks" / hashlib.sha256(home.url.encode()).hexdigest()[:12]
    path, pin = folder / home.name, folder / f"{home.name}.sha256"
    expected = home.sha256 or (pin.read_text().strip() if pin.is_file() else None)
    if path.is_file():
        found = _sha256(path)
        if expected in (None, found):
            return path
        raise DataError(f"{path}: SHA-256 {found}, expected {expected}; remove the file")
    partial = folder / f".{home.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(home.url, partial, progress)
        found = _sha256(partial)
        if expected not in (None, found):
            raise DataError(
                f"{home.url}: SHA-256 {found}, expected {expected}: another version of the data; "
                "give the right one with --config.data=FILE"
            )
        pin.write_text(found + "\n")
        partial.replace(path)
    except OSError as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise DataError(
            f"{home.url}: cannot be fetched ({reason}); give the file with --config.data=FILE"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _download(url: str, path: Path, progress: bool) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "semcoder-jax"})
    with urllib.request.urlopen(request, timeout=60) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        with tqdm(
            total=total or None, unit="B", unit_scale=True, desc=path.name, disable=not progress
        ) as bar:
            read = 0
            while chunk := answer.read(_CHUNK):
                read += len(chunk)
                if read > MAX_BYTES:
                    raise DataError(f"{url}: longer than {MAX_BYTES} bytes")
                file.write(chunk)
                bar.update(len(chunk))
        if total and read != total:
            raise DataError(f"{url}: ended after {read} of {total} bytes; try again")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
