"""Text as pages: characters → glyphs → lines → pages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.rendering.atlas import IGNORED, MISSING, MISSING_WIDE, GlyphAtlas
from glyph_core.rendering.compositor import PLACED, draw, place
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
    lines: Lines = field(repr=False)
    lines_per_page: int
    tab_width: int  # 1/64 px
    sizes: tuple[tuple[int, int], ...] = field(repr=False)  # (width, height) px of each page
    warnings: tuple[str, ...]

    @classmethod
    def lay_out(cls, characters: str, config: RenderConfig, atlas: GlyphAtlas) -> TextPages:
        codepoints = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)
        text = atlas.glyphs_of(codepoints)
        _join_line_ends(codepoints, text)
        space = atlas.glyphs_of(np.array([ord(" ")], dtype=np.uint32))
        glyphs = atlas.tables.glyphs
        tab_width = config.tab_columns * int(glyphs[space[0]]["advance"])
        lines = break_lines(text, glyphs, (config.page_width_px - 2 * config.margin_px) * UNITS, tab_width)
        lines_per_page = (config.page_height_px - 2 * config.margin_px) // config.line_height_px
        sizes = _page_sizes(lines, lines_per_page, config)
        return cls(config, atlas, text, lines, lines_per_page, tab_width, sizes, _missing_warnings(codepoints, text))

    @property
    def num_chars(self) -> int:
        return len(self.text)

    def draw(self, page_index: int) -> np.ndarray:
        """(height, width) uint8."""
        width, height = self.sizes[page_index]
        page = np.full((height, width), _WHITE, dtype=np.uint8)
        placed = self.place(page_index)
        _, cells, ink = self.atlas.tables
        draw(placed, cells, ink, page)
        return np.subtract(_WHITE, page, out=page) if self.config.inverted else page

    def placed(self, page_index: int) -> PlacedGlyphs:
        placed = self.place(page_index)
        glyphs, cells, _ = self.atlas.tables
        drawn = cells[placed["cell"]]
        left, top = placed["x"].astype(np.int32), placed["y"].astype(np.int32)
        ends = placed["pen"] + glyphs[drawn["glyph"]]["advance"]
        return PlacedGlyphs(
            codepoints=self.atlas.shown_by(drawn["glyph"]),
            offsets=placed["index"].copy(),
            lines=placed["line"].copy(),
            pens=(np.stack([placed["pen"], ends], axis=1) / UNITS).astype(np.float32),
            boxes=np.stack([left, top, left + drawn["width"], top + drawn["num_rows"]], axis=1),
        )

    def place(self, page_index: int) -> np.ndarray:
        """Where the page's glyphs go, (n,) of PLACED, in the order of the text: all that is drawn."""
        config, (width, height) = self.config, self.sizes[page_index]
        first = page_index * self.lines_per_page
        bounds = self.lines.bounds[first : first + self.lines_per_page]
        placed = np.empty(bounds[-1, 1] - bounds[0, 0], dtype=PLACED)
        glyphs, cells, _ = self.atlas.tables
        count = place(
            self.text, bounds, glyphs, cells, config.margin_px, config.line_height_px, self.tab_width, width, height,
            placed,
        )  # fmt: skip
        return placed[:count]


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
