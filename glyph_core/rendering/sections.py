"""A document's pages: runs of blocks that flow, pages as the file draws them, and pictures, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from typing import Protocol

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.documents.blocks import Document, FigureBlock, NativePage
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.flow import lay_out, lay_out_text
from glyph_core.rendering.images import ImagePages, on_paper
from glyph_core.rendering.native import NativePages, Rasterise
from glyph_core.rendering.paper import FRESH, Paper
from glyph_core.rendering.placed import DrawnPage, PlacedGlyphs, Span


class Pages(Protocol):
    """Pages laid out: what they are before they are drawn."""

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]: ...  # (width, height) px of each page
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def num_picture_pages(self) -> int: ...  # of them, those whose text is no more than pixels to us
    @property
    def num_bytes(self) -> int: ...  # of memory that they take until they are drawn, about
    def draw(self, start: int, stop: int, paper: Paper = FRESH) -> list[DrawnPage]: ...
    def placed(self, page_index: int) -> PlacedGlyphs: ...
    def spans(self, page_index: int) -> list[Span]: ...
    def text_ranges(self) -> np.ndarray: ...  # (num_pages, 2) int32: each page's characters lie in [start, stop)


@dataclass(frozen=True)
class Sections:
    """Pages of several kinds as if they were of one."""

    parts: tuple[Pages, ...]
    first_pages: tuple[int, ...]  # of each part, and at the end their number

    @classmethod
    def of(cls, parts: Sequence[Pages]) -> Sections:
        return cls(tuple(parts), tuple(accumulate((len(part.sizes) for part in parts), initial=0)))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple(size for part in self.parts for size in part.sizes)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(warning for part in self.parts for warning in part.warnings))

    @property
    def num_picture_pages(self) -> int:
        return sum(part.num_picture_pages for part in self.parts)

    @property
    def num_bytes(self) -> int:
        return sum(part.num_bytes for part in self.parts)

    def draw(self, start: int, stop: int, paper: Paper = FRESH) -> list[DrawnPage]:
        drawn: list[DrawnPage] = []
        for part, first in zip(self.parts, self.first_pages, strict=False):
            low, high = max(start - first, 0), min(stop - first, len(part.sizes))
            if low < high:
                drawn += part.draw(low, high, paper)
        return drawn

    def placed(self, page_index: int) -> PlacedGlyphs:
        part, local = self._find(page_index)
        return part.placed(local)

    def spans(self, page_index: int) -> list[Span]:
        part, local = self._find(page_index)
        return [replace(span, page_index=page_index) for span in part.spans(local)]

    def text_ranges(self) -> np.ndarray:
        return np.concatenate([part.text_ranges() for part in self.parts])

    def _find(self, page_index: int) -> tuple[Pages, int]:
        number = max(n for n, first in enumerate(self.first_pages[:-1]) if first <= page_index)
        return self.parts[number], page_index - self.first_pages[number]


def lay_out_document(document: Document, config: RenderConfig, atlas: GlyphAtlas, rasterise: Rasterise) -> Pages:
    """The pages of ``document``. A document of nothing but pictures has a page for each."""
    if all(isinstance(block, FigureBlock) for block in document.blocks):
        pictures = [block.pixels for block in document.blocks if isinstance(block, FigureBlock)]
        return ImagePages.lay_out(pictures, config)
    parts: list[Pages] = []
    placed = zip(document.blocks, document.starts, strict=True)
    for is_native, members in groupby(placed, key=lambda member: isinstance(member[0], NativePage)):
        blocks, starts = zip(*members, strict=True)
        if is_native:
            parts.append(NativePages(blocks, starts, config, rasterise, _notice_drawer(config, atlas)))
        else:
            parts.append(lay_out(blocks, starts, config, atlas))
    return parts[0] if len(parts) == 1 else Sections.of(parts)


def _notice_drawer(config: RenderConfig, atlas: GlyphAtlas) -> Callable[[str, tuple[int, int]], np.ndarray]:
    def draw_notice(words: str, size: tuple[int, int]) -> np.ndarray:
        width, height = size
        sheet = {"page_width_px": width, "page_height_px": height, "min_width_px": width, "snap_px": 1}
        narrow = config.model_copy(update={**sheet, "margin_px": min(config.margin_px, width // 8, height // 8)})
        return on_paper(lay_out_text(words, narrow, atlas).draw(0, 1)[0].pixels, size)

    return draw_notice
