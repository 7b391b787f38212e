"""Every metric of the service: name, unit, meaning, tags. Counted where it happens, seen at Ray's Prometheus endpoint.

Serve adds the tags deployment, replica and application. Prometheus' names begin with ``ray_``, and a counter's ends in
``_total``. Units: ``_s`` seconds, ``_bytes``; everything else is a count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ray.serve import metrics

if TYPE_CHECKING:
    from glyph_core.engine.stats import EngineStats
    from glyph_core.types import Answer

SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LONG_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Metric:
    """Made in Ray when it is first recorded: only then Serve knows the replica."""

    name: str
    description: str
    tags: tuple[str, ...] = ()

    @property
    def prometheus_names(self) -> tuple[str, ...]:
        return (f"ray_{self.name}",)


class Counter(Metric):
    @property
    def prometheus_names(self) -> tuple[str, ...]:
        return (f"ray_{self.name}_total",)

    @cached_property
    def _instrument(self) -> metrics.Counter:
        return metrics.Counter(self.name, self.description, self.tags)

    def inc(self, value: float = 1, **tags: str) -> None:
        if value > 0:  # Ray refuses to count nothing
            self._instrument.inc(value, tags)


class Gauge(Metric):
    """Record it again now and then: Ray forgets a gauge that nobody has set for a while."""

    @cached_property
    def _instrument(self) -> metrics.Gauge:
        return metrics.Gauge(self.name, self.description, self.tags)

    def set(self, value: float, **tags: str) -> None:
        self._instrument.set(value, tags)


@dataclass(frozen=True)
class Histogram(Metric):
    boundaries: tuple[float, ...] = LONG_S

    @property
    def prometheus_names(self) -> tuple[str, ...]:
        return tuple(f"ray_{self.name}_{part}" for part in ("bucket", "sum", "count"))

    @cached_property
    def _instrument(self) -> metrics.Histogram:
        return metrics.Histogram(self.name, self.description, list(self.boundaries), self.tags)

    def observe(self, value: float, **tags: str) -> None:
        self._instrument.observe(value, tags)


# Gateway
REQUESTS = Counter(
    "glyph_requests",
    "POST requests that ended: answered, refused, expired, failed or left (the client went away)",
    ("outcome", "status", "code", "caller"),
)
REQUEST_S = Histogram("glyph_request_s", "from a request's head to its last byte", ("outcome",))
REQUESTS_OPEN = Gauge("glyph_requests_open", "requests that are running or waiting")

# Renderers
PAGES_RENDERED = Counter("glyph_pages_rendered", "pages drawn")
RENDER_PAGE_S = Histogram("glyph_render_page_s", "drawing one page", boundaries=SHORT_S)
PLAN_S = Histogram("glyph_plan_s", "parsing a document and laying out its pages", boundaries=LONG_S)

# Encoder
PAGES_ENCODED = Counter("glyph_pages_encoded", "pages that went through the vision tower")
PAGES_KEPT = Counter(
    "glyph_pages_kept", "pages kept from before or made for another request: neither drawn nor encoded"
)
ENCODE_BATCH_PAGES = Histogram("glyph_encode_batch_pages", "pages in one forward of the vision tower", boundaries=BATCH)
ENCODE_BATCH_S = Histogram("glyph_encode_batch_s", "one forward of the vision tower", boundaries=LONG_S)
ENCODE_WAIT_S = Histogram("glyph_encode_wait_s", "a drawn page's wait for the vision tower", boundaries=LONG_S)
PAGES_WAITING = Gauge("glyph_pages_waiting", "drawn pages that wait for the vision tower")

# Decoder
QUEUE_S = Histogram("glyph_queue_s", "from the decoder's taking a request to its documents' plans")
TTFT_S = Histogram("glyph_ttft_s", "time to the first token")
TPOT_S = Histogram("glyph_tpot_s", "mean time of a token after the first, an answer", boundaries=SHORT_S)
E2E_S = Histogram("glyph_e2e_s", "from the decoder's taking a request to its answer's end")
PROMPT_TOKENS = Counter("glyph_prompt_tokens", "tokens of prompts, pages as visual tokens")
CACHED_TOKENS = Counter("glyph_cached_tokens", "of those, found in the prefix cache")
VISUAL_TOKENS = Counter("glyph_visual_tokens", "of those, visual")
COMPLETION_TOKENS = Counter("glyph_completion_tokens", "tokens of answers")
SEQUENCES_RUNNING = Gauge("glyph_sequences_running", "sequences in the engine's batch")
SEQUENCES_WAITING = Gauge("glyph_sequences_waiting", "sequences that wait for room in it")
KV_BLOCKS_USED = Gauge("glyph_kv_blocks_used", "KV blocks that sequences hold")
KV_BLOCKS_TOTAL = Gauge("glyph_kv_blocks_total", "KV blocks of the pool")
PREEMPTIONS = Counter("glyph_preemptions", "sequences that lost their blocks and began again")

ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def count_answer(answer: Answer) -> None:
    usage, timings = answer.usage, answer.timings
    TTFT_S.observe(timings.ttft_s)
    E2E_S.observe(timings.e2e_s)
    if usage.num_completion_tokens > 1:
        TPOT_S.observe(timings.tpot_s)
    PROMPT_TOKENS.inc(usage.num_prompt_tokens)
    CACHED_TOKENS.inc(usage.num_cached_tokens)
    VISUAL_TOKENS.inc(usage.num_visual_tokens)
    COMPLETION_TOKENS.inc(usage.num_completion_tokens)


class EngineWatch:
    """Hears what an engine says of itself, again and again."""

    def __init__(self) -> None:
        self._num_preemptions = 0

    def __call__(self, stats: EngineStats) -> None:
        SEQUENCES_RUNNING.set(stats.num_running)
        SEQUENCES_WAITING.set(stats.num_waiting)
        KV_BLOCKS_TOTAL.set(stats.num_blocks)
        KV_BLOCKS_USED.set(stats.num_blocks - stats.num_free_blocks)
        PREEMPTIONS.inc(stats.num_preemptions - self._num_preemptions)
        self._num_preemptions = stats.num_preemptions
