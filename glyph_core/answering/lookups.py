"""What a course demands of its documents beside their pages, found in this process."""

from __future__ import annotations

from functools import lru_cache

from glyph_core.answering.demands import Count, Enlarge, LookUp
from glyph_core.answering.request import AnswerRequest
from glyph_core.config import LimitConfig, RenderConfig
from glyph_core.errors import GlyphError
from glyph_core.evidence.finder import EvidenceFinder
from glyph_core.model.token_counter import TokenCount, TokenCounter
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.rendering.same_pages import same_pages
from glyph_core.types import DocumentPlan

MAX_CONFIGS = 8  # render configurations whose glyphs and layouts are kept


class Lookups:
    def __init__(self, limits: LimitConfig, token_counter: TokenCounter) -> None:
        self._token_counter = token_counter
        self._renderer_of = lru_cache(MAX_CONFIGS)(lambda render: PageRenderer(render, limits))
        self._finder_of = lru_cache(MAX_CONFIGS)(lambda render: EvidenceFinder(self.renderer(render)))

    def renderer(self, render: RenderConfig) -> PageRenderer:
        return self._renderer_of(render)

    def told(self, demand: Count | LookUp | Enlarge, request: AnswerRequest, render: RenderConfig) -> object:
        """What ``demand`` wants; ``render`` is how the request's pages are drawn."""
        match demand:
            case Count():
                return self._count(request, render)
            case LookUp():
                finder = self._finder_of(demand.render)
                return [finder.find(request.documents[document], query) for document, query in demand.asked]
            case Enlarge():
                return self._enlarged(request, demand)

    def _count(self, request: AnswerRequest, render: RenderConfig) -> TokenCount:
        renderer = self.renderer(render)
        shown = zip(request.documents, request.pages or [None] * len(request.documents), strict=True)
        counts = [self._token_counter.count(renderer.text(document, pages)) for document, pages in shown]
        return TokenCount(sum(count.num_tokens for count in counts), any(count.estimated for count in counts))

    def _enlarged(self, request: AnswerRequest, demand: Enlarge) -> list[DocumentPlan] | str:
        first, larger = self.renderer(demand.render), self.renderer(demand.larger)
        asked = zip(request.documents, demand.pages, strict=True)
        try:
            return [larger.plan(source).showing(same_pages(first, larger, source, pages)) for source, pages in asked]
        except GlyphError as error:
            return error.message
