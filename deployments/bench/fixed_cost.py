"""Stages that sleep: what the way between the stages costs, whatever the stages themselves do.

A document is the number of its pages, in digits, and anything after a space, which makes it another document.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from ray import serve

from deployments.app import AppArgs, Loaders, RendererArgs, bind_chain
from deployments.decoder import LoadedDecoder
from deployments.encoder import LoadedEncoder
from deployments.protocol import StageReport
from deployments.renderer import LoadedRenderer
from glyph_core.answering.reader import Reader
from glyph_core.config import PRESETS, SamplingConfig
from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.engine.engine import TokenOutput
from glyph_core.engine.stats import EngineStats
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCount
from glyph_core.rendering.page_text import PageText
from glyph_core.rendering.placed import PlacedGlyphs, Span
from glyph_core.types import DocumentPlan, DocumentSource, Page, PageFeatures, PagePlan, Prompt

PAGE_PX = (476, 868)  # preset mini's
FEATURES = (476, 256)  # tokens and numbers a token, float32: half a megabyte, as glyph-mini's
CONTEXT_TOKENS = 10**6


@dataclass(frozen=True, slots=True)
class StageCosts:
    """Seconds a page, and how many replicas draw."""

    render_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0
    num_renderers: int = 1

    def ideal_s(self, num_pages: int) -> float:
        """What the slowest stage takes by itself."""
        return num_pages * max(self.render_s / self.num_renderers, self.encode_s, self.prefill_s)


def fixed_cost_app(costs: StageCosts, renderers: RendererArgs | None = None) -> serve.Application:
    """The chain as it is served, around stages of these costs; ``renderers`` where their number is not fixed."""
    fixed = RendererArgs(min_replicas=costs.num_renderers, max_replicas=costs.num_renderers, num_cpus=0.1)
    args = AppArgs(renderers=renderers or fixed, feature_cache_gb=0)
    return bind_chain(
        args, Loaders(partial(_load_renderer, costs), partial(_load_encoder, costs), partial(_load_decoder, costs))
    )


class FixedCostRenderer:
    def __init__(self, page_s: float) -> None:
        self._page_s = page_s
        self._pixels = np.full(PAGE_PX[::-1], 255, np.uint8)
        self._core = threading.Lock()  # a renderer draws one page at a time, whatever calls it has open

    def plan(self, source: DocumentSource) -> DocumentPlan:
        first, *_ = source.content.split()
        num_pages = int(first) if first.isdigit() else 1
        return DocumentPlan(
            source.digest, source.name, "text/plain", tuple(_plan(source, index) for index in range(num_pages)), 0
        )

    def text(self, source: DocumentSource, pages: Sequence[int] | None = None) -> str:
        return ""

    def page_text(self, source: DocumentSource, page_index: int) -> PageText:
        return PageText(page_index, "", 0, 0, ())

    def document(self, source: DocumentSource) -> Document:
        return Document(source.name, source.digest, "text/plain", (TextBlock(self.text(source)),))

    def page_sizes(self, source: DocumentSource) -> tuple[tuple[int, int], ...]:
        return (PAGE_PX,) * self.plan(source).num_pages

    def text_ranges(self, source: DocumentSource) -> np.ndarray:
        return np.zeros((self.plan(source).num_pages, 2), np.int32)

    def spans(self, source: DocumentSource, page_index: int) -> list[Span]:
        return []

    def placed_glyphs(self, source: DocumentSource, page_index: int) -> PlacedGlyphs:
        return PlacedGlyphs.none()

    def render(self, source: DocumentSource, start: int, stop: int) -> list[Page]:
        with self._core:
            time.sleep(self._page_s * (stop - start))
        return [Page(_plan(source, index), self._pixels) for index in range(start, stop)]


class FixedCostEncoder:
    def __init__(self, page_s: float) -> None:
        self._page_s = page_s
        self._features = torch.zeros(FEATURES)

    def encode(self, pages: Sequence[Page]) -> list[PageFeatures]:
        time.sleep(self._page_s * len(pages))
        return [PageFeatures(page.plan, (1, 8, 8), self._features) for page in pages]


@dataclass
class FixedCostEngine:
    """Computes pages in order as they come, a page a step, and then ends the answer with its first token."""

    page_s: float
    eos_token_id: int
    _prompts: dict[str, Prompt] = field(default_factory=dict)
    _fed: dict[str, set[int]] = field(default_factory=dict)
    _num_computed: dict[str, int] = field(default_factory=dict)

    @property
    def can_step(self) -> bool:
        return any(self._is_ready(request_id) for request_id in self._prompts)

    def add(self, request_id: str, prompt: Prompt, sampling: SamplingConfig) -> None:
        self._prompts[request_id], self._fed[request_id], self._num_computed[request_id] = prompt, set(), 0

    def wanted_pages(self, request_id: str) -> tuple[int, ...]:
        if request_id not in self._prompts:
            return ()
        numbers = range(self._num_computed[request_id], len(self._prompts[request_id].pages))
        return tuple(number for number in numbers if number not in self._fed[request_id])

    def next_page(self, request_id: str) -> int:
        return self._num_computed.get(request_id, 0)

    def feed(self, request_id: str, page_number: int, features: torch.Tensor) -> None:
        if request_id in self._fed:
            self._fed[request_id].add(page_number)

    def abort(self, request_id: str) -> None:
        for of_request in (self._prompts, self._fed, self._num_computed):
            of_request.pop(request_id, None)

    def step(self) -> list[TokenOutput]:
        request_id = next(filter(self._is_ready, self._prompts))
        if self._num_computed[request_id] < len(self._prompts[request_id].pages):
            time.sleep(self.page_s)
            self._num_computed[request_id] += 1
            return []
        prefill_s = self.page_s * len(self._prompts[request_id].pages)
        self.abort(request_id)
        return [TokenOutput(request_id, self.eos_token_id, 0.0, "stop", 0, prefill_s)]

    def stats(self) -> EngineStats:
        return EngineStats(len(self._prompts), 0, 1, 1, 0, 0)

    def _is_ready(self, request_id: str) -> bool:
        number = self._num_computed[request_id]
        return number in self._fed[request_id] or number == len(self._prompts[request_id].pages)


def _plan(source: DocumentSource, index: int) -> PagePlan:
    return PagePlan(index, *PAGE_PX, PRESETS["mini"].page_digest(source.digest, index))


def _load_renderer(costs: StageCosts) -> LoadedRenderer:
    renderer = FixedCostRenderer(costs.render_s)
    return LoadedRenderer(lambda config: renderer, lambda text: TokenCount(0, estimated=False))


def _load_encoder(costs: StageCosts) -> LoadedEncoder:
    return LoadedEncoder(FixedCostEncoder(costs.encode_s), StageReport("encoder", "sleeping", {}))


def _load_decoder(costs: StageCosts) -> LoadedDecoder:
    checkpoint = replace(resolve_checkpoint("glyph-mini"), window_pages=None)  # its tokenizer; all pages at once
    engine = FixedCostEngine(costs.prefill_s, checkpoint.eos_token_ids[0])
    return LoadedDecoder(engine, Reader.of(checkpoint), CONTEXT_TOKENS, StageReport("decoder", "sleeping", {}))
