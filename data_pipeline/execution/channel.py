"""Gives one run to a worker and reads what its processes write, within limits.

The worker gets the run's limits over its control socket. The run's request and its pipes go with
them as descriptors, past the worker's memory to the sample's process.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.execution.guest.messages import HEAD
from data_pipeline.execution.job import Limits

START_SECONDS = 60.0
_MAX_ROW = 1 << 16  # bytes of a worker's report
_CHUNK = 1 << 16
_SHORT = 5  # ms; what a shorter run writes waits in its pipes, and one wake-up reads all of it


class WorkerLost(Exception):
    """The worker ended or did not answer in time."""


@dataclass(frozen=True)
class Run:
    """One run: what its processes read, and its limits.

    request:   JSON of the job, or of the test in a run of test and program
    program:   JSON of the program in a run of test and program, else None
    stretches: number of times that the wall limit restarts for a run that used CPU time
    """

    request: bytes
    limits: Limits
    program: bytes | None = None
    stdin: bytes | None = None
    stretches: int = 0


@dataclass(frozen=True)
class Report:
    """How a run ended, and what its process wrote.

    ended:  None, or ["limit", kind, detail] of the limit that it passed
    reason: how its process ended
    answer: untrusted bytes, see `answers`
    """

    ended: list[str] | None
    reason: str
    answer: bytes = field(repr=False)
    stdout: str
    cpu: float
    wall: float
    peak: int


class _Sink:
    """The host's end of a pipe that a sample writes; reads until `limit` is passed."""

    def __init__(self, descriptor: int, limit: int):
        self.descriptor, self.limit = descriptor, limit
        self.data = bytearray()
        os.set_blocking(descriptor, False)

    @property
    def passed(self) -> bool:
        return len(self.data) > self.limit

    def drain(self) -> None:
        """Reads the bytes that are there."""
        while not self.passed:
            try:
                part = os.read(self.descriptor, _CHUNK)
            except BlockingIOError:
                return
            if not part:
                return
            self.data += part


@dataclass
class WorkerProcess:
    """A running worker and its control socket."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    tier: str
    errors: Any = field(repr=False)
    runs: int = 0  # given so far

    def run(self, run: Run) -> Report:
        """Runs one sample. Raises WorkerLost."""
        patience = 30.0 + 3 * run.limits.wall_seconds * (1 + run.stretches)
        try:
            with _descriptors(run) as (theirs, output, answer):
                self._order(run, theirs)
                row = self._watch((output, answer), time.monotonic() + patience)
        except (OSError, EOFError, ValueError) as error:
            self.stop()
            raise WorkerLost(self.last_words() or str(error) or "no answer") from None
        ended = row["ended"]
        for sink, what in ((output, "stdout"), (answer, "the result")):
            if ended in (None, ["end"]) and sink.passed:
                ended = ["limit", "output", f"{what} passed {sink.limit} bytes"]
        text = bytes(output.data).decode("utf-8", "replace")
        return Report(
            ended, row["reason"], bytes(answer.data), text, row["cpu"], row["wall"], row["peak"]
        )

    def _order(self, run: Run, descriptors: list[int]) -> None:
        self.runs += 1
        limits = run.limits
        order = {
            "number": self.runs,
            "limits": {
                "cpu_seconds": limits.cpu_seconds,
                "wall_seconds": limits.wall_seconds,
                "memory_bytes": limits.memory_bytes,
            },
            "test": run.program is not None,
            "stretches": run.stretches,
        }
        data = json.dumps(order).encode()
        self.control.settimeout(START_SECONDS)
        socket.send_fds(self.control, [len(data).to_bytes(HEAD, "big") + data], descriptors)

    def _watch(self, sinks: tuple[_Sink, _Sink], deadline: float) -> dict[str, Any]:
        """Reads the pipes until the worker reports; has it end a sample that writes too much."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        reading = {sink.descriptor: sink for sink in sinks}
        events = poll.poll(_SHORT)
        if not events:
            for descriptor in reading:
                poll.register(descriptor, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            events = events or poll.poll(1000 * left)
            for descriptor, _ in events:
                if (sink := reading.get(descriptor)) is None:
                    continue
                sink.drain()
                if sink.passed:
                    poll.unregister(descriptor)
                    self.send({"end": self.runs})
            if any(descriptor not in reading for descriptor, _ in events):
                row = self.receive(_MAX_ROW)
                for sink in sinks:
                    sink.drain()
                return row
            events = []
        raise TimeoutError("the worker did not answer in time")

    def send(self, message: Any) -> None:
        data = json.dumps(message).encode()
        self.control.sendall(len(data).to_bytes(HEAD, "big") + data)

    def receive(self, most: int) -> Any:
        """Returns the worker's next message. Raises OSError, EOFError and ValueError."""
        size = int.from_bytes(self._read(HEAD), "big")
        if size > most:
            raise ValueError(f"the worker sent {size} bytes")
        return json.loads(self._read(size))

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            part = self.control.recv(size)
            if not part:
                raise EOFError("the worker ended")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def last_words(self) -> str:
        if self.errors.closed:
            return ""
        self.errors.seek(0)
        return self.errors.read()[-2000:].decode(errors="replace").strip()

    def stop(self) -> None:
        """Ends the worker and its samples. Safe to call twice."""
        self.control.close()
        if self.process.poll() is None:
            self.process.kill()  # and with it the worker, see PDEATHSIG there
        self.process.wait()

    def close(self) -> None:
        self.stop()
        self.errors.close()


@contextlib.contextmanager
def _descriptors(run: Run) -> Iterator[tuple[list[int], _Sink, _Sink]]:
    """Opens the descriptors of a run: those of its processes, and the host's ends of its pipes.

    All are the run's own, so that nothing of one run can reach another.
    """
    with contextlib.ExitStack() as opened:

        def keep(descriptor: int) -> int:
            opened.callback(os.close, descriptor)
            return descriptor

        null = keep(os.open(os.devnull, os.O_RDWR))
        (output, output_end), (answer, answer_end) = (map(keep, os.pipe()) for _ in range(2))
        stdin = null if run.stdin is None else keep(_file(run.stdin))
        messages = [run.request] if run.program is None else [run.request, run.program]
        requests = [keep(_file(len(data).to_bytes(HEAD, "big") + data)) for data in messages]
        yield (
            [null, stdin, output_end, answer_end, *requests],
            _Sink(output, run.limits.output_bytes),
            _Sink(answer, run.limits.answer_bytes + HEAD),
        )


def _file(data: bytes) -> int:
    """Returns a descriptor from which `data` can be read once."""
    descriptor = os.memfd_create("run")
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
