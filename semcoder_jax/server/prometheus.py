"""Counts of the server in Prometheus' text format.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).
"""

import collections
from collections.abc import Iterable

from semcoder_jax.server.engine_thread import EngineThread

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "semcoder_"
SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Histogram:
    """Cumulative counts of seconds."""

    def __init__(self):
        self._counts = [0] * (len(SECONDS_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        place = next(
            (i for i, bound in enumerate(SECONDS_BUCKETS) if seconds <= bound), len(SECONDS_BUCKETS)
        )
        self._counts[place] += 1
        self._sum += seconds

    def lines(self, name: str) -> Iterable[str]:
        total = 0
        for bound, count in zip((*SECONDS_BUCKETS, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum}"
        yield f"{name}_count {total}"


class ServerMetrics:
    """What the web side counts; only the event loop touches it.

    Attributes:
      requests: by (path, status); 499 where the client went away.
      prompt_tokens, completion_tokens: of answered requests, streams among them.
      first_text_seconds, request_seconds: from a request's arrival.
    """

    def __init__(self):
        self.requests: collections.Counter[tuple[str, int]] = collections.Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.first_text_seconds = Histogram()
        self.request_seconds = Histogram()

    def text(self, thread: EngineThread) -> str:
        engine, stats = thread.engine, thread.engine.stats
        lines = ["# HELP semcoder_requests_total Answered HTTP requests."]
        lines.append("# TYPE semcoder_requests_total counter")
        for (path, status), count in sorted(self.requests.items()):
            lines.append(f'semcoder_requests_total{{path="{path}",status="{status}"}} {count}')
        for name, kind, words, value in (
            ("prompt_tokens_total", "counter", "Prompt tokens asked about.", self.prompt_tokens),
            ("completion_tokens_total", "counter", "Tokens answered.", self.completion_tokens),
            (
                "generated_tokens_total",
                "counter",
                "Tokens the engine generated, kept or not.",
                stats.generated_tokens,
            ),
            ("busy_seconds_total", "counter", "Time the engine had work.", stats.seconds),
            ("decoding_steps_total", "counter", "Passes of decoding.", stats.steps),
            ("decoding_row_steps_total", "counter", "Rows going in them.", stats.row_steps),
            ("restarts_total", "counter", "Samples begun again for want of pages.", stats.restarts),
            ("samples_finished_total", "counter", "Samples ended.", stats.finished),
            ("samples_cancelled_total", "counter", "Cancelled among them.", stats.cancelled),
            ("slots", "gauge", "Rows decoded together.", engine.num_slots),
            ("slots_active", "gauge", "Samples in slots.", engine.num_active),
            ("samples_waiting", "gauge", "Samples without a slot.", engine.num_waiting),
            ("samples_capacity", "gauge", "Most samples in hand.", thread.capacity),
            ("cache_pages", "gauge", "Pages of the cache.", engine.pages.capacity),
            ("cache_pages_used", "gauge", "Those in use.", engine.pages.num_used),
            ("engine_up", "gauge", "1 while the engine runs.", int(thread.alive)),
        ):
            lines += [f"# HELP {PREFIX}{name} {words}", f"# TYPE {PREFIX}{name} {kind}"]
            lines.append(f"{PREFIX}{name} {value}")
        for name, words, histogram in (
            ("first_text_seconds", "Until a stream's first text.", self.first_text_seconds),
            ("request_seconds", "Until the end of an answer.", self.request_seconds),
        ):
            lines += [f"# HELP {PREFIX}{name} {words}", f"# TYPE {PREFIX}{name} histogram"]
            lines += histogram.lines(PREFIX + name)
        return "\n".join(lines) + "\n"
