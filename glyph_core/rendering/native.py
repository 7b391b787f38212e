"""Pages that are shown as the file draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from glyph_core.config import MAX_PAGE_PIXELS, RenderConfig
from glyph_core.documents.blocks import NativePage, SourcePlace
from glyph_core.rendering.images import on_paper, paper_size
from glyph_core.rendering.paper import FRESH, Paper
from glyph_core.rendering.placed import DrawnPage, PlacedGlyphs, Span
from glyph_core.types import PageError

POINTS_PER_INCH = 72
WORD_BYTES = 300  # of a Word with its box, about
Rasterise = Callable[[Sequence[int], float], Sequence[np.ndarray | PageError]]  # pages of the source, dpi
DrawNotice = Callable[[str, tuple[int, int]], np.ndarray]  # words and the page's (width, height) → its pixels


@dataclass(frozen=True)
class NativePages:
    """They are rasterised each time they are drawn: pixels are many, and a page is seldom asked for twice."""

    blocks: tuple[NativePage, ...]
    starts: tuple[int, ...]  # offset of each block's text in the document's
    config: RenderConfig
    rasterise: Rasterise = field(repr=False)
    draw_notice: DrawNotice = field(repr=False)
    warnings: tuple[str, ...] = ()

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple(paper_size(*self._picture_px(block), self.config) for block in self.blocks)

    @property
    def num_picture_pages(self) -> int:
        return len(self.blocks)

    @property
    def num_bytes(self) -> int:
        return WORD_BYTES * sum(len(block.words) for block in self.blocks)

    def draw(self, start: int, stop: int, paper: Paper = FRESH) -> list[DrawnPage]:
        drawn: list[DrawnPage] = []
        while start < stop:  # pages of one resolution are rasterised together
            dpi = self._dpi(self.blocks[start])
            end = start + 1
            while end < stop and self._dpi(self.blocks[end]) == dpi:
                end += 1
            pictures = self.rasterise([block.page for block in self.blocks[start:end]], dpi)
            drawn += [self._finish(picture, index) for index, picture in enumerate(pictures, start)]
            start = end
        return drawn

    def placed(self, page_index: int) -> PlacedGlyphs:
        return PlacedGlyphs.none()

    def spans(self, page_index: int) -> list[Span]:
        """A span for each word of the page's text layer."""
        block, offset = self.blocks[page_index], self.starts[page_index]
        scale = self._dpi(block) / POINTS_PER_INCH
        width, height = self._picture_px(block)
        spans = []
        for word in block.words:
            left, top, right, bottom = (edge * scale for edge in word.box)
            box = (
                max(0, math.floor(left)), max(0, math.floor(top)), min(width, math.ceil(right)),
                min(height, math.ceil(bottom)),
            )  # fmt: skip
            if box[0] < box[2] and box[1] < box[3]:
                place = SourcePlace(block.page, word.box)
                spans.append(Span(offset + word.start, offset + word.stop, page_index, box, place))
        return spans

    def text_ranges(self) -> np.ndarray:
        bounds = [(start, start + len(block.text)) for block, start in zip(self.blocks, self.starts, strict=True)]
        return np.array(bounds, dtype=np.int32).reshape(-1, 2)

    def _finish(self, picture: np.ndarray | PageError, page_index: int) -> DrawnPage:
        size = self.sizes[page_index]
        if isinstance(picture, PageError):
            return DrawnPage(self.draw_notice(str(picture), size), picture)
        return DrawnPage(on_paper(picture, size))

    def _dpi(self, block: NativePage) -> float:
        """The configuration's, or less where the page would have too many pixels."""
        area = block.width_pt * block.height_pt / POINTS_PER_INCH**2  # square inches
        return min(self.config.dpi, math.sqrt(MAX_PAGE_PIXELS / area))

    def _picture_px(self, block: NativePage) -> tuple[int, int]:
        scale = self._dpi(block) / POINTS_PER_INCH
        return max(1, round(block.width_pt * scale)), max(1, round(block.height_pt * scale))
