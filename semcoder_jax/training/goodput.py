"""Measures goodput: the share of wall time spent in steps that count, over all sessions of a run.

WORKDIR/goodput.jsonl is append-only. A session first writes a row with its starting step, then one
row per interval with the seconds of each phase. A killed session loses the steps after its last
checkpoint; the next session repeats them, so their time counts as repeated. Time without a row is
ignored: between sessions, and in a killed session after its last row.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from tqdm import tqdm

from data_pipeline.files import AnyPath
from semcoder_jax.training.row_file import RowFile, read_whole_rows

GOODPUT_FILE = "goodput.jsonl"

START = "start"  # reading data, making the state
RESTORE = "restore"  # reading the state of the last checkpoint
COMPILE = "compile"
INPUT = "input"  # waiting for the next batch
CHECKPOINT = "checkpoint"  # waiting for a save, not the writing behind the steps
EVALUATION = "evaluation"
PROFILE = "profile"
STEPS = "steps"  # the remaining time
SKIPPED = "skipped"  # steps that updated nothing
REPEATED = "repeated"  # steps lost by a kill or a damaged checkpoint


@dataclasses.dataclass(frozen=True)
class Goodput:
    """Holds seconds of wall time by phase, over all `sessions` of a run.

    `seconds["steps"]` covers steps that count; `repeated_steps` were made twice.
    """

    seconds: Mapping[str, float]
    sessions: int
    repeated_steps: int

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def share(self) -> float:
        """Returns the share of wall time spent in steps that count, from 0 to 1."""
        return self.seconds.get(STEPS, 0.0) / self.total if self.total else 0.0

    def __str__(self) -> str:
        others = sorted(self.seconds.items(), key=lambda item: -item[1])
        shown = [
            f"{name} {value / self.total:.1%}"
            + (f" ({self.repeated_steps} steps)" if name == REPEATED else "")
            for name, value in others
            if name != STEPS and value >= 0.0005 * self.total
        ]
        sessions = f" in {self.sessions} sessions" if self.sessions > 1 else ""
        rest = f"; the rest: {', '.join(shown)}" if shown else ""
        return (
            f"goodput {self.share:.1%} of {tqdm.format_interval(self.total)}{sessions} in steps "
            f"that count{rest}"
        )


class WallTime:
    """Measures this session's wall time by phase and writes it to WORKDIR/goodput.jsonl.

    `began` is the session's start by time.monotonic; the time until now counts as START, but for
    `restoring` seconds of RESTORE. `on_phase` is called with the name of a phase that begins, and
    with None when it ends. Writes nothing if `write` is False (every process but one).
    """

    def __init__(
        self,
        workdir: AnyPath,
        first: int,
        began: float,
        *,
        restoring: float = 0.0,
        on_phase: Callable[[str | None], None] = lambda name: None,
        write: bool = True,
    ):
        self._on_phase = on_phase
        self._rows = RowFile(workdir / GOODPUT_FILE, write=write)
        self._since, self._step = began, first
        self._seconds = {START: time.monotonic() - began - restoring}
        if restoring:
            self._seconds[RESTORE] = restoring
        self._rows.append({"session": first, "time": time.time()})

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Counts the time inside as `name`; phases do not nest."""
        began = time.monotonic()
        self._on_phase(name)
        try:
            yield
        finally:
            self._on_phase(None)
            self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - began

    def end_interval(self, step: int, skipped: int = 0) -> dict[str, float]:
        """Returns the seconds by phase since the last call and writes them as a row.

        The interval ends with `step`; `skipped` of its steps made no update.
        """
        now = time.monotonic()
        spent = now - self._since
        seconds = self._seconds | {STEPS: spent - sum(self._seconds.values())}
        self._rows.append(
            {"from": self._step, "step": step, "skipped": skipped, "seconds": seconds}
        )
        self._since, self._step, self._seconds = now, step, {}
        return seconds

    def save(self) -> None:
        """Returns once the rows so far survive a kill, also in an object store."""
        self._rows.save()

    def close(self) -> None:
        self._rows.close()


def read_goodput(workdir: AnyPath) -> Goodput:
    """Returns the goodput of all sessions of a workdir so far."""
    return summarize(read_whole_rows(workdir / GOODPUT_FILE))


def summarize(rows: Sequence[Mapping]) -> Goodput:
    """Sums the rows of a goodput.jsonl, in order."""
    seconds: dict[str, float] = {}
    sessions = repeated_steps = 0
    kept = None  # the step from which the next session went on
    for row in reversed(rows):
        if "session" in row:
            sessions += 1
            kept = row["session"] if kept is None else min(kept, row["session"])
            continue
        parts = dict(row["seconds"])
        made = row["step"] - row["from"]
        lost = 0 if kept is None else min(made, max(0, row["step"] - kept))
        repeated_steps += lost
        if made:
            in_steps = parts.pop(STEPS)
            parts[REPEATED] = in_steps * lost / made
            parts[SKIPPED] = (in_steps - parts[REPEATED]) * row["skipped"] / made
            parts[STEPS] = in_steps - parts[REPEATED] - parts[SKIPPED]
        for name, value in parts.items():
            seconds[name] = seconds.get(name, 0.0) + value
    return Goodput(seconds, sessions, repeated_steps)
