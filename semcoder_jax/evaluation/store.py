"""A store of generations that survives a kill at any byte: JSON lines, appended as rows end.

The first line names the run that the rows belong to (checkpoint, data, parameters), so rows of
another run are never taken for this one's. What a kill left of a last line is dropped.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipeline.files import (
    FileError,
    LockError,
    RowError,
    append_row,
    lock_file,
    mend_last_line,
    read_rows,
)
from semcoder_jax.errors import UserError


class StoreError(UserError):
    """A store that belongs to another run, is in use, or cannot be read or written."""


class GenerationStore(contextlib.AbstractContextManager):
    """Rows by id, on disk. `rows` holds those of earlier sessions and of this one.

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
            lock_file(self._file, self.path, wait=False)
            self.rows = self._read(json.loads(json.dumps(run)))
        except (LockError, RowError, StoreError) as error:
            self._file.close()
            raise StoreError(str(error)) from error

    def append(self, row: Mapping[str, Any]) -> None:
        """Keep `row`; it has a string `id` that is not yet in the store."""
        if row["id"] in self.rows:
            raise StoreError(f"{self.path}: id {row['id']!r} is there already")
        self._write(row)
        self.rows[row["id"]] = dict(row)

    def close(self) -> None:
        self._file.close()

    def __exit__(self, *_) -> None:
        self.close()

    def _read(self, run: Mapping[str, Any]) -> dict[str, dict]:
        lines = _read_lines(self.path)
        if not lines:
            mend_last_line(self._file.fileno(), self.path, b'{"run": ')
            self._write({"run": run})
            return {}
        there = lines[0].get("run")
        if there != run:
            differing = sorted(
                key for key in {*run, *(there or {})} if (there or {}).get(key) != run.get(key)
            )
            raise StoreError(
                f"{self.path}: holds generations of another run ({', '.join(differing)} differ); "
                "remove it or write elsewhere"
            )
        mend_last_line(self._file.fileno(), self.path, b'{"')
        return {row["id"]: row for row in lines[1:]}

    def _write(self, row: Mapping[str, Any]) -> None:
        try:
            append_row(self._file.fileno(), row, self.path, ensure_ascii=False)
        except FileError as error:
            raise StoreError(str(error)) from error


@dataclasses.dataclass(frozen=True)
class StoredRows:
    """What stands in for a store where nothing is to be added."""

    rows: Mapping[str, Mapping[str, Any]]


def is_store(path: str | Path) -> bool:
    """Whether the file opens as a store does."""
    try:
        _, row = next(read_rows(path), (None, {}))
    except RowError:
        return False
    return set(row) == {"run"}


def read_store(path: str | Path) -> tuple[dict[str, Any], dict[str, dict]]:
    """(the run that a store belongs to, its rows by id), to be read only. Raises StoreError."""
    lines = _read_lines(path)
    if not lines:
        raise StoreError(f"{path}: not a store of generations")
    return lines[0]["run"], {row["id"]: row for row in lines[1:]}


def _read_lines(path: str | Path) -> list[dict]:
    """The whole lines of a store, the run's first. Raises StoreError."""
    lines = []
    for where, row in read_rows(path, raises=StoreError, allow_cut_end=True):
        if ("id" if lines else "run") not in row:
            raise StoreError(f"{where}: not a line of a store of generations")
        lines.append(row)
    return lines


def checkpoint_identity(directory: str | Path) -> dict[str, Any]:
    """What tells the checkpoint in `directory` from an earlier one in the same place: its path
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
