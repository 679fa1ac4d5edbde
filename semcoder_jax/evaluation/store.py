"""Stores generations as JSON lines, appended as they end; survives a kill at any byte.

The first line describes the run (checkpoint, data, parameters), so that rows of two runs never
mix. A last line cut by a kill is dropped.
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
    as_path,
    file_versions,
    mend_last_line,
    open_exclusively,
    read_rows,
)
from semcoder_jax.errors import UserError

GENERATION = {"text": str, "finish_reason": str}  # fields of a row beside its id


_KINDS = {str: "a string", dict: "an object"}


class StoreError(UserError):
    """Raised if a store belongs to another run, is in use, or cannot be read or written."""


class GenerationStore(contextlib.AbstractContextManager):
    """Holds rows by id on disk; `rows` has those of earlier sessions and of this one.

    Args:
      path: file to use; created with its folder if missing.
      run: JSON-like description of the run; must equal that of an existing file.
      fields: name -> type of the fields that every row has beside its id.
    """

    def __init__(
        self,
        path: str | Path,
        run: Mapping[str, Any],
        *,
        fields: Mapping[str, type] = GENERATION,
    ):
        self.path = as_path(path)
        self._fields = fields
        self._open = contextlib.ExitStack()
        try:
            self._file = self._open.enter_context(open_exclusively(self.path))
            self.rows = self._read(json.loads(json.dumps(run)))
        except (FileError, LockError, RowError, StoreError) as error:
            self._open.close()
            raise StoreError(str(error)) from error

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends `row`, whose string `id` must not be in the store yet."""
        if row["id"] in self.rows:
            raise StoreError(f"{self.path}: id {row['id']!r} is there already")
        self._write(row)
        self.rows[row["id"]] = dict(row)

    def close(self) -> None:
        self._open.close()

    def __exit__(self, *_) -> None:
        self.close()

    def _read(self, run: Mapping[str, Any]) -> dict[str, dict]:
        lines = _read_lines(self.path, self._fields) if self.path.exists() else []
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
    """Replaces a store if no rows are added."""

    rows: Mapping[str, Mapping[str, Any]]


def is_store(path: str | Path) -> bool:
    """Whether the first line of the file is that of a store."""
    try:
        _, row = next(read_rows(path), (None, {}))
    except RowError:
        return False
    return set(row) == {"run"}


def read_store(path: str | Path) -> tuple[dict[str, Any], dict[str, dict]]:
    """Reads a store: (description of its run, rows by id). Raises StoreError."""
    lines = _read_lines(path, GENERATION)
    if not lines:
        raise StoreError(f"{path}: not a store of generations")
    return lines[0]["run"], {row["id"]: row for row in lines[1:]}


def _read_lines(path: str | Path, fields: Mapping[str, type]) -> list[dict]:
    """Reads the complete lines of a store; the first describes the run. Raises StoreError."""
    lines = []
    for where, row in read_rows(path, raises=StoreError, allow_cut_end=True):
        expected = {"id": str, **fields} if lines else {"run": dict}
        for name, kind in expected.items():
            if not isinstance(row.get(name), kind):
                raise StoreError(
                    f"{where}: not a line of a store of generations (field {name!r}: expected "
                    f"{_KINDS[kind]})"
                )
        lines.append(row)
    return lines


def checkpoint_identity(directory: str | Path) -> dict[str, Any]:
    """Returns path, sizes and versions of a checkpoint's files, which change with the checkpoint.

    For a training workdir, these are of the latest step.
    """
    directory = as_path(directory).resolve()
    steps = [path for path in (directory / "checkpoints").glob("*") if path.name.isdigit()]
    where = max(steps, key=lambda path: int(path.name)) if steps else directory
    files = {name: list(version) for name, version in file_versions(where).items()}
    return {"path": str(where), "files": files}
