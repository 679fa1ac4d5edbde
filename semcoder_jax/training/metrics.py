"""Writes the numbers of a training run to metrics.jsonl, TensorBoard and other sinks.

WORKDIR/metrics.jsonl holds one row per step, per interval (speed) and per evaluation. A resumed run
drops the rows of steps that it will repeat, so the file always reads as one unbroken run.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from data_pipeline.files import read_rows, write_rows
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
        workdir: str | Path,
        *,
        resumed_step: int,
        write: bool = True,
        sinks: Sequence[Sink] = (),
    ):
        self._file = self._tensorboard = None
        self._sinks = sinks if write else ()
        if not write:
            return
        path = Path(workdir) / METRICS_FILE
        keep_rows(path, lambda row: row["step"] <= resumed_step)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._tensorboard = ScalarWriter(Path(workdir) / TENSORBOARD, first_step=resumed_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._tensorboard.add(name, value, step)
        for sink in self._sinks:
            sink.write(step, values)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()
            self._tensorboard.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._tensorboard.close()
        for sink in self._sinks:
            sink.close()


def read_metrics(path: str | Path) -> list[dict]:
    """Returns the rows of a metrics.jsonl, or [] without a file.

    Leaves out a last row that a kill truncated.
    """
    if not Path(path).is_file():
        return []
    return [row for _, row in read_rows(path, allow_cut_end=True)]


def keep_rows(path: Path, is_kept: Callable[[dict], bool]) -> None:
    """Drops all other rows, and a row that a kill truncated; creates the file if missing."""
    kept = [row for row in read_metrics(path) if is_kept(row)]
    write_rows(path, kept)
