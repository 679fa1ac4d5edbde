"""Writes the numbers of a training run to metrics.jsonl, TensorBoard and other sinks.

WORKDIR/metrics.jsonl holds one row per step, per interval (speed) and per evaluation. A resumed run
drops the rows of steps that it will repeat, so the file always reads as one unbroken run.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from data_pipeline.files import as_path
from semcoder_jax.training.row_file import RowFile, read_whole_rows
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
        workdir, self._tensorboard = as_path(workdir), None
        self._sinks = sinks if write else ()
        self._rows = RowFile(
            workdir / METRICS_FILE, write=write, is_kept=lambda row: row["step"] <= resumed_step
        )
        if write:
            self._tensorboard = ScalarWriter(workdir / TENSORBOARD, first_step=resumed_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if self._tensorboard is None:
            return
        self._rows.append({"step": step, **values})
        for name, value in values.items():
            self._tensorboard.add(name, value, step)
        for sink in self._sinks:
            sink.write(step, values)

    def flush(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.flush()

    def save(self) -> None:
        """Returns once the rows so far survive a kill, also in an object store."""
        self._rows.save()

    def close(self) -> None:
        self._rows.close()
        if self._tensorboard is not None:
            self._tensorboard.close()
        for sink in self._sinks:
            sink.close()


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Returns the rows of a metrics.jsonl, or [] without a file.

    Leaves out a last row that a kill truncated.
    """
    return read_whole_rows(as_path(path))
