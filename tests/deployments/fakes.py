"""Stages small enough to read at a glance, and handles that call an object as Ray Serve's handles call a replica."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from ray.exceptions import ActorDiedError

from deployments.decoder import Decoder
from deployments.encoder import Encoder
from deployments.loading import LoadedDecoder, LoadedEncoder
from deployments.protocol import DecoderStats, DocumentRef, EncoderStats, RangeRequest, ServedRequest, StageReport
from deployments.refusals import yields_refusals
from deployments.renderer import LoadedRenderer, Renderer
from glyph_core.answering.reader import Reader
from glyph_core.answering.request import new_request_id
from glyph_core.config import PRESETS, CreditConfig, LimitConfig, SamplingConfig
from glyph_core.engine.engine import TokenOutput
from glyph_core.engine.stats import EngineStats
from glyph_core.errors import ContextLengthError, PinnedShareError, StageError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCount, estimate_num_tokens
from glyph_core.types import (
    AnswerEvent,
    Message,
    Page,
    PageFeatures,
    Prompt,
    digest_of,
)
from glyph_core.vision.feature_store import FeatureStore
from tests.deployments.fake_renderer import FakeRenderer
from tests.deployments.local import LocalHandle, Stored


def stored(content: bytes, name: str = "document.txt") -> DocumentRef:
    return DocumentRef(name, digest_of(content), len(content), Stored(content))


def range_of(num_pages: int, document: DocumentRef | None = None, start: int = 0) -> RangeRequest:
    return RangeRequest(document or stored(b"text"), PRESETS["mini"], start, start + num_pages)


@dataclass
class CountingStage:
    """Gives page numbers, two a message; counts what it made, and dies before the pages that it is told to."""

    page_s: float = 0.0
    deaths: list[int] = field(default_factory=list)
    error: Exception | None = None
    num_made: int = 0
    num_open: int = 0
    max_open: int = 0

    async def pages(self, request: RangeRequest) -> AsyncGenerator[tuple[int, ...]]:
        self.num_open += 1
        self.max_open = max(self.max_open, self.num_open)
        try:
            for part in request.cut(2):
                if self.deaths and part.start <= self.deaths[0] < part.stop:
                    self.deaths.pop(0)
                    raise ActorDiedError
                if self.error:
                    raise self.error
                await asyncio.sleep(self.page_s * len(part))
                self.num_made += len(part)
                yield tuple(range(part.start, part.stop))
        finally:
            self.num_open -= 1


@dataclass
class FakeVisionEncoder:
    """Features that say which page they are of, at a fixed cost a batch and a page."""

    batch_s: float = 0.0
    page_s: float = 0.0
    num_values: int = 64
    batches: list[int] = field(default_factory=list)
    fails_on: int | None = None

    def encode(self, pages: Sequence[Page]) -> list[PageFeatures]:
        self.batches.append(len(pages))
        time.sleep(self.batch_s + self.page_s * len(pages))
        if any(page.plan.page_index == self.fails_on for page in pages):
            raise RuntimeError("this page breaks the encoder")
        return [PageFeatures(page.plan, (1, 8, 8), self._features(page)) for page in pages]

    def _features(self, page: Page) -> torch.Tensor:
        return torch.full((self.num_values // 4, 4), float(page.pixels[0, 0]))


@cache
def mini_reader(window_pages: int | None = None) -> Reader:
    """glyph-mini's tokenizer, without its limit on the pages of a window unless one is given."""
    return Reader.of(replace(resolve_checkpoint("glyph-mini"), window_pages=window_pages))


