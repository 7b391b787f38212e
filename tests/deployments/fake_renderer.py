"""The renderer among the fakes, apart from the others: its replicas start without torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deployments.renderer import LoadedRenderer
from glyph_core.config import PRESETS
from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.errors import EmptyDocumentError
from glyph_core.model.token_counter import TokenCount
from glyph_core.rendering.page_text import PageText, page_text
from glyph_core.rendering.placed import PlacedGlyphs, Span
from glyph_core.types import DocumentPlan, DocumentSource, Page, PagePlan


def pages_in(source: DocumentSource) -> int:
    """A fake document is the number of its pages, in digits; any other has one."""
    return int(source.content) if source.content.isdigit() else 1


SLOW_DOCUMENT = b"takes its time"
SLOW_PLAN_S = 12.0


@dataclass
class FakeRenderer:
    """Pages as dark as their index says, at a fixed cost."""

    page_s: float = 0.0
    width_px: int = 112
    height_px: int = 112
    num_pages: int = 0
    drawn_s: float = 0.0

    def plan(self, source: DocumentSource) -> DocumentPlan:
        if not source.content:
            raise EmptyDocumentError(f"document {source.name!r} is empty")
        if source.content == SLOW_DOCUMENT:
            time.sleep(SLOW_PLAN_S)
        pages = tuple(self._page_plan(source, index) for index in range(pages_in(source)))
        return DocumentPlan(source.digest, source.name, "text/plain", pages, 100 * len(pages))

    def text(self, source: DocumentSource, pages: Sequence[int] | None = None) -> str:
        return "word " * 20 * (pages_in(source) if pages is None else len(pages))

    def page_text(self, source: DocumentSource, page_index: int) -> PageText:
        return page_text(self.text(source), page_index, [Span(0, 100, page_index, (0, 0, 112, 112))])

    def document(self, source: DocumentSource) -> Document:
        return Document(source.name, source.digest, "text/plain", (TextBlock(self.text(source)),))

    def page_sizes(self, source: DocumentSource) -> tuple[tuple[int, int], ...]:
        return ((self.width_px, self.height_px),) * pages_in(source)

    def text_ranges(self, source: DocumentSource) -> np.ndarray:
        starts = 100 * np.arange(pages_in(source), dtype=np.int32)
        return np.stack([starts, starts + 100], axis=1)

    def spans(self, source: DocumentSource, page_index: int) -> list[Span]:
        return []

    def placed_glyphs(self, source: DocumentSource, page_index: int) -> PlacedGlyphs:
        return PlacedGlyphs.none()

    def render(self, source: DocumentSource, start: int, stop: int) -> list[Page]:
        started_at = time.perf_counter()
        time.sleep(self.page_s * (stop - start))
        self.drawn_s += time.perf_counter() - started_at
        self.num_pages += stop - start
        return [
            Page(self._page_plan(source, index), np.full((self.height_px, self.width_px), index % 256, np.uint8))
            for index in range(start, stop)
        ]

    def _page_plan(self, source: DocumentSource, index: int) -> PagePlan:
        return PagePlan(index, self.width_px, self.height_px, PRESETS["mini"].page_digest(source.digest, index))


def load_fake_renderer() -> LoadedRenderer:
    """10 ms a page of full size."""
    fake = FakeRenderer(page_s=0.01, width_px=476, height_px=868)
    return LoadedRenderer(lambda config: fake, lambda text: TokenCount(len(text) // 4, estimated=True))
