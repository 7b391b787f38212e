"""Text as pages: codepoints → glyphs → lines → pages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.rendering.atlas import (
    ADVANCE,
    GLYPH,
    IGNORED,
    MISSING,
    MISSING_WIDE,
    NUM_ROWS,
    REPLACEMENT,
    WIDTH,
    GlyphAtlas,
)
from glyph_core.rendering.compositor import CELL, INDEX, LINE, NUM_FIELDS, PEN, X, Y, draw, place
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.layout import Lines, break_lines
from glyph_core.rendering.placed import PlacedGlyphs

_NUM_EXAMPLES = 5  # characters without a glyph that a warning names
_CR, _LF = 0x0D, 0x0A


@dataclass(frozen=True)
class TextPages:
    """A text laid out; ``draw`` may be called from several threads."""

    config: RenderConfig
    atlas: GlyphAtlas = field(repr=False)
    text_glyphs: np.ndarray = field(repr=False)  # (num_chars,) int32, rows of the atlas's ``glyphs``
    lines: Lines = field(repr=False)
    tab_width: int  # 1/64 px
    warnings: tuple[str, ...]

    @classmethod
    def lay_out(cls, text: str, config: RenderConfig, atlas: GlyphAtlas) -> TextPages:
        codepoints = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        text_glyphs = atlas.glyphs_of(codepoints)
        _join_line_ends(codepoints, text_glyphs)
        glyphs = atlas.tables.glyphs
        tab_width = config.tab_columns * int(glyphs[atlas.glyphs_of(np.array([ord(" ")]))[0], ADVANCE])
        max_width = (config.page_width_px - 2 * config.margin_px) * UNITS
        lines = break_lines(text_glyphs, glyphs, max_width, tab_width)
        return cls(config, atlas, text_glyphs, lines, tab_width, _missing_warnings(codepoints, text_glyphs))

    @property
    def num_chars(self) -> int:
        return len(self.text_glyphs)

    @property
    def lines_per_page(self) -> int:
        return (self.config.page_height_px - 2 * self.config.margin_px) // self.config.line_height_px

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each page: one width for all, full height for all but the last."""
        config = self.config
        right_px = -(-self.lines.right // UNITS)
        width = min(max(self._snap(right_px + 2 * config.margin_px), config.min_width_px), config.page_width_px)
        num_full, num_rest = divmod(self.lines.num_lines, self.lines_per_page)
        sizes = [(width, config.page_height_px)] * num_full
        if num_rest:
            sizes.append((width, self._snap(num_rest * config.line_height_px + 2 * config.margin_px)))
        return sizes

    def draw(self, page_index: int) -> np.ndarray:
        """(height, width) uint8."""
        width, height = self.sizes[page_index]
        page = np.full((height, width), 255, dtype=np.uint8)
        _, cells, ink = self.atlas.tables
        draw(self._place(page_index), cells, ink, page)
        return np.subtract(255, page, out=page) if self.config.inverted else page

    def placed(self, page_index: int) -> PlacedGlyphs:
        placed = self._place(page_index)
        glyphs, cells, _ = self.atlas.tables
        drawn = cells[placed[:, CELL]]
        advances = glyphs[drawn[:, GLYPH], ADVANCE]
        left_top = placed[:, [X, Y]]
        pens = placed[:, PEN]
        return PlacedGlyphs(
            codepoints=self.atlas.shown_by(drawn[:, GLYPH]),
            offsets=placed[:, INDEX].copy(),
            lines=placed[:, LINE].copy(),
            pens=(np.stack([pens, pens + advances], axis=1) / UNITS).astype(np.float32),
            boxes=np.concatenate([left_top, left_top + drawn[:, [WIDTH, NUM_ROWS]]], axis=1),
        )

    def _place(self, page_index: int) -> np.ndarray:
        width, height = self.sizes[page_index]
        first = page_index * self.lines_per_page
        bounds = self.lines.bounds[first : first + self.lines_per_page]
        placed = np.empty((bounds[-1, 1] - bounds[0, 0], NUM_FIELDS), dtype=np.int32)
        glyphs, cells, _ = self.atlas.tables
        config = self.config
        count = place(
            self.text_glyphs, bounds, glyphs, cells, config.margin_px, config.line_height_px, self.tab_width,
            width, height, placed,
        )  # fmt: skip
        return placed[:count]

    def _snap(self, length_px: int) -> int:
        return -(-length_px // self.config.snap_px) * self.config.snap_px


def _join_line_ends(codepoints: np.ndarray, text_glyphs: np.ndarray) -> None:
    """CR LF ends one line, not two: the CR is ignored, in place."""
    carriage_returns = np.flatnonzero(codepoints[:-1] == _CR)
    text_glyphs[carriage_returns[codepoints[carriage_returns + 1] == _LF]] = IGNORED


def _missing_warnings(codepoints: np.ndarray, text_glyphs: np.ndarray) -> tuple[str, ...]:
    is_missing = (text_glyphs == MISSING) | (text_glyphs == MISSING_WIDE)
    num_missing = int(np.count_nonzero(is_missing))
    if not num_missing:
        return ()
    distinct = np.unique(codepoints[is_missing])
    examples = ", ".join(f"U+{codepoint:04X}" for codepoint in distinct[:_NUM_EXAMPLES])
    more = ", …" if len(distinct) > _NUM_EXAMPLES else ""
    return (f"{num_missing} characters ({examples}{more}) have no glyph in our fonts and show as {REPLACEMENT}",)
