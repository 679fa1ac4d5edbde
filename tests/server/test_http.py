"""Tests what a server does with requests that a browser page or a slow client may send."""

import contextlib
import socket
import threading
import time

import pytest

from tests.support.tiny_server import HEADER_SECONDS, KEY, PROXY

pytest.importorskip("uvicorn", reason="needs the serve extra")
httpx = pytest.importorskip("httpx2", reason="comes with openai 3")

from semcoder_jax.server.protocol import most_prompt_bytes, parse_request  # noqa: E402


def _exchange(address, head, body=b"", pause=0.0):
    """Sends raw bytes and returns the status line of the answer."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        time.sleep(pause)
        return connection.recv(1 << 16).decode().partition("\r\n")[0]


def test_a_page_of_another_site_cannot_ask_under_its_own_name(served):
    address, _ = served
    key = f"Authorization: Bearer {KEY}\n"
    for path in ("/v1/models", "/health", "/metrics"):
        for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", ""):
            answer = _exchange(address, f"GET {path} HTTP/1.1\nHost: {host}\n{key}\n")
            assert " 421 " in answer, host
        for host in ("localhost", "127.0.0.1:1", "[::1]:1", PROXY.upper()):
            answer = _exchange(address, f"GET {path} HTTP/1.1\nHost: {host}\n{key}\n")
            assert " 200 " in answer, host
    twice = "GET /health HTTP/1.1\nHost: localhost\nHost: evil.example\n\n"
    assert " 400 " in _exchange(address, twice)


def test_a_body_with_two_lengths_is_refused(served):
    address, _ = served
    lengths = "Content-Length: 4", "Transfer-Encoding: chunked"
    for first, second in (lengths, lengths[::-1]):
        head = (
            f"POST /v1/completions HTTP/1.1\nHost: localhost\nAuthorization: Bearer {KEY}\n"
            f"Content-Type: application/json\n{first}\n{second}\n\n"
        )
        assert " 400 " in _exchange(address, head, b"0\r\n\r\n")


def test_a_slow_body_ends(served):
    address, _ = served
    head = (
        f"POST /v1/completions HTTP/1.1\nHost: localhost\nAuthorization: Bearer {KEY}\n"
        "Content-Type: application/json\nContent-Length: 100\n\n"
    )
    started = time.monotonic()
    assert " 408 " in _exchange(address, head, b'{"prompt')
    assert 1 < time.monotonic() - started < 20


REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "sent"),
    [(b"", b""), (b"", REQUEST[:-2] + b"X-Header: "), (REQUEST, b"GET /health HT")],
    ids=["idle", "first", "second"],
)
def test_a_connection_that_drips_its_headers_is_closed(served, before, sent):
    host, port = served[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(before)
        if before:
            assert b" 200 " in connection.recv(1 << 16)
        started = time.monotonic()
        connection.sendall(sent or b"G")
        connection.settimeout(0.1)
        rest = b"-" if sent else b""  # an idle beginning is no better than a slow one
        while True:
            try:
                if not connection.recv(1 << 16):
                    break
            except TimeoutError:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(rest)
            except ConnectionResetError:
                break
            assert time.monotonic() - started < 15
    assert time.monotonic() - started > 0.9 * HEADER_SECONDS


def test_headers_that_arrive_slowly_but_in_time_are_answered(served):
    host, port = served[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for _ in range(3):  # more time in all than one request's headers have
            for part in (REQUEST[:9], REQUEST[9:-1], REQUEST[-1:]):
                time.sleep(0.15 * HEADER_SECONDS)
                connection.sendall(part)
            assert b" 200 " in connection.recv(1 << 16)


def test_a_large_prompt_stops_nobody(served, post, monkeypatch):
    """While megabytes are read, other clients are answered."""
    address, _ = served
    slow, entered = threading.Event(), threading.Event()

    def parse_slowly(*arguments, **options):
        entered.set()
        slow.wait(60)
        return parse_request(*arguments, **options)

    monkeypatch.setattr("semcoder_jax.server.app.parse_request", parse_slowly)
    codes = []
    asker = threading.Thread(
        target=lambda: codes.append(post(prompt="a b " * (1 << 21), max_tokens=2))
    )
    asker.start()
    assert entered.wait(60)
    assert httpx.get(address + "/health", timeout=10).status_code == 200
    slow.set()
    asker.join(60)
    assert codes[0].status_code == 400
    assert "bytes, more than the 255 tokens" in codes[0].json()["error"]["message"]


def test_the_bound_in_bytes_refuses_no_prompt_that_fits(model):
    """Repeating the longest token of the vocabulary is the longest text of so many tokens."""
    texts = [model.tokenizer.decode([i]) for i in range(len(model.tokenizer))]
    longest = max(texts, key=lambda text: len(text.encode()))
    assert len((longest * 7).encode()) <= most_prompt_bytes(model.tokenizer, 7)