@dataclass
class FakeEngine:
    """Says ``text``, in glyph-mini's tokens, when a prompt's pages have all come; a step gives each such sequence one.

    It computes pages in order as they come, unless ``is_stuck``; ``dies_at_step`` breaks it. Of the first
    ``num_cached`` pages it needs nothing, until so many others were fed as ``gives_up_at``.
    """

    text: str = "fine"
    step_s: float = 0.0
    is_stuck: bool = False
    dies_at_step: int | None = None
    num_cached: int = 0
    gives_up_at: int = 10**6
    num_steps: int = 0
    prompts: dict[str, Prompt] = field(default_factory=dict)
    fed: dict[str, dict[int, float]] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    num_aborted: int = 0
    max_pinned_tokens: int = 10**6
    pins: dict[str, set[str]] = field(default_factory=dict)

    @property
    def can_step(self) -> bool:
        return not self.is_stuck and any(not self.wanted_pages(request_id) for request_id in self.prompts)

    def add(self, request_id: str, prompt: Prompt, sampling: SamplingConfig) -> None:
        if sampling.max_tokens == 666:
            raise ContextLengthError("too long")
        self.prompts[request_id], self.fed[request_id], self.said[request_id] = prompt, {}, 0

    def wanted_pages(self, request_id: str) -> tuple[int, ...]:
        if request_id not in self.prompts:
            return ()
        numbers = range(self._cached(request_id), len(self.prompts[request_id].pages))
        return tuple(number for number in numbers if number not in self.fed[request_id])

    def next_page(self, request_id: str) -> int:
        cached = self._cached(request_id)
        waits = self.is_stuck or cached  # for room, as a sequence does that lives on cached blocks
        return cached if waits else next(iter(self.wanted_pages(request_id)), len(self.fed.get(request_id, ())))

    def _cached(self, request_id: str) -> int:
        return self.num_cached if len(self.fed.get(request_id, ())) < self.gives_up_at else 0

    def feed(self, request_id: str, page_number: int, features: torch.Tensor) -> None:
        if request_id not in self.prompts:
            return
        if features.shape[1] != 4:
            raise StageError("features of another width")
        self.fed[request_id][page_number] = float(features[0, 0])

    def abort(self, request_id: str) -> None:
        self.num_aborted += self.prompts.pop(request_id, None) is not None

    def step(self) -> list[TokenOutput]:
        self.num_steps += 1
        time.sleep(self.step_s)
        if self.num_steps == self.dies_at_step:
            raise RuntimeError("out of memory")
        return [self._next_token(r) for r in list(self.prompts) if not self.wanted_pages(r)]

    def pin(self, name: str, page_digests: Collection[str], window_tokens: Collection[int]) -> None:
        if sum(window_tokens) > self.max_pinned_tokens:
            raise PinnedShareError("no room for another pinned document")
        self.pins[name] = set(page_digests)

    def unpin(self, prefix: str) -> list[str]:
        gone = [name for name in self.pins if name.startswith(prefix)]
        for name in gone:
            del self.pins[name]
        return gone

    def stats(self) -> EngineStats:
        return EngineStats(len(self.prompts), 0, 8, 8 - len(self.prompts), 0, 0)

    def _next_token(self, request_id: str) -> TokenOutput:
        said = self.said[request_id]
        self.said[request_id] += 1
        pages = self.prompts[request_id].pages
        is_right = all(self.fed[request_id][n] == pages[n].page.page_index % 256 for n in range(len(pages)))
        tokens = mini_reader().tokenizer.encode(self.text if is_right else "These pages are out of place.")
        if said < len(tokens):
            return TokenOutput(request_id, tokens[said], -0.1, None, 0, prefill_s=0.5)
        del self.prompts[request_id]
        return TokenOutput(request_id, mini_reader().checkpoint.eos_token_ids[0], -0.1, "stop", 0, prefill_s=0.5)


@dataclass
class FakeChain:
    """Renderer, encoder and decoder of this process, around the fakes above."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    vision: FakeVisionEncoder = field(default_factory=FakeVisionEncoder)
    credit_config: CreditConfig = field(default_factory=CreditConfig)
    page_s: float = 0.0
    window_pages: int | None = None
    feature_cache_gb: float = 0.0
    drawing: Any = None  # a DocumentRenderer; None: a FakeRenderer
    num_kv_tokens: int | None = None
    max_kv_pools: float = 1.0
    feature_store: FeatureStore | None = None

    def __post_init__(self) -> None:
        self.drawing = self.drawing or FakeRenderer(self.page_s)
        self.num_counts = 0
        loaded = LoadedRenderer(lambda config: self.drawing, self._count)
        report = StageReport("fake", "cpu", {})
        self.renderer = Renderer(lambda: loaded, self.credit_config.pages_per_message)
        self.encoder = Encoder(
            LocalHandle(self.renderer),
            lambda: LoadedEncoder(self.vision, report, store=self.feature_store),
            self.credit_config,
            self.feature_cache_gb,
        )
        self.decoder = Decoder(
            LocalHandle(self.renderer),
            LocalHandle(self.encoder),
            lambda: LoadedDecoder(self.engine, mini_reader(self.window_pages), 4096, report, self.num_kv_tokens),
            self.credit_config,
            LimitConfig(),
            self.max_kv_pools,
        )

    def _count(self, text: str) -> TokenCount:
        self.num_counts += 1
        return TokenCount(estimate_num_tokens(text), estimated=True)


def request_about(*num_pages: int, question: str = "What?", **sampling: Any) -> ServedRequest:
    documents = tuple(stored(str(n).encode(), f"{n} pages") for n in num_pages)
    message = Message("user", question, tuple(range(len(documents))))
    return ServedRequest(new_request_id(), (message,), documents, SamplingConfig(**sampling), PRESETS["mini"])


@dataclass
class ScriptedDecoder:
    """Gives the events that it is told to, raises those of them that are errors and sleeps for those that are seconds;
    None is an empty message.

    Like the real one it gives what is refused as a value.
    """

    events: list[AnswerEvent | Exception | float | None] = field(default_factory=list)
    requests: list[ServedRequest] = field(default_factory=list)
    num_cancelled: int = 0
    unpinned: list[str] = field(default_factory=list)

    async def unpin(self, prefix: str) -> list[str]:
        self.unpinned.append(prefix)
        return [prefix] if any(request.pin for request in self.requests) else []

    @yields_refusals
    async def answer(self, request: ServedRequest) -> AsyncGenerator[tuple[AnswerEvent, ...]]:
        self.requests.append(request)
        try:
            for event in self.events:
                await asyncio.sleep(event if isinstance(event, float) else 0)
                if isinstance(event, float):
                    continue
                if isinstance(event, Exception):
                    raise event
                yield () if event is None else (event,)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise

    async def describe(self) -> tuple[StageReport, ...]:
        return (StageReport("decoder", "cpu", {"torch": "2.13"}, "float32", ("no Triton: sdpa instead",)),)

    async def check_health(self) -> None:
        pass

    async def chain_stats(self) -> tuple[DecoderStats, EncoderStats]:
        return DecoderStats(2, EngineStats(2, 1, 400, 100, 320, 3)), EncoderStats(4, 1, 10, 35, 7)
