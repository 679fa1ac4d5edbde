"""Metrics for /metrics: counts requests, and reads the engine's counters on each scrape."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from semcoder_jax.server.engine_thread import EngineThread

SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class ServerMetrics:
    """Holds the metrics of one application in its own registry.

    Attributes:
      requests: requests by path and status; 499 if the client disconnected.
      prompt_tokens, completion_tokens: of answered requests, streams among them.
      first_text_seconds, request_seconds: from a request's arrival.
    """

    def __init__(self, thread: EngineThread):
        self.registry = CollectorRegistry()
        ours = {"namespace": "semcoder", "registry": self.registry}
        buckets = {"buckets": SECONDS_BUCKETS, **ours}
        self.requests = Counter("requests", "Answered HTTP requests.", ("path", "status"), **ours)
        self.prompt_tokens = Counter("prompt_tokens", "Prompt tokens asked about.", **ours)
        self.completion_tokens = Counter("completion_tokens", "Tokens answered.", **ours)
        self.first_text_seconds = Histogram("first_text_seconds", "Until a first text.", **buckets)
        self.request_seconds = Histogram("request_seconds", "Until an answer's end.", **buckets)
        self.registry.register(_EngineCollector(thread))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Returns (all metrics, content type) in the newest format of the Accept header."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _EngineCollector:
    def __init__(self, thread: EngineThread):
        self._thread = thread

    def collect(self) -> Iterator[Metric]:
        engine, stats = self._thread.engine, self._thread.engine.stats
        for name, words, value in (
            (
                "generated_tokens",
                "Tokens the engine generated, kept or not.",
                stats.generated_tokens,
            ),
            ("cached_tokens", "Tokens of prompts found in the cache.", stats.cached_tokens),
            ("busy_seconds", "Time the engine had work.", stats.seconds),
            ("decoding_steps", "Passes of decoding.", stats.steps),
            ("decoding_row_steps", "Rows going in them.", stats.row_steps),
            ("restarts", "Samples begun again for want of pages.", stats.restarts),
            ("samples_finished", "Samples ended.", stats.finished),
            ("samples_cancelled", "Cancelled among them.", stats.cancelled),
        ):
            yield CounterMetricFamily(f"semcoder_{name}", words, value)
        for name, words, value in (
            ("slots", "Rows decoded together.", engine.num_slots),
            ("slots_active", "Samples in slots.", engine.num_active),
            ("samples_waiting", "Samples without a slot.", engine.num_waiting),
            ("samples_capacity", "Most samples in hand.", self._thread.capacity),
            ("cache_pages", "Pages of the cache.", engine.pages.capacity),
            ("cache_pages_used", "Those in use.", engine.pages.num_used),
            ("engine_up", "1 while the engine runs.", int(self._thread.alive)),
        ):
            yield GaugeMetricFamily(f"semcoder_{name}", words, value)
