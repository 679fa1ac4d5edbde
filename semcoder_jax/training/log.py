"""Logs a training run: one line per interval, and the same numbers in files."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np
from tqdm import tqdm

from data_pipeline.files import AnyPath, append_row, open_appended
from data_pipeline.pyx.records import TRAINING_KINDS
from semcoder_jax.errors import UserError
from semcoder_jax.training.compilation_cache import CacheHits
from semcoder_jax.training.goodput import COMPILE, WallTime, read_goodput
from semcoder_jax.training.held_out import ACCURACY, EVAL_LOSS
from semcoder_jax.training.metrics import MetricWriter, Sink
from semcoder_jax.training.row_file import keep_rows
from semcoder_jax.training.step import HeldOutLoss, mean_by_kind
from semcoder_jax.training.stragglers import HostTimes
from semcoder_jax.training.throughput import (
    Machine,
    Speed,
    format_flops,
    measure_speed,
    peak_memory,
)

SKIPPED_FILE = "skipped.jsonl"
_IDS_SHOWN = 4


class NotFiniteError(UserError):
    """Raised after too many steps with an unusable loss or gradient."""


@dataclasses.dataclass(frozen=True)
class LoggedRun:
    """Describes the logged session: it starts after step `first` of `num_steps`.

    The log prints one line per `every` steps. `record_ids(step)` returns the ids of a step's
    records, `flops(tokens, pairs)` the model FLOPs (see flops) on `machine`.
    """

    first: int
    num_steps: int
    every: int
    record_ids: Callable[[int], Sequence[str]]
    flops: Callable[[float, float], float]
    machine: Machine


class RunLog:
    """Collects the steps' metrics and publishes them once an interval.

    At most one step is queued on the device behind the running one: the log waits for a step after
    the next one starts, so a request to stop takes effect within two steps. Evaluation, saves and
    compilation do not count in tokens/s.

    The log reports a skipped step with the ids of its records, also in WORKDIR/skipped.jsonl;
    `skipped` counts the published ones of this session. It names a process that holds the others
    up.
    """

    def __init__(
        self, workdir: AnyPath, run: LoggedRun, wall: WallTime, sinks: Sequence[Sink] = ()
    ):
        leads = jax.process_index() == 0
        self.skipped = 0
        self._run, self._wall, self._workdir = run, wall, workdir
        self._skipped_file = workdir / SKIPPED_FILE if leads else None
        if leads and self._skipped_file.is_file():
            keep_rows(self._skipped_file, lambda row: row["step"] <= run.first)
        self._writer = MetricWriter(workdir, resumed_step=run.first, write=leads, sinks=sinks)
        self._progress = TrainingProgress(run.first, run.num_steps, show=leads)
        self._hosts = HostTimes(jax.devices())
        self._was_cached = False
        self._gathered: list[tuple[int, dict]] = []
        self._tokens, self._seconds = 0.0, 0.0

    @property
    def tokens_per_second(self) -> float:
        """Returns the session's tokens/s so far, without padding."""
        return self._tokens / self._seconds if self._seconds else 0.0

    @contextlib.contextmanager
    def time_compilation(self) -> Iterator[None]:
        """Times the call that compiles the step; that call returns before the step is computed."""
        hits = CacheHits()
        with contextlib.closing(hits), self._wall.phase(COMPILE):
            yield
        self._was_cached = hits.count > 0

    def time_dispatch(self) -> contextlib.AbstractContextManager[None]:
        """Times the call that starts a step; on some devices it waits for the other processes."""
        return self._hosts.starting_step()

    def record_step(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Records a step's metrics, which the device may still be computing."""
        if self._gathered:
            last, values = self._gathered[-1]
            with self._hosts.waiting():
                jax.block_until_ready(values)
            if last % self._run.every == 0:
                self._publish()
        self._gathered.append((step, metrics))
        if step == self._run.first + 1:
            self._publish()

    def flush(self) -> None:
        """Publishes all steps so far; waits for the device."""
        if self._gathered:
            self._publish()

    def report_evaluation(self, step: int, loss: HeldOutLoss) -> None:
        by_kind = {f"{EVAL_LOSS}/{kind}": value for kind, value in loss.by_kind.items()}
        self._writer.write(step, {EVAL_LOSS: loss.mean} | by_kind)
        self._writer.flush()
        self.say(f"step {step}  held-out loss {_format_loss(loss.mean, loss.by_kind)}")

    def report_accuracy(
        self, step: int, accuracy: float, by_benchmark: Mapping[str, float]
    ) -> None:
        """Reports the mean share of right answers, and that of each benchmark."""
        named = {f"{ACCURACY}/{name}": share for name, share in by_benchmark.items()}
        self._writer.write(step, {ACCURACY: accuracy} | named)
        self._writer.flush()
        shares = ", ".join(f"{name} {share:.1%}" for name, share in by_benchmark.items())
        self.say(f"step {step}  accuracy {accuracy:.1%} ({shares})")

    def report_goodput(self, step: int) -> None:
        """Reports the wall time of all sessions by phase."""
        self._wall.end_interval(step)
        if self._skipped_file is None:
            return
        goodput = read_goodput(self._workdir)
        seconds = {f"seconds/{name}": value for name, value in goodput.seconds.items()}
        self._writer.write(step, {"goodput": goodput.share} | seconds)
        self.say(str(goodput))

    def say(self, line: str) -> None:
        """Prints a line, in the first process alone."""
        self._progress.say(line)

    def say_here(self, line: str) -> None:
        """Prints a line in this process, whichever it is."""
        if jax.process_index() == 0:
            self.say(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def save(self) -> None:
        """Returns once all that was published survives a kill; see MetricWriter.save."""
        self._writer.save()

    def close(self) -> None:
        self._writer.close()
        self._progress.close()

    def _publish(self) -> None:
        with self._hosts.waiting():
            fetched = [(step, jax.device_get(metrics)) for step, metrics in self._gathered]
        self._gathered = []
        for step, metrics in fetched:
            self._writer.write(step, _scalars(metrics))
            if metrics["skipped"]:
                self._report_skipped(step, float(metrics["loss"]), float(metrics["gradient_norm"]))
        steps = [metrics for _, metrics in fetched]
        totals = {
            name: sum(float(metrics[name]) for metrics in steps)
            for name in ("tokens", "target_tokens", "attention_pairs", "skipped")
        }
        last = fetched[-1][0]
        seconds = self._wall.end_interval(last, int(totals["skipped"]))
        flops = self._run.flops(totals["tokens"], totals["attention_pairs"])
        speed = measure_speed(totals, len(steps), seconds, flops)
        where, memory = peak_memory()
        scalars = {f"peak_{where}_memory": float(memory)}
        if speed:
            self._tokens, self._seconds = self._tokens + speed.tokens, self._seconds + speed.seconds
            scalars |= speed.scalars(self._run.machine)
        scalars |= self._compare_hosts(seconds)
        self._writer.write(last, scalars)
        self._writer.flush()
        rate = (
            _format_rate(speed, self._run.machine) if speed else self._describe_compilation(seconds)
        )
        memory_text = f"{where} memory {memory / 2**30:.1f} GiB"
        mean, by_kind = _mean_loss([metrics for metrics in steps if not metrics["skipped"]])
        loss = "–" if math.isnan(mean) else _format_loss(mean, by_kind)
        self._progress.update(last, f"loss {loss}  {rate}  {memory_text}")

    def _compare_hosts(self, seconds: dict[str, float]) -> dict[str, float]:
        """Returns the host times of the interval before, and names a process that is slow."""
        if COMPILE in seconds:
            self._hosts.forget()
            return {}
        times = self._hosts.end_interval(seconds)
        if times is None:
            return {}
        if news := self._hosts.news(times):
            self.say(news)
        hosts = [time.host for time in times]
        return {"host_seconds/most": max(hosts), "host_seconds/least": min(hosts)}

    def _describe_compilation(self, seconds: dict[str, float]) -> str:
        """Returns the text that replaces the rate in the interval of the first step."""
        how = "read from the compilation cache" if self._was_cached else "compiled"
        return f"{how} in {seconds.get(COMPILE, 0.0):.1f} s"

    def _report_skipped(self, step: int, loss: float, gradient_norm: float) -> None:
        self.skipped += 1
        if self._skipped_file is None:
            return
        ids = list(self._run.record_ids(step))
        row = {"step": step, "loss": loss, "gradient_norm": gradient_norm, "records": ids}
        with open_appended(self._skipped_file) as file:
            append_row(file.fileno(), row, self._skipped_file)
        shown = ", ".join(ids[:_IDS_SHOWN]) + (", …" if len(ids) > _IDS_SHOWN else "")
        self.say(
            f"step {step}: loss {loss:.4g}, gradient norm {gradient_norm:.4g}: not used "
            f"(number {self.skipped}); its {len(ids)} records: {shown} (all in {SKIPPED_FILE})"
        )


class TrainingProgress:
    """Prints one line per interval with the remaining time; on a terminal, also a bar below."""

    def __init__(self, first_step: int, num_steps: int, *, show: bool = True):
        self._num_steps, self._show = num_steps, show
        self._timed_from: tuple[int, float] | None = None  # without compilation
        self._bar = None
        if show and sys.stderr.isatty():
            self._bar = tqdm(
                total=num_steps, initial=first_step, unit="step", desc="train", smoothing=0.1
            )

    def update(self, step: int, line: str) -> None:
        if not self._show:
            return
        line = f"step {step}/{self._num_steps}  {line}"
        if self._timed_from is None:
            self._timed_from = step, time.monotonic()
            if self._bar is not None:
                self._bar.unpause()
        else:
            first, began = self._timed_from
            seconds = (time.monotonic() - began) / max(step - first, 1) * (self._num_steps - step)
            line += f"  remaining {tqdm.format_interval(seconds)}"
        self.say(line)
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        if self._show:
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _mean_loss(steps: Sequence[dict]) -> tuple[float, dict[str, float]]:
    """Returns the mean loss over all targets, in all and by kind; NaN without targets."""
    targets = [float(metrics["target_tokens"]) for metrics in steps]
    losses = [float(metrics["loss"]) for metrics in steps]
    if not sum(targets):
        return math.nan, {}
    by_kind = mean_by_kind(
        np.sum([metrics["loss_by_kind"] for metrics in steps], 0),
        np.sum([metrics["targets_by_kind"] for metrics in steps], 0),
    )
    return sum(map(float.__mul__, losses, targets)) / sum(targets), by_kind


def _format_loss(loss: float, by_kind: dict[str, float]) -> str:
    """Formats as 1.2345, or as 1.2345 (nl 1.1000, forward 1.3000) for several kinds."""
    kinds = ", ".join(f"{kind} {value:.4f}" for kind, value in by_kind.items())
    return f"{loss:.4f} ({kinds})" if len(by_kind) > 1 else f"{loss:.4f}"


def _format_rate(speed: Speed, machine: Machine) -> str:
    scalars = speed.scalars(machine)
    arithmetic = format_flops(scalars["model_flops_per_second"])
    if "mfu" in scalars:
        arithmetic = f"MFU {scalars['mfu']:.1%}"
    return f"{speed}  {arithmetic}  input wait {speed.input_wait:.1%}"


def _scalars(metrics: dict) -> dict[str, float]:
    """Returns a step's metrics by name, with loss/KIND and target_tokens/KIND of its kinds."""
    scalars = {name: value.item() for name, value in metrics.items() if value.ndim == 0}
    losses_N, targets_N = metrics["loss_by_kind"], metrics["targets_by_kind"]
    for kind, loss in mean_by_kind(losses_N, targets_N).items():
        scalars[f"loss/{kind}"] = loss
        scalars[f"target_tokens/{kind}"] = float(targets_N[TRAINING_KINDS.index(kind)])
    return scalars
