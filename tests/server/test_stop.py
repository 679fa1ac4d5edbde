"""Tests how a server ends at SIGINT and SIGTERM with a stream under way."""

import asyncio
import os
import signal
import threading
import time

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the serve extra")
httpx = pytest.importorskip("httpx2", reason="comes with openai 3")

from semcoder_jax.server.run import bind_socket, make_server, server_logs  # noqa: E402


def stop_during_stream(numbers, *, grace, obeys):
    """Returns (seconds from the first signal to the end, what the client received).

    The signals come 0.3 s apart, the first with the first portion of a stream that has no end;
    `obeys`: it ends with "stopped" once the server wants it to.
    """
    wanted, received, began = threading.Event(), bytearray(), []

    async def app(scope, receive, send):
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not (obeys and wanted.is_set()):
            await send({"type": "http.response.body", "body": b"more ", "more_body": True})
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"stopped"})

    def read(address):
        try:
            with httpx.stream("GET", address, timeout=30) as answer:
                for portion in answer.iter_bytes():
                    received.extend(portion)
                    if not began:
                        began.append(time.monotonic())
                        threading.Thread(target=send_signals).start()
        except httpx.RemoteProtocolError:
            received.extend(b"(cut)")

    def send_signals():
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.3)

    options = {"log_config": None, "access_log": False, "lifespan": "off", "ws": "none"}
    config = uvicorn.Config(app, timeout_graceful_shutdown=grace, **options)
    with bind_socket("127.0.0.1", 0) as listener, server_logs():
        listener.listen()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        reader = threading.Thread(target=read, args=(address,))
        reader.start()
        make_server(uvicorn, config, on_stop=wanted.set).run(sockets=[listener])
        seconds = time.monotonic() - began[0]
        reader.join(30)
    return seconds, received.decode().split()[-1]


INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("numbers", "grace", "obeys", "least", "end"),
    [
        ([INT], 60, True, 0.0, "stopped"),  # at once, with its own end
        ([INT], 60, False, 1.0, "(cut)"),  # a second later, where it does not end itself
        ([INT, INT], 60, False, 0.3, "(cut)"),
        ([TERM, INT], 60, False, 0.3, "(cut)"),
        ([TERM], 1, True, 1.0, "stopped"),  # not before the grace is over
    ],
)
def test_a_stream_under_way_ends(numbers, grace, obeys, least, end, capsys):
    handlers = [signal.getsignal(number) for number in (INT, TERM)]
    seconds, last = stop_during_stream(numbers, grace=grace, obeys=obeys)
    assert last == end
    assert least <= seconds < 30  # far below the grace of 60 s, also on a busy machine
    assert "Traceback" not in capsys.readouterr().err
    assert handlers == [signal.getsignal(number) for number in (INT, TERM)]
