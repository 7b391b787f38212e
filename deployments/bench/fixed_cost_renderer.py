"""The renderer of the stages that sleep, apart from the others: its replicas start without torch.

A document is the number of its pages, in digits, and anything after a space, which makes it another document.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np

from deployments.renderer import LoadedRenderer
from glyph_core.config import PRESETS
from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.model.token_counter import TokenCount
from glyph_core.rendering.page_text import PageText
from glyph_core.rendering.placed import PlacedGlyphs, Span
from glyph_core.types import DocumentPlan, DocumentSource, Page, PagePlan

PAGE_PX = (476, 868)  # preset mini's


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


def _plan(source: DocumentSource, index: int) -> PagePlan:
    return PagePlan(index, *PAGE_PX, PRESETS["mini"].page_digest(source.digest, index))


def load_renderer(page_s: float) -> LoadedRenderer:
    renderer = FixedCostRenderer(page_s)
    return LoadedRenderer(lambda config: renderer, lambda text: TokenCount(0, estimated=False))
