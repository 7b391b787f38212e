"""Every glyph that was ever needed, rasterised once: the pictures that the compositor copies to pages.

A character has a glyph for each style that it was met in; a glyph that shaping made stands for no character alone.
Three tables, all only appended to:

- ``glyphs`` (num_glyphs,) of GLYPH: what the layout measures; the first four are fixed
- ``cells`` (num_cells,) of CELL: a glyph at one subpixel phase; a glyph without ink has none
- ``ink`` (num_bytes,) uint8: coverage of each cell in columns of 16 bytes, ``(num_columns, num_rows, 16)``
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.rendering.characters import ZERO_WIDTH_SPACE, BreakClass, break_class, is_wide, needs_shaping
from glyph_core.rendering.fonts import NUM_PHASES, UNITS, Bitmap, FontStack, GlyphRef
from glyph_core.rendering.jit import kernel
from glyph_core.rendering.strips import LANES, Strips, StripTable, strip_rows
from glyph_core.rendering.styles import Look, Style, look_of
from glyph_core.rendering.table import Table

GLYPH = np.dtype(
    [
        ("advance", np.int32),  # 1/64 px; a tab's is the distance of its stops
        ("first_cell", np.int32),  # -1: no ink
        ("num_phases", np.uint8),
        ("break_class", np.uint8),
    ],
    align=True,
)
CELL = np.dtype(
    [
        ("ink_start", np.int32),
        ("glyph", np.int32),  # that it pictures
        ("left", np.int16),  # px from the pen to the ink
        ("top", np.int16),  # px from the line's top to the ink
        ("width", np.int16),
        ("num_rows", np.int16),
        ("num_columns", np.int16),
    ],
    align=True,
)

IGNORED, MISSING, MISSING_WIDE, SHAPED = range(4)  # the fixed glyphs; SHAPED: its whole paragraph must be shaped
_UNKNOWN = -1
_NUM_CODEPOINTS = 0x110000


class AtlasTables(NamedTuple):
    """The tables as they were at one moment; what they hold then stays as it is."""

    glyphs: np.ndarray
    cells: np.ndarray
    ink: np.ndarray
    strips: Strips | None  # the cells once more; None: the font is too large for strips

    def coverage(self, cell: int) -> np.ndarray:
        """The picture of a cell, (num_rows, width) uint8."""
        start, num_rows, num_columns = (
            int(self.cells[cell][name]) for name in ("ink_start", "num_rows", "num_columns")
        )
        lanes = self.ink[start : start + num_columns * num_rows * LANES].reshape(num_columns, num_rows, LANES)
        return lanes.swapaxes(0, 1).reshape(num_rows, num_columns * LANES)[:, : self.cells[cell]["width"]]


class ShapedGlyph(NamedTuple):
    """A glyph as shaping placed it, in 1/64 px; ``character`` is the first that it stands for."""

    ref: GlyphRef
    advance: int
    shift: tuple[int, int]  # to the right and up
    character: str
    break_class: BreakClass


class GlyphAtlas:
    """The glyphs of one configuration. Thread-safe."""

    def __init__(self, config: RenderConfig) -> None:
        self._config = config
        self._looks = {style: look_of(style, config) for style in Style}
        self._stacks = {look.font: FontStack(look.font, config.font_size_px) for look in self._looks.values()}
        self._lock = threading.Lock()
        self._glyphs, self._cells = Table(GLYPH, 512), Table(CELL, 2048)
        self._ink = Table(np.dtype(np.uint8), 1 << 18)
        self._shown: list[int] = []  # the codepoint that each glyph shows; 0: nothing
        self._glyph_of: dict[Look, np.ndarray] = {}  # codepoint → glyph
        self._shaped: dict[tuple[ShapedGlyph, Look], int] = {}
        body = self._looks[Style.BODY]
        stack = self._stacks[body.font]
        self.baseline_px = stack.baseline_px(int(config.line_height_px))
        self._strips = self._make_strips(stack)
        self._append(0, 0, BreakClass.IGNORED, [])
        self._append_drawn(stack.replacement, BreakClass.LETTER, body, wide=False)
        self._append_drawn(stack.replacement, BreakClass.IDEOGRAPH, body, wide=True)
        self._append(0, 0, BreakClass.LETTER, [])

    @property
    def tables(self) -> AtlasTables:
        with self._lock:
            strips = None if self._strips is None else self._strips.view
            return AtlasTables(self._glyphs.view, self._cells.view, self._ink.view, strips)

    def glyphs_of(self, codepoints: np.ndarray, style: Style = Style.BODY) -> np.ndarray:
        """codepoints (n,) uint32 → indices into ``glyphs`` (n,) int32; new characters are rasterised."""
        look = self._looks[style]
        if look not in self._glyph_of:
            with self._lock:
                self._glyph_of.setdefault(look, np.full(_NUM_CODEPOINTS, _UNKNOWN, dtype=np.int32))
        found, glyph_of = np.empty(len(codepoints), dtype=np.int32), self._glyph_of[look]
        if _look_up(codepoints, glyph_of, found):
            with self._lock:
                for codepoint in np.unique(codepoints[found == _UNKNOWN]).tolist():
                    if glyph_of[codepoint] == _UNKNOWN:  # no other thread came first
                        glyph_of[codepoint] = self._add(chr(codepoint), look)
            _look_up(codepoints, glyph_of, found)
        return found

    def shaped(self, glyph: ShapedGlyph, style: Style) -> int:
        """The index of a glyph that shaping made; rasterised where it is new."""
        look = self._looks[style]
        key = glyph, look
        with self._lock:
            if key not in self._shaped:
                x, y = glyph.shift
                bitmaps = [
                    self._rasterise(glyph.ref, look, (x + phase * UNITS // NUM_PHASES, y))
                    for phase in range(NUM_PHASES)
                ]
                shown = self._stacks[look.font].codepoint(glyph.ref) or ord(glyph.character)
                self._shaped[key] = self._append(shown, glyph.advance, glyph.break_class, bitmaps)
            return self._shaped[key]

    def shown_by(self, glyphs: np.ndarray) -> np.ndarray:
        """glyphs (n,) → codepoints (n,) uint32 that the glyph ids stand for in the faces they are drawn from."""
        shown: np.ndarray = np.array(self._shown, dtype=np.uint32)[glyphs]
        return shown

    def _add(self, character: str, look: Look) -> int:
        kind, stack = break_class(character), self._stacks[look.font]
        if kind == BreakClass.IGNORED:
            return SHAPED if needs_shaping(character) else IGNORED
        if kind == BreakClass.NEWLINE or character == ZERO_WIDTH_SPACE:
            return self._append(0, 0, kind, [])
        if kind == BreakClass.TAB:
            space = look.cell_px * UNITS or stack.advance(stack.space)
            return self._append(0, self._config.tab_columns * space, kind, [])
        ref, wide = stack.find(character), is_wide(character)
        if ref is None and kind == BreakClass.SPACE:
            ref = stack.space
        if ref is None:
            return MISSING_WIDE if wide else MISSING
        if needs_shaping(character):
            return SHAPED
        return self._append_drawn(ref, kind, look, wide)

    def _append_drawn(self, ref: GlyphRef, kind: BreakClass, look: Look, wide: bool) -> int:
        stack = self._stacks[look.font]
        shown = stack.codepoint(ref)
        if kind == BreakClass.MARK:
            # centred on the pen, which compositor.place puts over the middle of the character before
            bitmap = self._rasterise(ref, look)
            return self._append(shown, 0, kind, [bitmap._replace(left=-(bitmap.coverage.shape[1] // 2))])
        natural = stack.advance(ref) + (stack.bold_units if look.bold else 0)
        cell = look.cell_px * UNITS
        if not cell:
            shifts = [(phase * UNITS // NUM_PHASES, 0) for phase in range(1 if wide else NUM_PHASES)]
            return self._append(shown, natural, kind, [self._rasterise(ref, look, shift) for shift in shifts])
        # A glyph much wider than its cells (a circled digit, an emoji) gets as many as it needs
        advance = cell * max(2 if wide else 1, -(-(natural - cell // 4) // cell))
        bitmap = self._rasterise(ref, look)
        return self._append(
            shown, advance, kind, [bitmap._replace(left=bitmap.left + round((advance - natural) / 2 / UNITS))]
        )

    def _rasterise(self, ref: GlyphRef, look: Look, shift: tuple[int, int] = (0, 0)) -> Bitmap:
        return self._stacks[look.font].rasterise(ref, shift, bold=look.bold, slanted=look.slanted)

    def _append(self, shown: int, advance: int, kind: BreakClass, bitmaps: list[Bitmap]) -> int:
        cells = [self._append_cell(bitmap) for bitmap in bitmaps if bitmap.coverage.size]
        self._shown.append(shown)
        row = (advance, cells[0] if cells else -1, len(cells), kind)
        return self._glyphs.append(np.array([row], dtype=GLYPH))

    def _make_strips(self, stack: FontStack) -> StripTable | None:
        """For strips that hold the printable ASCII, in their middle."""
        above, below = stack.ascii_rows()
        num_rows = strip_rows(above + below)
        if num_rows is None:
            return None
        return StripTable(num_rows, self.baseline_px - above - (num_rows - above - below) // 2)

    def _append_cell(self, bitmap: Bitmap) -> int:
        num_rows, width = bitmap.coverage.shape
        num_columns = -(-width // LANES)
        lanes = np.zeros((num_rows, num_columns * LANES), dtype=np.uint8)
        lanes[:, :width] = bitmap.coverage
        columns = lanes.reshape(num_rows, num_columns, LANES).swapaxes(0, 1)
        start, top = self._ink.append(columns.reshape(-1)), self.baseline_px - bitmap.top
        if self._strips is not None:
            self._strips.append(bitmap.coverage, bitmap.left, top)
        row = (start, len(self._glyphs), bitmap.left, top, width, num_rows, num_columns)
        return self._cells.append(np.array([row], dtype=CELL))


@kernel
def _look_up(codepoints: np.ndarray, glyph_of: np.ndarray, found: np.ndarray) -> bool:
    """Fills ``found``; returns whether a character is unknown."""
    lowest = 0
    for i in range(len(codepoints)):
        found[i] = glyph_of[codepoints[i]]
        lowest = min(lowest, found[i])
    return lowest < 0
