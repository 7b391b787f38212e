"""The font stack: which face draws a character, and FreeType's picture of a glyph.

DejaVu first, then Droid Sans Fallback (Chinese, Japanese, Korean), which MuPDF carries inside its library. Everything
is read from files that are installed with the packages, never from the system, and rasterised by the FreeType that
freetype-py carries: the same text gives the same pixels on every machine.

Outlines are hinted up and down only (FreeType's light auto-hinter): stems keep the widths that subpixel positions need,
and at 7×14 px a full stop and a comma, 0 and O stay further apart than under DejaVu's own hinting program.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Literal, NamedTuple

import freetype
import numpy as np
import pymupdf

UNITS = 64  # FreeType's positions are 26.6 fixed point: 64 to a pixel
NUM_PHASES = 4  # horizontal subpixel positions at which a proportional glyph is rasterised

_FILES = {"mono": "DejaVuSansMono.ttf", "sans": "DejaVuSans.ttf"}
_STACKS = {"mono": ("mono", "sans", "cjk"), "sans": ("sans", "cjk")}
_LOAD_FLAGS = freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP
_IDENTITY = freetype.Matrix(0x10000, 0, 0, 0x10000)
REPLACEMENT = "\ufffd"
_PRINTABLE_ASCII = range(0x21, 0x7F)


class GlyphRef(NamedTuple):
    """A glyph of a face: what is placed on a page."""

    face: int  # index into the stack
    glyph_id: int


class Bitmap(NamedTuple):
    """A rasterised glyph: coverage (rows, columns) uint8 and where its left top corner is.

    ``left`` is in px to the right of the pen, ``top`` in px above the baseline.
    """

    coverage: np.ndarray
    left: int
    top: int


class FontStack:
    """Faces in order of preference at one size. Not thread-safe: a FreeType face holds one glyph at a time."""

    def __init__(self, font: Literal["mono", "sans"], size_px: float) -> None:
        self._names = _STACKS[font]
        self._faces = [freetype.Face(BytesIO(_font_bytes(name))) for name in self._names]
        for face in self._faces:
            face.set_char_size(round(size_px * UNITS), 0, 72, 72)

    def find(self, character: str) -> GlyphRef | None:
        """The glyph of the first face that has ``character``; None if none has."""
        for index, face in enumerate(self._faces):
            glyph_id = face.get_char_index(ord(character))
            if glyph_id:
                return GlyphRef(index, glyph_id)
        return None

    @property
    def replacement(self) -> GlyphRef:
        """What stands for a character that no face has: DejaVu's U+FFFD."""
        return GlyphRef(0, self._faces[0].get_char_index(ord(REPLACEMENT)))

    @property
    def space(self) -> GlyphRef:
        return GlyphRef(0, self._faces[0].get_char_index(ord(" ")))

    def codepoint(self, ref: GlyphRef) -> int:
        """The character that ``ref`` shows, for reading back what was placed."""
        return _codepoints(self._names[ref.face])[ref.glyph_id]

    def advance(self, ref: GlyphRef) -> int:
        """Unhinted advance width in 1/64 px."""
        face = self._faces[ref.face]
        face.load_glyph(ref.glyph_id, _LOAD_FLAGS)
        advance: int = face.glyph.linearHoriAdvance  # 16.16 fixed point px
        return round(advance * UNITS / 65536)

    def rasterise(self, ref: GlyphRef, phase: int = 0) -> Bitmap:
        """The glyph with its pen ``phase / NUM_PHASES`` px to the right of a pixel's edge."""
        face = self._faces[ref.face]
        face.set_transform(_IDENTITY, freetype.Vector(phase * UNITS // NUM_PHASES, 0))
        face.load_glyph(ref.glyph_id, _LOAD_FLAGS | freetype.FT_LOAD_RENDER)
        slot, bitmap = face.glyph, face.glyph.bitmap
        rows = np.array(bitmap.buffer, dtype=np.uint8).reshape(bitmap.rows, bitmap.pitch)
        return Bitmap(rows[:, : bitmap.width], slot.bitmap_left, slot.bitmap_top)

    def baseline_px(self, line_height_px: int) -> int:
        """Where the baseline lies in a line, from its top: the printable ASCII as a whole stands in the middle."""
        face = self._faces[0]
        bitmaps = [self.rasterise(GlyphRef(0, face.get_char_index(codepoint))) for codepoint in _PRINTABLE_ASCII]
        above = max(bitmap.top for bitmap in bitmaps)
        below = max(len(bitmap.coverage) - bitmap.top for bitmap in bitmaps)
        return (line_height_px - above - below) // 2 + above


@cache
def _font_bytes(name: str) -> bytes:
    if name == "cjk":
        return bytes(pymupdf.Font("cjk").buffer)
    return files("glyph_core.rendering").joinpath("fonts", _FILES[name]).read_bytes()


@cache
def _codepoints(name: str) -> dict[int, int]:
    """Glyph id → character, the lowest of those that share it."""
    shown: dict[int, int] = {}
    for codepoint, glyph_id in freetype.Face(BytesIO(_font_bytes(name))).get_chars():
        shown.setdefault(glyph_id, codepoint)
    return shown
