"""Writes the numbers of a training run to metrics.jsonl, TensorBoard and other sinks.

WORKDIR/metrics.jsonl holds one row per step, per interval (speed) and per evaluation. A resumed run
drops the rows of steps that it will repeat, so the file always reads as one unbroken run.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from data_pipeline.files import (
    AnyPath,
    append_row,
    as_path,
    open_appended,
    read_rows,
    write_rows,
)
from semcoder_jax.training.tensorboard import ScalarWriter

METRICS_FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class Sink(Protocol):
    """Receives the numbers of each step."""

    def write(self, step: int, values: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class MetricWriter:
    """Writes scalars of steps to WORKDIR and to `sinks`; first drops rows after `resumed_step`.

    Does nothing if `write` is False (every process but one).
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        *,
        resumed_step: int,
        write: bool = True,
        sinks: Sequence[Sink] = (),
    ):
        self._rows = self._tensorboard = None
        self._sinks = sinks if write else ()
        if not write:
            return
        workdir = as_path(workdir)
        keep_rows(workdir / METRICS_FILE, lambda row: row["step"] <= resumed_step)
        self._rows = open_appended(workdir / METRICS_FILE)
        self._tensorboard = ScalarWriter(workdir / TENSORBOARD, first_step=resumed_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if self._rows is None:
            return
        append_row(self._rows.fileno(), {"step": step, **values}, self._rows.path)
        for name, value in values.items():
            self._tensorboard.add(name, value, step)
        for sink in self._sinks:
            sink.write(step, values)

    def flush(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.flush()

    def save(self) -> None:
        """Returns once the rows so far survive a kill, also in an object store."""
        if self._rows is not None:
            self._rows.save()

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._tensorboard.close()
        for sink in self._sinks:
            sink.close()


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Returns the rows of a metrics.jsonl, or [] without a file.

    Leaves out a last row that a kill truncated.
    """
    if not as_path(path).is_file():
        return []
    return [row for _, row in read_rows(path, allow_cut_end=True)]


def keep_rows(path: AnyPath, is_kept: Callable[[dict], bool]) -> None:
    """Drops all other rows, and a row that a kill truncated; creates the file if missing."""
    kept = [row for row in read_metrics(path) if is_kept(row)]
    write_rows(path, kept)
