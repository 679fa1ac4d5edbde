"""Finds the process that holds the others up, from times that every process measures of itself.

In SPMD all processes take the same time for a step, since the fast ones wait in its collectives.
Slowness therefore shows only before that wait. Each process measures, per step, the time of its own
host (the input, and all of its Python until the devices can start) and the time that it waits for
the devices, which includes waiting for other processes. The one that holds the others up has a long
host time and no wait. A device that computes slowly shows in neither: profile all processes.

The times of an interval travel as one small array, gathered by the devices behind the steps, so
that no process waits for it; the log reports them an interval later.
"""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from semcoder_jax.training.goodput import INPUT, STEPS

_LEAST_EXCESS = 0.1  # of a step: less is not worth a line
_LEAST_RATIO = 1.5  # to the others' median
_MOST_WAIT = 0.1  # of a step: a process that waits longer for its devices delays nobody


@dataclasses.dataclass(frozen=True)
class HostTime:
    """Mean seconds of a step in one process.

    `host` is the time before the devices can start, of which `input` waited for the batch;
    `waiting` is the time waiting for the devices and for other processes.
    """

    host: float
    input: float
    waiting: float

    @property
    def step(self) -> float:
        return self.host + self.waiting


@dataclasses.dataclass(frozen=True)
class Straggler:
    """The process that holds the others up; seconds a step, the others' as medians."""

    process: int
    time: HostTime
    others_host: float
    others_waiting: float

    def __str__(self) -> str:
        own, times = self.time, self.time.host / max(self.others_host, 1e-9)
        longer = self.others_waiting - own.waiting
        return (
            f"process {self.process} holds the others up: its host takes {_ms(own.host)} a step "
            f"before its devices can start (input {_ms(own.input)}), the others' "
            f"{_ms(self.others_host)} ({times:.1f} times); they wait {_ms(longer)} longer for the "
            f"devices, in a step of {_ms(own.step)}"
        )


def find_straggler(times: Sequence[HostTime], *, overlaps: bool = True) -> Straggler | None:
    """Returns the process that prolongs the steps, if one does. `times` go by process number.

    overlaps: whether hosts prepare a step while their devices compute the one before. Then a slow
    host whose devices are busy all the time holds nobody up.
    """
    if len(times) < 2:
        return None
    slowest = max(range(len(times)), key=lambda process: times[process].host)
    own = times[slowest]
    others = [one for process, one in enumerate(times) if process != slowest]
    host = statistics.median(one.host for one in others)
    waiting = statistics.median(one.waiting for one in others)
    holds_up = (
        own.host - host >= _LEAST_EXCESS * own.step
        and own.host >= _LEAST_RATIO * host
        and (own.waiting <= _MOST_WAIT * own.step or not overlaps)
    )
    return Straggler(slowest, own, host, waiting) if holds_up else None


class HostTimes:
    """Measures this process's host time, gathers that of all, and words what the log must tell."""

    def __init__(self, devices: Sequence[jax.Device]):
        self._processes = [device.process_index for device in devices]
        self._own = self._input = self._waited = 0.0  # seconds since the last row
        self._starts = 0  # of steps, since the last row
        self._gathered: jax.Array | None = None
        self._named: int | None = None  # the process that the last line named
        # On CPU the call of a step returns when its collectives have met: nothing overlaps.
        self._start_waits = devices[0].platform == "cpu"
        mesh = Mesh(np.array(devices), ("devices",))
        self._rows = NamedSharding(mesh, PartitionSpec("devices"))
        whole = NamedSharding(mesh, PartitionSpec())
        self._gather = jax.jit(lambda times: times, out_shardings=whole)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time inside as waiting."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._waited += time.monotonic() - began

    @contextlib.contextmanager
    def starting_step(self) -> Iterator[None]:
        """Wraps the call that starts a step."""
        self._starts += 1
        with self.waiting() if self._start_waits else contextlib.nullcontext():
            yield

    def end_interval(self, seconds: Mapping[str, float]) -> list[HostTime] | None:
        """Returns the times of all processes in the interval before; None if they are not known.

        `seconds` are those of this interval by phase (see goodput). Every process must call it
        after the same steps.
        """
        # The host's part of a step is before its start, which may lie in another interval.
        self._own += seconds[STEPS] + seconds.get(INPUT, 0.0)
        self._input += seconds.get(INPUT, 0.0)
        if len(set(self._processes)) < 2 or not self._starts:
            return None
        row = np.array([self._own - self._waited, self._input, self._waited], np.float32)
        row, before = row / self._starts, self._gathered
        self.forget()
        local = self._processes.count(jax.process_index())
        with self.waiting(), jax.transfer_guard("allow"):
            rows = np.tile(row, (local, 1))
            shape = (len(self._processes), len(row))
            self._gathered = self._gather(
                jax.make_array_from_process_local_data(self._rows, rows, shape)
            )
        if before is None:
            return None
        with self.waiting():
            rows = jax.device_get(before)
        return self._by_process(rows)

    def forget(self) -> None:
        """Drops the times so far, such as those of an interval that compiles."""
        self._own = self._input = self._waited = 0.0
        self._starts = 0

    def news(self, times: Sequence[HostTime]) -> str | None:
        """Returns a line if a straggler is new or gone; `times` are those of all processes."""
        found = find_straggler(times, overlaps=not self._start_waits)
        before, self._named = self._named, found and found.process
        if found and found.process != before:
            return str(found)
        if before is not None and found is None:
            return f"process {before} no longer holds the others up"
        return None

    def _by_process(self, rows: np.ndarray) -> list[HostTime]:
        by_process = dict(zip(self._processes, rows.astype(float), strict=True))
        return [HostTime(*by_process[process].tolist()) for process in sorted(by_process)]


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.0f} ms"
