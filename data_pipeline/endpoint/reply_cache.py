"""Replies of an endpoint kept on disk, so that a stopped build goes on without asking again.

One JSON object a line, appended in a single write and flushed to the disk: a kill at any byte costs
at most the reply being written. Several processes may append to one file. What cannot be read (a
torn line) is skipped and asked for again. No key and no header is stored.
"""

import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from data_pipeline.endpoint.client import Ask, Client, Reply, Usage
from data_pipeline.errors import UserError
from data_pipeline.files import FileError, append_row, lock_file, parse_row, unlock_file


class ReplyCacheError(UserError, OSError):
    """A cache file that cannot be used; the message is one line."""


def request_key(ask: Ask, url: str, model: str) -> str:
    """What a request is known by: 128 bits of the SHA-256 of address, path and body."""
    content = json.dumps([url.rstrip("/"), ask.path, ask.body(model)], sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class ReplyCache:
    """The replies in one file, which is made where it is missing. Safe for threads and processes.

    Only where each reply stands is kept in memory. torn: lines that could not be read.
    Raises ReplyCacheError.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.torn = 0
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}  # key -> first byte and length of its line
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._load()
        except OSError as error:
            raise ReplyCacheError(f"{self.path}: {error.strerror or error}") from None

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Closes the file. Safe to call twice."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def get(self, key: str) -> Reply | None:
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            line = os.pread(self._file, place[1], place[0])
        try:
            found, reply = _read(line)
        except ValueError:  # someone has cut the file meanwhile
            return None
        return reply if found == key else None

    def put(self, key: str, reply: Reply) -> None:
        """Writes a reply to the disk before it returns. Raises ReplyCacheError."""
        row = {
            "key": key,
            "texts": reply.texts,
            "finish_reasons": reply.finish_reasons,
            "prompt_tokens": reply.usage.prompt_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        }
        with self._lock:
            lock_file(self._file, self.path, wait=True)
            try:
                self._places[key] = append_row(self._file, row, self.path, durable=True)
            except FileError as error:
                raise ReplyCacheError(str(error)) from error
            finally:
                unlock_file(self._file)

    def _load(self) -> None:
        start = 0
        with open(self.path, "rb") as file:
            for line in file:
                try:
                    key, _ = _read(line)
                    self._places[key] = start, len(line)
                except ValueError:
                    self.torn += bool(line.strip())
                start += len(line)


def _read(line: bytes) -> tuple[str, Reply]:
    """The key and reply of a line; raises ValueError."""
    try:
        row = parse_row(line, "reply")
        key, texts, reasons = str(row["key"]), tuple(row["texts"]), tuple(row["finish_reasons"])
        usage = Usage(int(row["prompt_tokens"]), int(row["completion_tokens"]))
    except (KeyError, TypeError) as error:
        raise ValueError("no reply") from error
    if len(texts) != len(reasons) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no reply")
    return key, Reply(texts, reasons, usage, tries=0)


@dataclass(frozen=True)
class Prices:
    """What a server charges, in any currency, per million tokens."""

    prompt_per_million: float = 0.0
    completion_per_million: float = 0.0

    def of(self, usage: Usage) -> float:
        return (
            usage.prompt_tokens * self.prompt_per_million
            + usage.completion_tokens * self.completion_per_million
        ) / 1e6


@dataclass
class Spending:
    """What asking came to. asked: requests answered by the server in this run, with their usage;
    cached: requests answered from the disk, with the usage that they once had."""

    prices: Prices = Prices()
    asked: int = 0
    cached: int = 0
    usage: Usage = field(default_factory=Usage)
    cached_usage: Usage = field(default_factory=Usage)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def cost(self) -> float:
        """Of this run."""
        return self.prices.of(self.usage)

    @property
    def total_cost(self) -> float:
        """Of this run and of what it found on the disk."""
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
    """A client whose replies are kept: what was asked once is not asked again.

    The file belongs to whoever made the cache; without one every request goes to the server.
    """

    def __init__(self, client: Client, cache: ReplyCache | None = None, prices: Prices = Prices()):
        self.client = client
        self.cache = cache
        self.spending = Spending(prices)

    def ask(self, ask: Ask) -> Reply:
        """The reply to a request. Raises EndpointError."""
        endpoint = self.client.endpoint
        key = request_key(ask, endpoint.url, endpoint.model)
        known = self.cache.get(key) if self.cache is not None else None
        if known is not None:
            self.spending.count(known, cached=True)
            return known
        reply = self.client.ask(ask)
        if self.cache is not None:
            self.cache.put(key, reply)
        self.spending.count(reply, cached=False)
        return reply
