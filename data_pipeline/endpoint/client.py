"""Sends completion and chat requests to any OpenAI-compatible server, concurrently, with retries.

    endpoint = Endpoint("http://127.0.0.1:8000/v1", model="semcoder")
    with Client(endpoint) as client:
        reply = client.ask(CompletionRequest("def f(x):", max_new_tokens=64))
        for index, reply in client.ask_all(requests):  # in order of completion
            ...

Transient failures (no connection, timeout, status 408, 409, 429 or 5xx, a truncated or invalid JSON
body) are retried with exponential backoff. A server's Retry-After overrides the backoff and delays
all requests of the client. Permanent failures (wrong key, unknown model, prompt too long) are
raised at once, and so is a server that is not there: where no request has reached it yet and three
tries of one were refused the connection. The key is read from the environment and appears in no
message. What a server refuses in principle (see `dialect`) is sent otherwise, also for the requests
that follow.

Uses httpx2 because the openai package retries each request separately, so a Retry-After for one
request would not delay the others.
"""

import email.utils
import itertools
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2

from data_pipeline.endpoint.dialect import Dialect, Refusal
from data_pipeline.endpoint.request import CompletionRequest, Messages
from data_pipeline.errors import UserError

__all__ = [
    "Client",
    "CompletionRequest",
    "Endpoint",
    "EndpointError",
    "Messages",
    "Reply",
    "Usage",
]

MAX_BODY_BYTES = 64 << 20  # per reply, so that no server can exhaust the memory
MAX_WAIT_SECONDS = 300.0  # longer Retry-After values are cut to this
_RETRIED = frozenset({408, 409, 425, 429})  # and all 5xx except _NOT_RETRIED
_NOT_RETRIED = frozenset({501, 505})
_UNREACHABLE_TRIES = 3  # refused connections after which a server never reached is not awaited
_VERSION = re.compile(r"/v\d\w*(/|$)")  # in the path of an address
_NO_MODEL = "model_not_found"
_QUOTA = "insufficient_quota"  # a 429 from OpenAI that waiting does not resolve


class EndpointError(UserError, RuntimeError):
    """Reports a request without an answer; the message says where, what, and after how many tries.

    Args:
      final: whether all other requests would fail too (wrong key, address or model).
      refusal: the server's refusal of this request, if it sent one.
    """

    def __init__(self, message: str, *, final: bool = False, refusal: Refusal | None = None):
        super().__init__(message)
        self.final = final
        self.refusal = refusal

    @property
    def refused(self) -> bool:
        """Whether the server rejects this particular request, e.g. a prompt too long."""
        return self.refusal is not None and not self.final


@dataclass(frozen=True)
class Endpoint:
    """Describes a server, a model and the retry policy.

    Args:
      url: base address, such as "https://host/v1".
      model: the model's name on the server.
      key_variable: environment variable with the key; no key is sent if it is unset or empty.
      concurrency: most requests in flight.
      timeout_seconds: limit for connecting, and between two parts of an answer.
      max_tries: tries per request, including the first; answers with Retry-After do not count.
      patience_seconds: time after which a request is not retried.
      first_wait_seconds: wait before the second try; doubles each time, plus up to 25 % jitter.

    Raises EndpointError for an invalid field.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout_seconds: float = 120.0
    max_tries: int = 6
    patience_seconds: float = 900.0
    first_wait_seconds: float = 1.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname)
            _ = parts.port
        except ValueError:
            sound = False
        if not sound:
            raise EndpointError(
                f"url: expected http(s)://host[:port]/path; got {self.url!r}", final=True
            )
        if parts.username is not None or parts.password is not None:
            raise EndpointError(
                f"url: holds a user or password; put the key into the environment variable "
                f"{self.key_variable}",
                final=True,
            )
        if not self.model:
            raise EndpointError("model: expected the name of a model; got ''", final=True)
        for name in ("concurrency", "max_tries"):
            if getattr(self, name) < 1:
                raise EndpointError(
                    f"{name}: expected at least 1; got {getattr(self, name)}", final=True
                )
        for name in ("timeout_seconds", "patience_seconds"):
            if getattr(self, name) <= 0:
                raise EndpointError(
                    f"{name}: expected more than 0; got {getattr(self, name)}", final=True
                )


@dataclass(frozen=True)
class Usage:
    """Holds token counts reported by the server; 0 if it reports none."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True)
