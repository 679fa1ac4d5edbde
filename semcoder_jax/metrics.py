"""What a person sees of a training run: a progress line, metrics.jsonl and TensorBoard files.

WORKDIR/metrics.jsonl holds one row a step (and one an evaluation). A resumed run drops the rows
of steps that it will make again, so the file always tells the story of one unbroken run.
"""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from tensorboardX import SummaryWriter
from tqdm import tqdm

from data_pipeline.records import TRAINING_KINDS
from semcoder_jax.train_step import HeldOutLoss, mean_by_kind

METRICS_FILE = "metrics.jsonl"
SKIPPED_FILE = "skipped.jsonl"
TENSORBOARD = "tensorboard"
_IDS_SHOWN = 4


class NotFiniteError(ValueError):
    """Too many steps whose loss or gradient could not be used."""


class RunLog:
    """Gathers the steps' metrics without making the device wait, and hands them to people.

    The scalars of an interval stay on the device until the step after it is under way. The first
    step (compilation) and pauses do not count in tokens/s.

    A step that updated nothing is told with the ids of its records (``record_ids(step)``), also
    in WORKDIR/skipped.jsonl; ``skipped`` counts those of this session that were published.
    """

    def __init__(
        self,
        workdir: Path,
        first: int,
        num_steps: int,
        every: int,
        record_ids: Callable[[int], Sequence[str]],
    ):
        leads = jax.process_index() == 0
        self.skipped = 0
        self._every, self._record_ids = every, record_ids
        self._skipped_file = workdir / SKIPPED_FILE if leads else None
        if leads and self._skipped_file.is_file():
            _keep_rows(self._skipped_file, first)
        self._writer = MetricWriter(workdir, resumed_step=first, write=leads)
        self._progress = Progress(first, num_steps, show=leads)
        self._gathered: list[tuple[int, dict]] = []
        self._ready: list[tuple[int, dict]] = []
        self._clock: float | None = None  # since when tokens are counted
        self._tokens, self._seconds = 0, 0.0

    @property
    def tokens_per_second(self) -> float:
        return self._tokens / self._seconds if self._seconds else 0.0

    def step(self, step: int, metrics: dict[str, jax.Array]) -> None:
        self._publish()
        self._gathered.append((step, metrics))
        if self._clock is None:
            self.flush()
        elif step % self._every == 0:
            self._ready, self._gathered = self._gathered, []

    def flush(self) -> None:
        """Publish all steps so far; waits for the device."""
        self._publish()
        self._ready, self._gathered = self._gathered, []
        self._publish()

    @contextlib.contextmanager
    def pause(self):
        """Time inside does not count in tokens/s."""
        began = time.monotonic()
        yield
        self._clock += time.monotonic() - began

    def evaluation(self, step: int, loss: HeldOutLoss) -> None:
        by_kind = {f"eval_loss/{kind}": value for kind, value in loss.by_kind.items()}
        self._writer.write(step, {"eval_loss": loss.mean} | by_kind)
        self._writer.flush()
        self.say(f"step {step}  held-out loss {loss.mean:.4f}")

    def say(self, line: str) -> None:
        self._progress.say(line)

    def close(self) -> None:
        self._writer.close()
        self._progress.close()

    def _publish(self) -> None:
        if not self._ready:
            return
        steps, self._ready = self._ready, []
        fetched = [(step, jax.device_get(metrics)) for step, metrics in steps]
        now = time.monotonic()
        tokens = sum(int(metrics["tokens"]) for _, metrics in fetched)
        rate = None
        if self._clock is not None:
            rate = tokens / max(now - self._clock, 1e-9)
            self._tokens, self._seconds = self._tokens + tokens, self._seconds + now - self._clock
        self._clock = now
        for step, metrics in fetched:
            self._writer.write(step, _scalars(metrics))
            if metrics["skipped"]:
                self._tell_skipped(step, float(metrics["loss"]), float(metrics["gradient_norm"]))
        self._writer.flush()
        sound = [metrics for _, metrics in fetched if not metrics["skipped"]]
        weights = [float(metrics["target_tokens"]) for metrics in sound]
        losses = [float(metrics["loss"]) for metrics in sound]
        mean = sum(map(float.__mul__, losses, weights)) / sum(weights) if sum(weights) else math.nan
        self._progress.update(fetched[-1][0], mean, rate)

    def _tell_skipped(self, step: int, loss: float, gradient_norm: float) -> None:
        self.skipped += 1
        if self._skipped_file is None:
            return
        ids = list(self._record_ids(step))
        row = {"step": step, "loss": loss, "gradient_norm": gradient_norm, "records": ids}
        with open(self._skipped_file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        shown = ", ".join(ids[:_IDS_SHOWN]) + (", …" if len(ids) > _IDS_SHOWN else "")
        self.say(
            f"step {step}: loss {loss:.4g}, gradient norm {gradient_norm:.4g}: not used "
            f"(number {self.skipped}); its {len(ids)} records: {shown} (all in {SKIPPED_FILE})"
        )


def _scalars(metrics: dict) -> dict[str, float]:
    """A step's metrics, those by kind as loss/KIND and target_tokens/KIND of the kinds it held."""
    scalars = {name: value.item() for name, value in metrics.items() if value.ndim == 0}
    losses_N, targets_N = metrics["loss_by_kind"], metrics["targets_by_kind"]
    for kind, loss in mean_by_kind(losses_N, targets_N).items():
        scalars[f"loss/{kind}"] = loss
        scalars[f"target_tokens/{kind}"] = float(targets_N[TRAINING_KINDS.index(kind)])
    return scalars


class MetricWriter:
    """Writes scalars of steps to WORKDIR; rows after ``resumed_step`` are dropped first.

    With ``write`` False (every process but one) it does nothing.
    """

    def __init__(self, workdir: str | Path, *, resumed_step: int, write: bool = True):
        self._file = self._tensorboard = None
        if not write:
            return
        path = Path(workdir) / METRICS_FILE
        _keep_rows(path, resumed_step)
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


def _keep_rows(path: Path, last_step: int) -> None:
    """Drop the rows of later steps; creates the file."""
    kept = [row for row in read_metrics(path) if row["step"] <= last_step]
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
    os.replace(partial, path)


class Progress:
    """A bar on a terminal, plain lines elsewhere: step, loss, useful tokens/s, time remaining."""

    def __init__(self, first_step: int, num_steps: int, *, show: bool = True):
        self._num_steps, self._show = num_steps, show
        self._timed_from: tuple[int, float] | None = None  # step and time of the first update
        self._bar = None
        if show and sys.stderr.isatty():
            self._bar = tqdm(
                total=num_steps, initial=first_step, unit="step", desc="train", smoothing=0.1
            )

    def update(self, step: int, loss: float, tokens_per_second: float | None) -> None:
        """``tokens_per_second`` is None where compilation hides it; no time is estimated then."""
        if not self._show:
            return
        rate = "compiled" if tokens_per_second is None else f"{tokens_per_second:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, {rate}", refresh=False)
            if tokens_per_second is None:
                self._bar.unpause()  # the time that remains is estimated without compilation
            self._bar.update(step - self._bar.n)
            self._bar.refresh()
            return
        line = f"step {step}/{self._num_steps}  loss {loss:.4f}  {rate}"
        if self._timed_from is None:
            self._timed_from = step, time.monotonic()
        else:
            first, began = self._timed_from
            seconds = (time.monotonic() - began) / max(step - first, 1) * (self._num_steps - step)
            line += f"  remaining {tqdm.format_interval(seconds)}"
        self.say(line)

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        if self._show:
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
