"""Closes connections whose request's headers do not arrive in time.

uvicorn bounds the time between two requests, not the time of one: a client that sends a byte now
and then would hold a connection for ever. The body has a limit of its own (`app._read_body`).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEADER_SECONDS = 30.0


def limit_headers(seconds: float = HEADER_SECONDS) -> type[asyncio.Protocol]:
    """Returns uvicorn's protocol, which closes a connection if headers take longer."""

    class TimedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_headers()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._answers():
                self._stop_waiting()
            else:
                self._wait_for_headers()

        def connection_lost(self, error: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(error)

        def _answers(self) -> bool:
            """Whether a request's headers have arrived and its response is not complete."""
            return self.cycle is not None and not self.cycle.response_complete

        def _wait_for_headers(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(seconds, self._end)

        def _stop_waiting(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _end(self) -> None:
            self._timer = None
            if not self._answers():
                self.transport.close()

    return TimedProtocol
