"""Caches an endpoint's replies on disk, so that a stopped build does not repeat its requests.

Each reply is one JSON line, appended in a single write and flushed to disk, so a killed process
loses at most the reply being written. Several processes may append to one file. Unreadable (torn)
lines are skipped and requested again. API keys and headers are not stored.
"""

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

from data_pipeline.endpoint.client import Client, CompletionRequest, Reply, Usage
from data_pipeline.errors import UserError
from data_pipeline.files import (
    FileError,
    append_row,
    as_path,
    check_replaceable,
    has_fields,
    is_remote,
    lock_file,
    open_appended,
    open_exclusively,
    parse_row,
    unlock_file,
)


class ReplyCacheError(UserError, OSError):
    """Reports a cache file that cannot be used; the message is one line."""


def request_key(request: CompletionRequest, url: str, model: str) -> str:
    """Returns the cache key of a request: 128 bits of the SHA-256 of address, path and body."""
    content = json.dumps([url.rstrip("/"), request.path, request.body(model)], sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class ReplyCache:
    """Stores replies in one file, created if missing. Safe for threads and processes.

    Only the positions of replies are held in memory. `torn` counts unreadable lines. A file in an
    object store belongs to one process until it is closed.
    Raises ReplyCacheError.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = as_path(path)
        self._open = contextlib.ExitStack()
        self.torn = 0
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}  # key -> first byte and length of its line
        try:
            check_replaceable("cache", self.path, has_fields("key", "texts", "finish_reasons"))
            opener = open_exclusively if is_remote(self.path) else open_appended
            self._file = self._open.enter_context(opener(self.path))
            self._load()
        except OSError as error:
            self._open.close()
            raise ReplyCacheError(f"{self.path}: {error.strerror or error}") from None
        except UserError as error:
            raise ReplyCacheError(str(error)) from None

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Closes the file. Safe to call twice."""
        with self._lock:
            self._open.close()

    def get(self, key: str) -> Reply | None:
        """Returns the cached reply, or None."""
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            line = os.pread(self._file.fileno(), place[1], place[0])
        try:
            found, reply = decode_reply(line)
        except ValueError:  # the file was truncated meanwhile
            return None
        return reply if found == key else None

    def put(self, key: str, reply: Reply) -> None:
        """Writes a reply and flushes it to disk. Raises ReplyCacheError."""
        row = reply_row(key, reply)
        with self._lock:
            file = self._file.fileno()
            lock_file(file, self.path, wait=True)
            try:
                self._places[key] = append_row(file, row, self.path, durable=True)
            except FileError as error:
                raise ReplyCacheError(str(error)) from error
            finally:
                unlock_file(file)

    def _load(self) -> None:
        start = 0
        with self._file.reader() as file:
            for line in file:
                try:
                    key, _ = decode_reply(line)
                    self._places[key] = start, len(line)
                except ValueError:
                    self.torn += bool(line.strip())
                start += len(line)


def reply_row(key: str, reply: Reply) -> dict[str, Any]:
    """Returns the row that `decode_reply` reads."""
    return {
        "key": key,
        "texts": reply.texts,
        "finish_reasons": reply.finish_reasons,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
    }


def decode_reply(line: bytes) -> tuple[str, Reply]:
    """Parses a line into key and reply; raises ValueError."""
    try:
        row = parse_row(line, "reply")
        key, texts, reasons = str(row["key"]), tuple(row["texts"]), tuple(row["finish_reasons"])
        usage = Usage(int(row["prompt_tokens"]), int(row["completion_tokens"]))
    except (KeyError, TypeError) as error:
        raise ValueError("no reply") from error
    if len(texts) != len(reasons) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no reply")
    return key, Reply(texts, reasons, usage, tries=0)


class ReplyStore(Protocol):
    """Stores replies by key."""

    def get(self, key: str) -> Reply | None: ...
    def put(self, key: str, reply: Reply) -> None: ...


@dataclass(frozen=True)
class Prices:
    """Holds a server's prices per million tokens, in any currency."""

    prompt_per_million: float = 0.0
    completion_per_million: float = 0.0

    def of(self, usage: Usage) -> float:
        return (
            usage.prompt_tokens * self.prompt_per_million
            + usage.completion_tokens * self.completion_per_million
        ) / 1e6


@dataclass
class Spending:
    """Counts requests and tokens.

    `asked` and `usage` count requests answered by the server in this run; `cached` and
    `cached_usage` count requests answered from disk, with their original token counts.
    """

    prices: Prices = Prices()
    asked: int = 0
    cached: int = 0
    usage: Usage = field(default_factory=Usage)
    cached_usage: Usage = field(default_factory=Usage)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def cost(self) -> float:
        """Returns the cost of this run."""
        return self.prices.of(self.usage)

    @property
    def total_cost(self) -> float:
        """Returns the cost of this run plus the original cost of cached replies."""
        return self.prices.of(self.usage + self.cached_usage)

    def count(self, reply: Reply, *, cached: bool) -> None:
        with self._lock:
            if cached:
                self.cached += 1
                self.cached_usage += reply.usage
            else:
                self.asked += 1
                self.usage += reply.usage


class CachedClient:
    """Sends each distinct request once and caches the reply.

    The caller closes the cache. Without a cache every request goes to the server.
    """

    def __init__(self, client: Client, cache: ReplyStore | None = None, prices: Prices = Prices()):
        self.client = client
        self.cache = cache
        self.spending = Spending(prices)

    def ask(self, request: CompletionRequest) -> Reply:
        """Returns the cached or new reply to a request. Raises EndpointError."""
        endpoint = self.client.endpoint
        key = request_key(request, endpoint.url, endpoint.model)
        known = self.cache.get(key) if self.cache is not None else None
        if known is not None:
            self.spending.count(known, cached=True)
            return known
        reply = self.client.ask(request)
        if self.cache is not None:
            self.cache.put(key, reply)
        self.spending.count(reply, cached=False)
        return reply
