"""Text as pages: characters → glyphs → lines → pages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.rendering.atlas import IGNORED, MISSING, MISSING_WIDE, GlyphAtlas
from glyph_core.rendering.compositor import PLACED, SEGMENT, draw, place
from glyph_core.rendering.fonts import REPLACEMENT, UNITS
from glyph_core.rendering.layout import Lines, break_lines
from glyph_core.rendering.placed import PlacedGlyphs

_NUM_EXAMPLES = 5  # characters without a glyph that a warning names
_CR, _LF = 0x0D, 0x0A
_WHITE = 255


@dataclass(frozen=True)
class TextPages:
    """A text laid out. Pages may be drawn from several threads at once."""

    config: RenderConfig
    atlas: GlyphAtlas = field(repr=False)
    text: np.ndarray = field(repr=False)  # (num_chars,) int32, indices into the atlas's glyphs
    segments: np.ndarray = field(repr=False)  # (num_segments,) of SEGMENT, page after page
    first_segments: np.ndarray = field(repr=False)  # (num_pages + 1,): where each page's begin
    sizes: tuple[tuple[int, int], ...] = field(repr=False)  # (width, height) px of each page
    warnings: tuple[str, ...]

    @classmethod
    def lay_out(cls, characters: str, config: RenderConfig, atlas: GlyphAtlas) -> TextPages:
        codepoints = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)
        text = atlas.glyphs_of(codepoints)
        _join_line_ends(codepoints, text)
        lines = break_lines(text, atlas.tables.glyphs, (config.page_width_px - 2 * config.margin_px) * UNITS)
        lines_per_page = (config.page_height_px - 2 * config.margin_px) // config.line_height_px
        segments = np.empty(len(lines), dtype=SEGMENT)
        segments["start"], segments["stop"] = lines.bounds.T
        segments["x"] = config.margin_px * UNITS
        segments["top"] = config.margin_px + np.arange(len(lines)) % lines_per_page * config.line_height_px
        first_segments = np.append(np.arange(0, len(lines), lines_per_page), len(lines))
        sizes = _page_sizes(lines, lines_per_page, config)
        return cls(config, atlas, text, segments, first_segments, sizes, _missing_warnings(codepoints, text))

    @property
    def num_chars(self) -> int:
        return len(self.text)

    def draw(self, page_index: int) -> np.ndarray:
        """(height, width) uint8."""
        width, height = self.sizes[page_index]
        page = np.full((height, width), _WHITE, dtype=np.uint8)
        placed = self.place(page_index)
        tables = self.atlas.tables
        draw(placed, tables.cells, tables.ink, page)
        return np.subtract(_WHITE, page, out=page) if self.config.inverted else page

    def placed(self, page_index: int) -> PlacedGlyphs:
        placed = self.place(page_index)
        tables = self.atlas.tables
        drawn = tables.cells[placed["cell"]]
        left, top = placed["x"].astype(np.int32), placed["y"].astype(np.int32)
        ends = placed["pen"] + tables.glyphs[drawn["glyph"]]["advance"]
        return PlacedGlyphs(
            codepoints=self.atlas.shown_by(drawn["glyph"]),
            offsets=placed["index"].copy(),
            lines=placed["line"].copy(),
            pens=(np.stack([placed["pen"], ends], axis=1) / UNITS).astype(np.float32),
            boxes=np.stack([left, top, left + drawn["width"], top + drawn["num_rows"]], axis=1),
        )

    def place(self, page_index: int) -> np.ndarray:
        """Where the page's glyphs go, (n,) of PLACED, in the order of the text: all that is drawn."""
        segments = self.segments[self.first_segments[page_index] : self.first_segments[page_index + 1]]
        placed = np.empty((segments["stop"] - segments["start"]).sum(), dtype=PLACED)
        tables = self.atlas.tables
        return placed[: place(self.text, segments, tables.glyphs, tables.cells, *self.sizes[page_index], placed)]


def _page_sizes(lines: Lines, lines_per_page: int, config: RenderConfig) -> tuple[tuple[int, int], ...]:
    """One width for all pages, to the longest line's end; full height for all but the last."""

    def snap(length_px: int) -> int:
        return -(-length_px // config.snap_px) * config.snap_px

    right_px = -(-lines.right // UNITS)
    width = min(max(snap(right_px + 2 * config.margin_px), config.min_width_px), config.page_width_px)
    num_full, num_rest = divmod(len(lines), lines_per_page)
    sizes = [(width, config.page_height_px)] * num_full
    if num_rest:
        sizes.append((width, snap(num_rest * config.line_height_px + 2 * config.margin_px)))
    return tuple(sizes)


def _join_line_ends(codepoints: np.ndarray, text: np.ndarray) -> None:
    """CR LF ends one line, not two: the CR is ignored, in place."""
    carriage_returns = np.flatnonzero(codepoints[:-1] == _CR)
    text[carriage_returns[codepoints[carriage_returns + 1] == _LF]] = IGNORED


def _missing_warnings(codepoints: np.ndarray, text: np.ndarray) -> tuple[str, ...]:
    is_missing = (text == MISSING) | (text == MISSING_WIDE)
    num_missing = int(np.count_nonzero(is_missing))
    if not num_missing:
        return ()
    distinct = np.unique(codepoints[is_missing])
    examples = ", ".join(f"U+{codepoint:04X}" for codepoint in distinct[:_NUM_EXAMPLES])
    more = ", …" if len(distinct) > _NUM_EXAMPLES else ""
    return (f"{num_missing} characters ({examples}{more}) have no glyph in our fonts and show as {REPLACEMENT}",)
