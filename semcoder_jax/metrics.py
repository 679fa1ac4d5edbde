"""What a person sees of a training run: a progress line, metrics.jsonl and TensorBoard files.

WORKDIR/metrics.jsonl holds one row a step (and one an evaluation). A resumed run drops the rows
of steps that it will make again, so the file always tells the story of one unbroken run.
"""

import json
import os
import sys
import time
from pathlib import Path

from tensorboardX import SummaryWriter
from tqdm import tqdm

METRICS_FILE = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class MetricWriter:
    """Writes scalars of steps to WORKDIR; rows after ``resumed_step`` are dropped first.

    With ``write`` False (every process but one) it does nothing.
    """

    def __init__(self, workdir: str | Path, *, resumed_step: int, write: bool = True):
        self._file = self._tensorboard = None
        if not write:
            return
        path = Path(workdir) / METRICS_FILE
        kept = [row for row in read_metrics(path) if row["step"] <= resumed_step]
        partial = path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
        os.replace(partial, path)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._tensorboard = SummaryWriter(
            str(Path(workdir) / TENSORBOARD), purge_step=resumed_step + 1, flush_secs=10
        )

    def write(self, step: int, values: dict[str, float]) -> None:
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step} | values) + "\n")
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._tensorboard.close()


def read_metrics(path: str | Path) -> list[dict]:
    """The complete rows of a metrics.jsonl; [] if there is none. A last row cut short by a kill
    is left out."""
    path = Path(path)
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


class Progress:
    """A bar on a terminal, plain lines elsewhere: step, loss, useful tokens/s, time remaining."""

    def __init__(self, first_step: int, num_steps: int, *, show: bool = True):
        self._num_steps, self._show = num_steps, show
        self._start_step, self._start = first_step, time.monotonic()
        self._bar = None
        if show and sys.stderr.isatty():
            self._bar = tqdm(
                total=num_steps, initial=first_step, unit="step", desc="train", smoothing=0.1
            )

    def update(self, step: int, loss: float, tokens_per_second: float) -> None:
        if not self._show:
            return
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, {tokens_per_second:,.0f} tokens/s")
            self._bar.update(step - self._bar.n)
            return
        elapsed = time.monotonic() - self._start
        remaining = elapsed / max(step - self._start_step, 1) * (self._num_steps - step)
        self.say(
            f"step {step}/{self._num_steps}  loss {loss:.4f}  {tokens_per_second:,.0f} tokens/s  "
            f"remaining {tqdm.format_interval(remaining)}"
        )

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        if self._show:
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
