"""Reads what the stages of a study stored, and says of a damaged file how to make it again."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from data_pipeline.files import read_rows
from semcoder_jax.errors import UserError
from semcoder_jax.training.metrics import METRICS_FILE, read_metrics

_REDO = "delete the file, and the command without --report_only makes it again"


class StoredError(UserError):
    """Raised for a file of a study that is damaged."""


def read_object(path: Path, fields: Collection[str]) -> dict[str, Any]:
    """Returns the object in a JSON file. Raises StoredError if it lacks one of `fields`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoredError(f"{path}: no such file; {_REDO.partition(', and ')[2]}") from None
    except ValueError:
        raise _damaged(path, "expected JSON") from None
    _check_fields(path, found, fields)
    return found


def read_stored_rows(
    path: Path, fields: Collection[str], *, least: int = 0
) -> list[dict[str, Any]]:
    """Returns the rows of a JSONL file, which must be `least` or more.

    Raises StoredError if a row is torn or lacks a field.
    """
    try:
        rows = [row for _, row in read_rows(path)]
    except UserError as error:
        raise StoredError(f"{error}; {_redo(path)}") from None
    for row in rows:
        _check_fields(path, row, fields)
    if len(rows) < least:
        raise _damaged(path, "holds no row")
    return rows


def read_run_metrics(run: Path, last: int) -> list[dict[str, Any]]:
    """Returns the metrics of a training. Raises StoredError if they end before step `last`."""
    rows = read_metrics(run / METRICS_FILE)
    if max((row.get("step", 0) for row in rows), default=0) < last:
        raise StoredError(
            f"{run / METRICS_FILE}: ends before step {last}; {_REDO.replace('file', 'run folder')}"
        )
    return rows


def check_complete(path: Path, found: Sequence[Any], expected: Sequence[Any], what: str) -> None:
    """Raises StoredError unless a file holds exactly the answers expected, in their order."""
    if list(found) == list(expected):
        return
    counts = f"{len(found)} of {len(expected)}"
    if len(found) == len(expected):
        counts = "others than the"
    raise _damaged(path, f"holds {counts} {what}")


def _check_fields(path: Path, found: Any, fields: Collection[str]) -> None:
    missing = fields if not isinstance(found, dict) else [f for f in fields if f not in found]
    if missing:
        raise _damaged(path, f"expected {', '.join(missing)}")


def _damaged(path: Path, problem: str) -> StoredError:
    return StoredError(f"{path}: {problem}; {_redo(path)}")


def _redo(path: Path) -> str:
    return _REDO.replace("the file", path.name, 1)