class Reply:
    """Holds a server's answer.

    Args:
      texts: one per choice.
      finish_reasons: one per choice: "stop", "length", ...
      tries: number of requests made.
      seconds: time from the first request to the answer, waiting included.
    """

    texts: tuple[str, ...]
    finish_reasons: tuple[str, ...]
    usage: Usage = Usage()
    tries: int = 1
    seconds: float = 0.0


class _TransientError(Exception):
    """Reports a failure worth retrying.

    Args:
      after: seconds from Retry-After, or None.
      is_absent: whether nobody listens at the address.
    """

    def __init__(self, reason: str, after: float | None = None, *, is_absent: bool = False):
        super().__init__(reason)
        self.after = after
        self.is_absent = is_absent


class Client:
    """Sends requests to one endpoint; thread-safe. `close` wakes waiting threads at once.

    `learnt` tells, a line each, how requests are sent otherwise than asked for.
    """

    def __init__(self, endpoint: Endpoint, *, on_retry: Callable[[str], None] | None = None):
        """`on_retry` is called with one line for each failure that is retried, or learnt from."""
        self.endpoint = endpoint
        self._on_retry = on_retry
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0  # monotonic seconds; set by a server's Retry-After
        self._was_reached = False  # whether any request has got a status
        self._told_absent: set[int] = set()  # numbers of the retries told since the last status
        self._dialect = Dialect()
        self.learnt: list[str] = []
        self._pool: ThreadPoolExecutor | None = None
        key = self._key = os.environ.get(endpoint.key_variable, "").strip()
        if not key.isascii() or not key.isprintable():
            raise EndpointError(
                f"{endpoint.key_variable}: expected a key of printable ASCII characters", final=True
            )
        self._http = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(endpoint.timeout_seconds, pool=None),
            limits=httpx2.Limits(
                max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency
            ),
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the client; requests waiting for their next try raise EndpointError."""
        self._closed.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._http.close()

    # ---- asking

    def ask(self, request: CompletionRequest) -> Reply:
        """Sends one request and returns the answer. Raises EndpointError."""
        started = time.monotonic()
        failed = 0
        for number in itertools.count(1):
            self._wait_for_turn()
            try:
                texts, reasons, usage = self._try_dialects(request)
            except _TransientError as failure:
                failed += failure.after is None  # a Retry-After is not a failed try
                if self._is_hopeless(failure, failed):
                    raise EndpointError(
                        f"{self._where(request)}: {failure}, after {failed} tries; is the server "
                        "running?",
                        final=True,
                    ) from None
                patient = time.monotonic() - started < self.endpoint.patience_seconds
                if failed == self.endpoint.max_tries or not patient:
                    tries = "1 try" if number == 1 else f"{number} tries"
                    raise EndpointError(
                        f"{self._where(request)}: {failure}, after {tries}"
                    ) from None
                self._wait_before_retry(max(failed, 1), failure, request)
            else:
                return Reply(texts, reasons, usage, number, time.monotonic() - started)
        raise AssertionError("unreachable")

    def _is_hopeless(self, failure: _TransientError, failed: int) -> bool:
        # A server that was there may come back after a restart; one that never was is a mistake.
        return failure.is_absent and failed >= _UNREACHABLE_TRIES and not self._was_reached

    def ask_all(
        self, requests: Iterable[CompletionRequest]
    ) -> Iterator[tuple[int, Reply | EndpointError]]:
        """Yields (position, answer) of each request as it finishes, `concurrency` at a time.

        Reads `requests` only as others finish. A failed request yields its EndpointError in place
        of the answer; a final error is raised.
        """
        waiting: dict[Future[Reply], int] = {}
        numbered = enumerate(requests)
        exhausted = False
        try:
            while waiting or not exhausted:
                while not exhausted and len(waiting) < self.endpoint.concurrency:
                    try:
                        index, request = next(numbered)
                    except StopIteration:
                        exhausted = True
                        break
                    waiting[self._threads().submit(self.ask, request)] = index
                done, _ = wait(waiting, return_when=FIRST_COMPLETED) if waiting else ((), ())
                for future in sorted(done, key=waiting.__getitem__):
                    index = waiting.pop(future)
                    try:
                        answer: Reply | EndpointError = future.result()
                    except EndpointError as error:
                        if error.final:
                            raise
                        answer = error
                    yield index, answer
        finally:
            for future in waiting:
                future.cancel()

    def models(self) -> tuple[str, ...]:
        """Returns the names of the models that the server offers. Raises EndpointError."""
        where = f"{self.endpoint.url.rstrip('/')}/models"
        try:
            response = self._http.get(where)
        except httpx2.HTTPError as error:
            raise EndpointError(f"{where}: {_reason(error)}", final=True) from None
        if response.status_code != 200:
            raise EndpointError(f"{where}: status {response.status_code}", final=True)
        try:
            return tuple(str(row["id"]) for row in response.json()["data"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise EndpointError(
                f"{where}: expected a list of models; got something else", final=True
            ) from None

    # ---- one try

    def _try_dialects(
        self, request: CompletionRequest
    ) -> tuple[tuple[str, ...], tuple[str, ...], Usage]:
        """Sends a request as the server wants it; remembers what it learns from refusals."""
        dialect, missing_route = self._dialect, None
        while True:
            form = dialect.form(request)
            try:
                texts, reasons, usage = self._try_once(form, dialect)
            except EndpointError as error:
                changed = dialect.after(request, error.refusal) if error.refusal else None
                if changed is None:
                    raise self._with_hint(_both(missing_route, error)) from None
                if changed.uses_fallback != dialect.uses_fallback:
                    missing_route = error
                dialect = changed
            else:
                self._remember(dialect)
                return dialect.texts(form, texts), reasons, usage

    def _with_hint(self, error: EndpointError) -> EndpointError:
        """Adds to a missing route what the address lacks, if it names no version of the API."""
        refusal = error.refusal
        has_version = _VERSION.search(urlsplit(self.endpoint.url).path)
        if has_version or refusal is None or refusal.status != 404 or refusal.code == _NO_MODEL:
            return error
        hint = f"the address should end in /v1 ({self.endpoint.url.rstrip('/')}/v1)"
        return EndpointError(f"{error}; {hint}", final=error.final, refusal=refusal)

    def _remember(self, dialect: Dialect) -> None:
        with self._lock:
            before = self._dialect
            self._dialect = before.joined(replace(dialect, is_settled=True))
            new = [f"{self.endpoint.url}: asked {how}" for how in self._dialect.differences(before)]
            self.learnt += new
        for line in new if self._on_retry is not None else ():
            self._on_retry(line)

    def _try_once(
        self, request: CompletionRequest, dialect: Dialect
    ) -> tuple[tuple[str, ...], tuple[str, ...], Usage]:
        where = f"{self.endpoint.url.rstrip('/')}/{request.path}"
        try:
            body_sent = dialect.body(request, self.endpoint.model)
            with self._http.stream("POST", where, json=body_sent) as response:
                self._was_reached = True
                self._told_absent.clear()
                status, headers = response.status_code, response.headers
                body = self._read(response, request)
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise EndpointError(f"{where}: {_reason(error)}", final=True) from None
        except httpx2.HTTPError as error:
            raise _TransientError(_reason(error), is_absent=_is_absent(error)) from None
        except RuntimeError:  # closed by another thread meanwhile
            raise EndpointError(f"{where}: the client was closed") from None
        if status == 200:
            return _choices(body, chat=request.path != "completions", n=request.n)
        refusal = _refusal(status, body)
        if self._key:  # some servers quote a key that they refuse
            refusal = replace(refusal, message=refusal.message.replace(self._key, "…"))
        reason = f"status {status}{f': {refusal.message}' if refusal.message else ''}"
        final = status in (401, 402, 403, 404) or refusal.code == _QUOTA
        if final or not (
            status in _RETRIED or (500 <= status <= 599 and status not in _NOT_RETRIED)
        ):
            raise EndpointError(f"{where}: {reason}", final=final, refusal=refusal)
        raise _TransientError(reason, _retry_after(headers))

    def _read(self, response: Any, request: CompletionRequest) -> bytes:
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise EndpointError(
                    f"{self._where(request)}: an answer of over {MAX_BODY_BYTES} bytes"
                )
        return bytes(body)

    # ---- waiting

    def _wait_for_turn(self) -> None:
        while True:
            with self._lock:
                left = self._not_before - time.monotonic()
            if self._closed.wait(max(left, 0.0)):
                raise EndpointError(f"{self.endpoint.url}: the client was closed")
            if left <= 0:
                return

    def _wait_before_retry(
        self, number: int, failure: _TransientError, request: CompletionRequest
    ) -> None:
        """Waits before the next try; a Retry-After delays all requests of this client."""
        # The jitter spreads the retries of threads that failed together; no result depends on it.
        seconds = self.endpoint.first_wait_seconds * 2 ** (number - 1) * (1 + random.random() / 4)
        seconds = min(seconds, MAX_WAIT_SECONDS)
        if failure.after is not None:
            seconds = min(
                max(failure.after, self.endpoint.first_wait_seconds / 4), MAX_WAIT_SECONDS
            )
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + seconds)
        is_new = not failure.is_absent or number not in self._told_absent
        if failure.is_absent:  # which all requests in flight find out together
            self._told_absent.add(number)
        if self._on_retry is not None and is_new:
            self._on_retry(f"{self._where(request)}: {failure}; trying again in {seconds:.1f} s")
        if self._closed.wait(seconds):
            raise EndpointError(f"{self.endpoint.url}: the client was closed")

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.endpoint.concurrency, "endpoint")
            return self._pool

    def _where(self, request: CompletionRequest) -> str:
        return f"{self.endpoint.url.rstrip('/')}/{request.path}"


# ---- reading answers: untrusted data -------------------------------------------------------------


def _choices(body: bytes, *, chat: bool, n: int) -> tuple[tuple[str, ...], tuple[str, ...], Usage]:
    """Returns texts, finish reasons and usage. Raises _TransientError for a malformed body."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise _TransientError("the answer is not complete JSON") from None
    try:
        rows = sorted(told["choices"], key=lambda row: row.get("index", 0))
        # A chat model returns null content if it only reasoned or called a tool.
        texts = [(row["message"]["content"] if chat else row["text"]) or "" for row in rows]
        reasons = [row.get("finish_reason") or "" for row in rows]
        if len(rows) != n or not all(isinstance(text, str) for text in (*texts, *reasons)):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _TransientError(f"the answer has no {n} choice{'s' * (n != 1)} with text") from None
    usage = told.get("usage")
    counts = [
        usage.get(name) if isinstance(usage, dict) else None
        for name in ("prompt_tokens", "completion_tokens")
    ]
    counts = [count if type(count) is int and count >= 0 else 0 for count in counts]
    return tuple(texts), tuple(reasons), Usage(*counts)


