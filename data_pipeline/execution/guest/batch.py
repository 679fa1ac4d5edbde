"""Answers calls of one program one after another, each as if it had a process of its own.

Each call finds a fresh module, clock and randomness, and no garbage. What cannot be made fresh is
watched. The process ends, and leaves the remaining calls to another one, before it answers a call
after its first that wrote output or ran out of memory, and after a call that changed a module
(`surroundings`). So no answer depends on the calls before it.
Standard library only: runs inside the sandbox.
"""

import gc
import io
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from data_pipeline.execution.guest.messages import ANSWER, send
from data_pipeline.execution.guest.surroundings import Surroundings


class Batch:
    """A request {"program", "calls", "trace"}: gives its jobs and sends their answers."""

    def __init__(self, request: Mapping[str, Any]):
        self._request = request
        self._surroundings = Surroundings(request["program"])
        self._sink: _Sink | None = None  # the first call writes to the caller

    def jobs(self) -> Iterator[dict[str, Any]]:
        for call in self._request["calls"]:
            yield {**self._request, "mode": "call", "call": call}

    def send_answer(self, answer: Mapping[str, Any]) -> bool:
        """Sends the answer to a job unless it is suspect; returns whether the next may run here."""
        if self._sink is None:
            sys.stdout.flush()
        elif self._sink.is_used or answer["outcome"][:2] == ["limit", "memory"]:
            return False
        send(ANSWER, answer)
        gc.collect()
        if self._sink is None:
            gc.freeze()  # the compiled program, which stays
            self._sink = sys.stdout = _Sink()
        return self._surroundings.are_unchanged()


class _Sink(io.TextIOBase):
    """Accepts text, drops it, and remembers that there was some."""

    is_used = False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.is_used = True
        return len(text)
