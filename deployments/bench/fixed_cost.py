"""Stages that sleep: what the way between the stages costs, whatever the stages themselves do."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from ray import serve

from deployments.app import Loaders, bind_chain
from deployments.app_args import AppArgs, RendererArgs
from deployments.bench.fixed_cost_renderer import load_renderer
from deployments.loading import LoadedDecoder, LoadedEncoder
from deployments.protocol import StageReport
from glyph_core.answering.reader import Reader
from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import TokenOutput
from glyph_core.engine.stats import EngineStats
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.types import Page, PageFeatures, Prompt

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
        args,
        Loaders(partial(load_renderer, costs.render_s), partial(_load_encoder, costs), partial(_load_decoder, costs)),
    )


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

    def pin(self, name: str, page_digests: Collection[str], window_tokens: Collection[int]) -> None:
        """Nothing is kept here."""

    def unpin(self, prefix: str) -> list[str]:
        return []

    def stats(self) -> EngineStats:
        return EngineStats(len(self._prompts), 0, 1, 1, 0, 0)

    def _is_ready(self, request_id: str) -> bool:
        number = self._num_computed[request_id]
        return number in self._fed[request_id] or number == len(self._prompts[request_id].pages)


def _load_encoder(costs: StageCosts) -> LoadedEncoder:
    return LoadedEncoder(FixedCostEncoder(costs.encode_s), StageReport("encoder", "sleeping", {}))


def _load_decoder(costs: StageCosts) -> LoadedDecoder:
    checkpoint = replace(resolve_checkpoint("glyph-mini"), window_pages=None)  # its tokenizer; all pages at once
    engine = FixedCostEngine(costs.prefill_s, checkpoint.eos_token_ids[0])
    return LoadedDecoder(engine, Reader.of(checkpoint), CONTEXT_TOKENS, StageReport("decoder", "sleeping", {}))
