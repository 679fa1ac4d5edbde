"""A store of generations that survives a kill at any byte: JSON lines, appended as rows end.

The first line names the run that the rows belong to (checkpoint, data, parameters), so rows of
another run are never taken for this one's. What a kill left of a last line is dropped.
"""

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semcoder_jax.errors import UserError


class StoreError(UserError):
    """A store that belongs to another run, is in use, or cannot be read or written."""


class GenerationStore(contextlib.AbstractContextManager):
    """Rows by id, on disk. ``rows`` holds those of earlier sessions and of this one.

    Args:
      path: the file; made with its folder where missing.
      run: JSON-like description of the run; an existing file must have the same.
    """

    def __init__(self, path: str | Path, run: Mapping[str, Any]):
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.rows = self._read(json.loads(json.dumps(run)))
        except BlockingIOError as error:
            self._file.close()
            raise StoreError(f"{self.path}: in use by another process") from error
        except StoreError:
            self._file.close()
            raise

    def append(self, row: Mapping[str, Any]) -> None:
        """Keep ``row``; it has a string ``id`` that is not yet in the store."""
        if row["id"] in self.rows:
            raise StoreError(f"{self.path}: id {row['id']!r} is there already")
        self._write(row)
        self.rows[row["id"]] = dict(row)

    def close(self) -> None:
        self._file.close()

    def __exit__(self, *_) -> None:
        self.close()

    def _read(self, run: Mapping[str, Any]) -> dict[str, dict]:
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        if not whole:
            self._write({"run": run})
            return {}
        lines = [_parse(self.path, n, line) for n, line in enumerate(whole.splitlines(), 1)]
        there = lines[0].get("run")
        if there != run:
            differing = sorted(
                key for key in {*run, *(there or {})} if (there or {}).get(key) != run.get(key)
            )
            raise StoreError(
                f"{self.path}: holds generations of another run ({', '.join(differing)} differ); "
                "remove it or write elsewhere"
            )
        return {row["id"]: row for row in lines[1:]}

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            # A text may hold half of a surrogate pair: as JSON's own escape it survives.
            text = json.dumps(row, ensure_ascii=False)
            self._file.write(text.encode("utf-8", "backslashreplace") + b"\n")
            self._file.flush()
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from error


@dataclasses.dataclass(frozen=True)
class StoredRows:
    """What stands in for a store where nothing is to be added."""

    rows: Mapping[str, Mapping[str, Any]]


def is_store(path: str | Path) -> bool:
    """Whether the file opens as a store does."""
    try:
        with Path(path).open("rb") as file:
            row = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(row, dict) and set(row) == {"run"}


def read_store(path: str | Path) -> tuple[dict[str, Any], dict[str, dict]]:
    """(the run that a store belongs to, its rows by id), to be read only. Raises StoreError."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    if not lines:
        raise StoreError(f"{path}: not a store of generations")
    rows = [_parse(path, n, line) for n, line in enumerate(lines, 1)]
    return rows[0]["run"], {row["id"]: row for row in rows[1:]}


def _parse(path: str | Path, number: int, line: bytes) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or ("run" if number == 1 else "id") not in row:
        raise StoreError(f"{path}:{number}: not a line of a store of generations")
    return row


def checkpoint_identity(directory: str | Path) -> dict[str, Any]:
    """What tells the checkpoint in ``directory`` from an earlier one in the same place: its path
    and its files' sizes and times (of a training workdir, of the latest step)."""
    directory = Path(directory).resolve()
    steps = [path for path in (directory / "checkpoints").glob("*") if path.name.isdigit()]
    where = max(steps, key=lambda path: int(path.name)) if steps else directory
    files = {
        path.name: [path.stat().st_size, path.stat().st_mtime_ns]
        for path in sorted(where.iterdir())
        if path.is_file()
    }
    return {"path": str(where), "files": files}
