"""From characters of a document's text to boxes on its pages."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from glyph_core.citations import Region
from glyph_core.evidence.source_text import SourceText
from glyph_core.rendering.placed import PlacedGlyphs, Span
from glyph_core.types import DocumentSource

MAX_REGIONS = 40  # of one citation: what goes on is a text of pages


class PlacedDocuments(Protocol):
    """What evidence needs of a PageRenderer."""

    def text(self, source: DocumentSource) -> str: ...
    def page_sizes(self, source: DocumentSource) -> tuple[tuple[int, int], ...]: ...
    def text_ranges(self, source: DocumentSource) -> np.ndarray: ...  # (num_pages, 2), as in SourceText
    def spans(self, source: DocumentSource, page_index: int) -> list[Span]: ...
    def placed_glyphs(self, source: DocumentSource, page_index: int) -> PlacedGlyphs: ...


def regions_of(
    renderer: PlacedDocuments, source: DocumentSource, text: SourceText, start: int, stop: int
) -> tuple[Region, ...]:
    """Where characters ``[start, stop)`` stand: a box for each line, page after page."""
    regions: list[Region] = []
    sizes = renderer.page_sizes(source)
    for page_index in text.pages_of(start, stop):
        placed: PlacedGlyphs | None = None
        for span in renderer.spans(source, page_index):
            if span.start >= stop or span.stop <= start:
                continue
            box: tuple[int, int, int, int] | None = span.box
            if span.start < start or span.stop > stop:
                placed = placed if placed is not None else renderer.placed_glyphs(source, page_index)
                box = _box_within(placed, span, start, stop)
            if box is not None:
                source_page = span.place.page if span.place else None
                regions.append(Region(page_index, box, sizes[page_index], source_page))
        if len(regions) >= MAX_REGIONS:
            break
    return tuple(regions[:MAX_REGIONS])


def _box_within(placed: PlacedGlyphs, span: Span, start: int, stop: int) -> tuple[int, int, int, int] | None:
    """The part of a span's box that the characters ``[start, stop)`` take; None where none of them has ink there."""
    if not len(placed):
        return span.box  # a word of a page that the file draws
    left, top, right, bottom = span.box
    ends = placed.offsets + np.maximum(placed.lengths, 1)
    boxes = placed.boxes
    inside = (placed.offsets < stop) & (ends > start) & (placed.offsets >= span.start) & (placed.offsets < span.stop)
    of_span = inside & (boxes[:, 1] >= top) & (boxes[:, 3] <= bottom) & (boxes[:, 0] >= left) & (boxes[:, 2] <= right)
    if not of_span.any():
        return None if placed.offsets[(placed.offsets >= span.start) & (placed.offsets < span.stop)].size else span.box
    chosen = boxes[of_span]
    return (*chosen[:, :2].min(axis=0).tolist(), *chosen[:, 2:].max(axis=0).tolist())
