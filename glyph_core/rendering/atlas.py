"""Every glyph that was ever needed, rasterised once: the pictures that the compositor copies to pages.

Tables (int32, one row a glyph or cell; the columns are the constants below):

- ``glyphs`` (num_glyphs, 4): what the layout measures. A row belongs to a *character*; the first few are fixed.
- ``cells`` (num_cells, 7): a glyph at one subpixel phase; a glyph without ink has none.
- ``ink`` (num_bytes,) uint8: coverage of each cell, in columns of 16 bytes: ``(num_columns, num_rows, 16)``.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.rendering.characters import ZERO_WIDTH_SPACE, BreakClass, break_class, is_wide
from glyph_core.rendering.fonts import NUM_PHASES, UNITS, Bitmap, FontStack, GlyphRef

ADVANCE, CLASS, FIRST_CELL, PHASES = range(4)  # columns of ``glyphs``; ADVANCE in 1/64 px, FIRST_CELL -1: no ink
# columns of ``cells``; LEFT, TOP: px from the pen and the line's top; GLYPH: the row of ``glyphs`` that it pictures
INK_START, LEFT, TOP, WIDTH, NUM_ROWS, NUM_COLUMNS, GLYPH = range(7)
LANES = 16  # bytes that the compositor subtracts at once

IGNORED, MISSING, MISSING_WIDE = range(3)  # fixed glyphs
REPLACEMENT = "\ufffd"
_NUM_CODEPOINTS = 0x110000
_UNKNOWN = -1


class AtlasTables(NamedTuple):
    """The tables as they were at one moment: rows that were there stay what they are."""

    glyphs: np.ndarray
    cells: np.ndarray
    ink: np.ndarray


@dataclass
class _Growing:
    """An array that is appended to; what was handed out before stays valid."""

    rows: np.ndarray
    size: int = 0

    def append(self, rows: np.ndarray) -> int:
        start, stop = self.size, self.size + len(rows)
        if stop > len(self.rows):
            grown = np.zeros((max(stop, 2 * len(self.rows)), *self.rows.shape[1:]), dtype=self.rows.dtype)
            grown[:start] = self.rows[:start]
            self.rows = grown
        self.rows[start:stop] = rows
        self.size = stop
        return start

    @property
    def view(self) -> np.ndarray:
        return self.rows[: self.size]


@dataclass
class GlyphAtlas:
    """The glyphs of one font stack under one configuration. Thread-safe; it only grows."""

    config: RenderConfig
    refs: list[GlyphRef | None] = field(default_factory=list)  # of each glyph; None: nothing is drawn

    def __post_init__(self) -> None:
        self.fonts = FontStack(self.config.font, self.config.font_size_px)
        self._lock = threading.Lock()
        self._glyphs = _Growing(np.zeros((512, 4), dtype=np.int32))
        self._cells = _Growing(np.zeros((2048, 7), dtype=np.int32))
        self._ink = _Growing(np.zeros(1 << 18, dtype=np.uint8))
        self._glyph_of = np.full(_NUM_CODEPOINTS, _UNKNOWN, dtype=np.int32)
        self.baseline_px = _baseline_px(self.fonts, self.config.line_height_px)
        self._add_fixed()

    def glyphs_of(self, codepoints: np.ndarray) -> np.ndarray:
        """codepoints (n,) uint32 → rows of ``glyphs`` (n,) int32; characters not met before are rasterised."""
        found: np.ndarray = self._glyph_of[codepoints]
        if (found == _UNKNOWN).any():
            with self._lock:
                for codepoint in np.unique(codepoints[found == _UNKNOWN]):
                    if self._glyph_of[codepoint] == _UNKNOWN:
                        self._glyph_of[codepoint] = self._add(chr(codepoint))
            found = self._glyph_of[codepoints]
        return found

    @property
    def tables(self) -> AtlasTables:
        with self._lock:
            return AtlasTables(self._glyphs.view, self._cells.view, self._ink.view)

    def shown_by(self, glyph_rows: np.ndarray) -> np.ndarray:
        """glyph_rows (n,) → the codepoints (n,) uint32 that their faces' glyph ids stand for."""
        shown = {row: self._codepoint(self.refs[row]) for row in np.unique(glyph_rows).tolist()}
        return np.array([shown[row] for row in glyph_rows.tolist()], dtype=np.uint32)

    def _codepoint(self, ref: GlyphRef | None) -> int:
        if ref is None:
            return 0
        with self._lock:
            return self.fonts.codepoints(ref.face)[ref.glyph_id]

    def _add_fixed(self) -> None:
        """The glyphs IGNORED, MISSING and MISSING_WIDE, in this order."""
        ref = self.fonts.find(REPLACEMENT)
        self._append(None, 0, BreakClass.IGNORED, [])
        self._add_drawn(ref, BreakClass.LETTER, wide=False)
        self._add_drawn(ref, BreakClass.IDEOGRAPH, wide=True)

    def _add(self, character: str) -> int:
        kind = break_class(character)
        if kind == BreakClass.IGNORED:
            return IGNORED
        if kind in (BreakClass.NEWLINE, BreakClass.TAB) or character == ZERO_WIDTH_SPACE:
            return self._append(None, 0, kind, [])
        ref, wide = self.fonts.find(character), is_wide(character)
        if ref is None and kind == BreakClass.SPACE:
            ref = self.fonts.find(" ")
        if ref is None:
            return MISSING_WIDE if wide else MISSING
        return self._add_drawn(ref, kind, wide)

    def _add_drawn(self, ref: GlyphRef | None, kind: BreakClass, wide: bool) -> int:
        assert ref is not None, "every face of the stack has the replacement character"
        natural = self.fonts.advance(ref)
        if kind == BreakClass.MARK:
            # centred over the character before it: see compositor.place
            bitmap = self.fonts.rasterise(ref)
            return self._append(ref, 0, kind, [Bitmap(bitmap.coverage, -(bitmap.coverage.shape[1] // 2), bitmap.top)])
        if self.config.cell_width_px:
            cell = self.config.cell_width_px * UNITS
            # a glyph that is much wider than its cells (a circled digit, an emoji) gets as many as it needs
            advance = cell * max(2 if wide else 1, -(-(natural - cell // 4) // cell))
            bitmap = self.fonts.rasterise(ref)
            shift = round((advance - natural) / 2 / UNITS)
            return self._append(ref, advance, kind, [Bitmap(bitmap.coverage, bitmap.left + shift, bitmap.top)])
        num_phases = 1 if wide else NUM_PHASES
        return self._append(ref, natural, kind, [self.fonts.rasterise(ref, phase) for phase in range(num_phases)])

    def _append(self, ref: GlyphRef | None, advance: int, kind: BreakClass, bitmaps: list[Bitmap]) -> int:
        cells = [self._append_cell(bitmap) for bitmap in bitmaps if bitmap.coverage.size]
        self.refs.append(ref)
        first = cells[0] if cells else -1
        return self._glyphs.append(np.array([[advance, kind, first, len(cells)]], dtype=np.int32))

    def _append_cell(self, bitmap: Bitmap) -> int:
        num_rows, width = bitmap.coverage.shape
        num_columns = -(-width // LANES)
        lanes = np.zeros((num_rows, num_columns * LANES), dtype=np.uint8)
        lanes[:, :width] = bitmap.coverage
        columns = lanes.reshape(num_rows, num_columns, LANES).swapaxes(0, 1)
        start = self._ink.append(columns.reshape(-1))
        row = [start, bitmap.left, self.baseline_px - bitmap.top, width, num_rows, num_columns, len(self.refs)]
        return self._cells.append(np.array([row], dtype=np.int32))


def _baseline_px(fonts: FontStack, line_height_px: int) -> int:
    """Where the baseline lies in a line of text: printable ASCII as a whole stands in its middle."""
    refs = [fonts.find(chr(codepoint)) for codepoint in range(0x21, 0x7F)]
    bitmaps = [fonts.rasterise(ref) for ref in refs if ref is not None]
    above = max(bitmap.top for bitmap in bitmaps)
    below = max(len(bitmap.coverage) - bitmap.top for bitmap in bitmaps)
    return (line_height_px - above - below) // 2 + above
