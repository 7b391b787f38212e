"""Pages of text, tables and pictures: laid out, drawn, and read back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.documents.blocks import FigureBlock, FormulaBlock, SourcePlace, TableBlock, TextBlock
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.colours import PALETTE
from glyph_core.rendering.compositor import PLACED, draw, place
from glyph_core.rendering.filler import Filled
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.glyph_stream import NOT_OF_THE_TEXT, GlyphStream
from glyph_core.rendering.paper import FRESH, Paper
from glyph_core.rendering.placed import DrawnPage, PlacedGlyphs, Span
from glyph_core.rendering.stream import draw_stream

FlowBlock = TextBlock | TableBlock | FormulaBlock | FigureBlock  # what flows from page to page

_WHITE = 255
_RULE_SHADE = 96  # of 255: dark enough for a thin line to survive a resize, lighter than letters


@dataclass(frozen=True)
class TextPages:
    """Pages laid out. They may be drawn from several threads at once."""

    config: RenderConfig
    atlas: GlyphAtlas = field(repr=False)
    stream: GlyphStream = field(repr=False)
    filled: Filled = field(repr=False)
    places: Sequence[SourcePlace | None] = field(repr=False)  # of each block in the file
    starts: Sequence[int] = field(repr=False)  # offset of each block's text in the document's
    warnings: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return self.filled.sizes

    @property
    def num_picture_pages(self) -> int:
        return 0

    @property
    def num_bytes(self) -> int:
        return self.stream.num_bytes + self.filled.num_bytes

    def draw(self, start: int, stop: int, paper: Paper = FRESH) -> list[DrawnPage]:
        return [DrawnPage(self._draw(page_index, paper)) for page_index in range(start, stop)]

    def place(self, page_index: int) -> np.ndarray:
        """Where the page's glyphs go, (n,) of PLACED, in the order of the stream: all glyphs that are drawn."""
        segments = self._segments(page_index)
        placed = np.empty((segments["stop"] - segments["start"]).sum(), dtype=PLACED)
        tables = self.atlas.tables
        width, height = self.sizes[page_index]
        count = place(self.stream.glyphs, segments, tables.glyphs, tables.cells, width, height, placed)
        return placed[:count]

    def _segments(self, page_index: int) -> np.ndarray:
        first, last = self.filled.first_segments[page_index : page_index + 2]
        return self.filled.segments[first:last]

    def placed(self, page_index: int) -> PlacedGlyphs:
        placed = self.place(page_index)
        if self.stream.offsets is not None:
            placed = placed[np.argsort(self.stream.offsets[placed["index"]], kind="stable")]
        tables = self.atlas.tables
        drawn = tables.cells[placed["cell"]]
        left, top = placed["x"].astype(np.int32), placed["y"].astype(np.int32)
        ends = placed["pen"] + tables.glyphs[drawn["glyph"]]["advance"]
        return PlacedGlyphs(
            codepoints=self.atlas.shown_by(drawn["glyph"]),
            offsets=self.stream.offsets_of(placed["index"]),
            lengths=self.stream.lengths_of(placed["index"]),
            lines=placed["line"].astype(np.int32),
            pens=(np.stack([placed["pen"], ends], axis=1) / UNITS).astype(np.float32),
            boxes=np.stack([left, top, left + drawn["width"], top + drawn["num_rows"]], axis=1),
        )

    def spans(self, page_index: int) -> list[Span]:
        """A span for each line, and for each picture that shows some of the text."""
        placed = self.placed(page_index)
        spans = []
        for line in np.unique(placed.lines).tolist():
            of_line = np.flatnonzero((placed.lines == line) & (placed.offsets != NOT_OF_THE_TEXT))
            if of_line.size:
                boxes, starts = placed.boxes[of_line], placed.offsets[of_line]
                stop = int((starts + placed.lengths[of_line]).max())
                box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
                spans.append(Span(int(starts.min()), stop, page_index, box, self._source_place(int(starts.min()))))
        for picture in self.filled.pictures_of(page_index):
            height, width = picture.pixels.shape[:2]
            box = (picture.left, picture.top, picture.left + width, picture.top + height)
            if picture.start < picture.stop:
                spans.append(Span(picture.start, picture.stop, page_index, box, self._source_place(picture.start)))
        return sorted(spans, key=lambda span: (span.box[1], span.start))

    def text_ranges(self) -> np.ndarray:
        """(num_pages, 2) int32: the characters on each page lie in [start, stop), which may reach into another's where
        a table goes on from page to page; 0, 0 for a page without text."""
        stream, segments = self.stream, self.filled.segments
        on_page = np.repeat(np.arange(len(self.sizes)), np.diff(self.filled.first_segments))
        num_glyphs = (segments["stop"] - segments["start"]).astype(np.int64)
        pages = np.repeat(on_page, num_glyphs)
        firsts = np.cumsum(num_glyphs) - num_glyphs
        index = np.arange(len(pages)) - np.repeat(firsts, num_glyphs) + np.repeat(segments["start"], num_glyphs)
        offsets = stream.offsets_of(index)
        of_text = offsets != NOT_OF_THE_TEXT
        starts = np.full(len(self.sizes), np.iinfo(np.int32).max, np.int32)
        stops = np.zeros(len(self.sizes), np.int32)
        np.minimum.at(starts, pages[of_text], offsets[of_text])
        np.maximum.at(stops, pages[of_text], (offsets + stream.lengths_of(index))[of_text])
        for picture in self.filled.pictures:
            starts[picture.page] = min(starts[picture.page], picture.start)
            stops[picture.page] = max(stops[picture.page], picture.stop)
        return np.stack([np.where(stops > 0, starts, 0), stops], axis=1)

    def _source_place(self, offset: int) -> SourcePlace | None:
        """Where the block stands that holds the character at ``offset``."""
        return self.places[bisect_right(self.starts, offset) - 1]

    def _draw(self, page_index: int, paper: Paper) -> np.ndarray:
        """(height, width) uint8, or (height, width, 3) where something on the page has a colour."""
        page = self._draw_text(page_index, paper)
        for rule in self.filled.rules_of(page_index):
            page[rule.top : rule.top + rule.height, rule.left : rule.left + rule.width] = _RULE_SHADE
        if self.config.inverted:
            np.subtract(_WHITE, page, out=page)
        for picture in self.filled.pictures_of(page_index):
            page = _paste(page, picture.pixels, picture.left, picture.top)
        return page

    def _draw_text(self, page_index: int, paper: Paper) -> np.ndarray:
        if self.stream.colours is not None:
            placed = self.place(page_index)
            colours = self.stream.colours[placed["index"]]
            if colours.any():
                return self._draw_coloured(placed, colours, page_index)
        width, height = self.sizes[page_index]
        page = paper.sheet(height, width)
        draw_stream(self.stream.glyphs, self._segments(page_index), self.atlas.tables, page)
        return page

    def _draw_glyphs(self, placed: np.ndarray, page_index: int) -> np.ndarray:
        width, height = self.sizes[page_index]
        page = np.full((height, width), _WHITE, dtype=np.uint8)
        tables = self.atlas.tables
        draw(placed, tables.cells, tables.ink, page)
        return page

    def _draw_coloured(self, placed: np.ndarray, colours: np.ndarray, page_index: int) -> np.ndarray:
        """A gray page for each colour in use, then all of them as ink on one sheet."""
        width, height = self.sizes[page_index]
        light = np.full((height, width, 3), _WHITE, dtype=np.int32)
        for colour in np.unique(colours).tolist():
            coverage = _WHITE - self._draw_glyphs(placed[colours == colour], page_index).astype(np.int32)
            light -= coverage[:, :, None] * (_WHITE - PALETTE[colour].astype(np.int32)) // _WHITE
        return np.maximum(light, 0).astype(np.uint8)


def _paste(page: np.ndarray, pixels: np.ndarray, left: int, top: int) -> np.ndarray:
    """``page`` with a picture put on it; in colour from then on, where the picture is."""
    if pixels.ndim == 3 and page.ndim == 2:
        page = np.repeat(page[:, :, None], 3, axis=2)
    elif pixels.ndim == 2 and page.ndim == 3:
        pixels = pixels[:, :, None]
    height, width = min(len(pixels), len(page) - top), min(pixels.shape[1], page.shape[1] - left)
    page[top : top + height, left : left + width] = pixels[:height, :width]
    return page