def _refusal(status: int, body: bytes) -> Refusal:
    """Reads an error body: OpenAI's, a bare text, or FastAPI's `detail`."""
    try:
        told = json.loads(body)
        error = told.get("error", told.get("detail", told))
        if isinstance(error, list):  # FastAPI: one entry per wrong field
            error = {
                "message": "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error),
                "param": str(error[0]["loc"][-1]),
            }
        if isinstance(error, str):
            error = {"message": error}
        message, code, param = (str(error.get(k) or "") for k in ("message", "code", "param"))
    except (ValueError, AttributeError, RecursionError, LookupError, TypeError):
        return Refusal(status)
    return Refusal(status, " ".join(message.split())[:300], code, param)


def _both(first: EndpointError | None, error: EndpointError) -> EndpointError:
    """Returns the error to raise if a server refuses a request in both forms."""
    if first is None:
        return error
    return EndpointError(f"{first}; {error}", final=error.final, refusal=error.refusal)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Reads seconds from a number or a date (RFC 9110, 10.2.3); None if there is neither."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
        return seconds if seconds == seconds else None
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError):
        return None


def _is_absent(error: BaseException | None) -> bool:
    """Whether a transport error goes back to a refused connection."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _reason(error: Exception) -> str:
    """Describes a transport error in one line."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.RemoteProtocolError):
        return "the answer was cut short"
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
