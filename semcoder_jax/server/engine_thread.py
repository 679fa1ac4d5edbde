"""Runs the engine in its own thread and forwards updates to the event loop; bounds the queue."""

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import AsyncIterator, Sequence

from semcoder_jax.inference.engine import Engine, Request, Update
from semcoder_jax.inference.request import OpenRequest

logger = logging.getLogger("semcoder_jax.server")
IDLE_SECONDS = 1.0  # between looks at whether to stop; work wakes the thread at once


class QueueFullError(RuntimeError):
    """Raised if the queue is full; `retry_after` is an estimate in seconds."""

    def __init__(self, message: str, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class EngineStoppedError(RuntimeError):
    """Raised if the engine has failed, or is shutting down."""


@dataclasses.dataclass
class _Ticket:
    """Queue for the updates of a request; `left` counts the samples that have not ended."""

    updates: asyncio.Queue
    left: int


class EngineThread:
    """Runs `engine.step` while there is work.

    Args:
      engine: engine whose `step` only this thread calls.
      max_waiting: maximum number of open samples beyond the engine's slots.
    """

    def __init__(self, engine: Engine, *, max_waiting: int):
        self.engine = engine
        self.capacity = engine.num_slots + max_waiting
        self.failure: BaseException | None = None
        self._tickets: dict[int, _Ticket] = {}
        self._lock = threading.Lock()  # of _tickets
        self._sample_seconds = 1.0  # that a sample has lately taken, waiting left out
        self._wake = threading.Event()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def num_open(self) -> int:
        """Number of open samples, active or waiting."""
        return sum(ticket.left for ticket in tuple(self._tickets.values()))

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and self.failure is None

    def start(self) -> None:
        """Starts the thread; call it from the event loop that awaits the updates."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Drops all open requests and ends the thread; does nothing if it has ended."""
        self.abort()
        if self._thread.is_alive():
            self._thread.join()

    def abort(self) -> None:
        """Lets the thread end after its step, without waiting; open requests then fail."""
        self._stopping = True
        self._wake.set()

    async def updates(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Update]]:
        """Yields (index of the request, update) until all samples have ended.

        Accepts all requests or none: raises SamplingError if one cannot be served,
        QueueFullError, or EngineStoppedError. Closing the iterator cancels the open samples.
        """
        inbox: asyncio.Queue = asyncio.Queue()
        index_of: dict[int, int] = {}
        left = sum(request.n for request in requests)
        self._check_room(left)
        # In a thread: a grammar is compiled, and all tokens are looked at.
        opened = await asyncio.to_thread(lambda: [self.engine.open(each) for each in requests])
        try:
            self._submit(opened, left, inbox, index_of)
            while left:
                update = await inbox.get()
                if isinstance(update, EngineStoppedError):
                    raise update
                left -= update.generation is not None
                yield index_of[update.ticket], update
        finally:
            self._cancel_open(index_of)

    def _submit(
        self, requests: Sequence[OpenRequest], count: int, inbox, index_of: dict[int, int]
    ) -> None:
        with self._lock:  # also held by `_dispatch`: no update precedes its ticket
            self._check_room(count)
            for index, request in enumerate(requests):
                ticket = self.engine.submit(request)
                index_of[ticket] = index
                self._tickets[ticket] = _Ticket(inbox, request.request.n)
        self._wake.set()

    def _check_room(self, count: int) -> None:
        """Raises QueueFullError or EngineStoppedError if `count` more samples cannot be taken."""
        if not self.alive or self._stopping:
            raise EngineStoppedError("the engine is not running")
        num_open = self.num_open
        if num_open + count > self.capacity:
            waiting = max(num_open - self.engine.num_slots, 0) + count
            rounds = -(-waiting // self.engine.num_slots)
            raise QueueFullError(
                f"{num_open} samples are in hand, the server takes {self.capacity}: "
                "try again later",
                max(1, min(round(rounds * self._sample_seconds), 600)),
            )

    def _cancel_open(self, tickets: dict[int, int]) -> None:
        """Cancels the tickets that are still open."""
        with self._lock:
            for number in tickets:
                if self._tickets.pop(number, None) is not None:
                    self.engine.cancel(number)
        self._wake.set()

    def _run(self) -> None:
        began: dict[int, float] = {}
        try:
            while not self._stopping:
                self._wake.clear()
                if not self.engine.busy:
                    self._wake.wait(IDLE_SECONDS)
                    continue
                started = time.monotonic()
                for update in self.engine.step():
                    began.setdefault(update.ticket, started)
                    self._dispatch(update, started - began[update.ticket])
                began = {number: at for number, at in began.items() if number in self._tickets}
        except BaseException as error:
            self.failure = error
            logger.exception("the engine has failed")
        with self._lock:
            tickets, self._tickets = self._tickets, {}
        for inbox in {id(t.updates): t.updates for t in tickets.values()}.values():
            self._send(inbox, EngineStoppedError("the engine has stopped"))

    def _dispatch(self, update: Update, seconds: float) -> None:
        with self._lock:
            ticket = self._tickets.get(update.ticket)
            if ticket is None:
                return
            if update.generation is not None:
                self._sample_seconds += 0.1 * (seconds - self._sample_seconds)
                ticket.left -= 1
                if not ticket.left:
                    del self._tickets[update.ticket]
        self._send(ticket.updates, update)

    def _send(self, inbox: asyncio.Queue, news) -> None:
        try:
            self._loop.call_soon_threadsafe(inbox.put_nowait, news)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            logger.debug("news after the end of the event loop")
