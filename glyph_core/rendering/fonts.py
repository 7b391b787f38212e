"""The font stack: which face draws a character, and FreeType's picture of a glyph.

DejaVu first, then Droid Sans Fallback (Chinese, Japanese, Korean), which MuPDF carries inside its library, Noto Emoji,
and for everything else the Noto font of the character's script, of symbols or of mathematics, from MuPDF too. All is
read from files that are installed with the packages, never from the system, and rasterised by the FreeType that
freetype-py carries: the same text gives the same pixels on every machine.

Outlines are hinted up and down only (FreeType's light auto-hinter): stems keep the widths that subpixel positions need,
and at 7×14 px a full stop and a comma, 0 and O stay further apart than under DejaVu's own hinting program.
"""

from __future__ import annotations

from ctypes import byref
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Literal, NamedTuple

import freetype
import numpy as np
import pymupdf

UNITS = 64  # FreeType's positions are 26.6 fixed point: 64 to a pixel
NUM_PHASES = 4  # horizontal subpixel positions at which a proportional glyph is rasterised
REPLACEMENT = "\ufffd"

FontName = Literal["mono", "sans", "cjk"]
_FILES = {"mono": "DejaVuSansMono.ttf", "sans": "DejaVuSans.ttf", "emoji": "NotoEmoji-Regular.ttf"}
_STACKS: dict[FontName, tuple[str, ...]] = {
    "mono": ("mono", "sans", "cjk", "emoji"),
    "sans": ("sans", "cjk", "emoji"),
    "cjk": ("cjk", "sans", "emoji"),
}
_LOAD_FLAGS = freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP
_UPRIGHT = freetype.Matrix(0x10000, 0, 0, 0x10000)
_SLANTED = freetype.Matrix(0x10000, 0x3000, 0, 0x10000)  # by 3/16: about 11 degrees
_BOLD_EMS = 1 / 20  # how much wider a bold stem is
_PRINTABLE_ASCII = range(0x21, 0x7F)


class GlyphRef(NamedTuple):
    """A glyph of a face: what is placed on a page."""

    face: str
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

    def __init__(self, font: FontName, size_px: float) -> None:
        self._stack = _STACKS[font]
        self._size = round(size_px * UNITS)
        self._faces: dict[str, freetype.Face] = {}

    def find(self, character: str) -> GlyphRef | None:
        """The glyph of the first face that has ``character``; None if none has."""
        for name in self._stack:
            if glyph_id := self._face(name).get_char_index(ord(character)):
                return GlyphRef(name, glyph_id)
        fallback = fallback_face(character)
        glyph_id = self._face(fallback).get_char_index(ord(character)) if fallback else 0
        return GlyphRef(fallback, glyph_id) if fallback and glyph_id else None

    @property
    def replacement(self) -> GlyphRef:
        """What stands for a character that no face has: DejaVu's U+FFFD."""
        return GlyphRef("sans" if "mono" not in self._stack else "mono", self._dejavu.get_char_index(ord(REPLACEMENT)))

    @property
    def space(self) -> GlyphRef:
        return GlyphRef(self._stack[0], self._face(self._stack[0]).get_char_index(ord(" ")))

    def codepoint(self, ref: GlyphRef) -> int:
        """The character that ``ref`` shows, for reading back what was placed; 0: a form that no single one has."""
        return _codepoints(ref.face).get(ref.glyph_id, 0)

    def advance(self, ref: GlyphRef) -> int:
        """Unhinted advance width in 1/64 px."""
        face = self._face(ref.face)
        face.load_glyph(ref.glyph_id, _LOAD_FLAGS)
        advance: int = face.glyph.linearHoriAdvance  # 16.16 fixed point px
        return round(advance * UNITS / 65536)

    @property
    def bold_units(self) -> int:
        """How much wider a glyph gets by being bold, in 1/64 px."""
        return round(self._size * _BOLD_EMS)

    def rasterise(
        self, ref: GlyphRef, shift: tuple[int, int] = (0, 0), *, bold: bool = False, slanted: bool = False
    ) -> Bitmap:
        """The glyph with its pen ``shift`` 1/64 px to the right of a pixel's edge and above the baseline."""
        face = self._face(ref.face)
        face.set_transform(_SLANTED if slanted else _UPRIGHT, freetype.Vector(*shift))
        face.load_glyph(ref.glyph_id, _LOAD_FLAGS)
        if bold:
            freetype.FT_Outline_EmboldenXY(byref(face.glyph.outline._FT_Outline), self.bold_units, 0)
        face.glyph.render(freetype.FT_RENDER_MODE_NORMAL)
        slot, bitmap = face.glyph, face.glyph.bitmap
        rows = np.array(bitmap.buffer, dtype=np.uint8).reshape(bitmap.rows, bitmap.pitch)
        return Bitmap(rows[:, : bitmap.width], slot.bitmap_left, slot.bitmap_top)

    def baseline_px(self, line_height_px: int) -> int:
        """Where the baseline lies in a line, from its top: the printable ASCII as a whole stands in the middle."""
        above, below = self.ascii_rows()
        return (line_height_px - above - below) // 2 + above

    def ascii_rows(self) -> tuple[int, int]:
        """Rows of px that the printable ASCII takes above the baseline, and below."""
        name = self._stack[0]
        face = self._face(name)
        bitmaps = [self.rasterise(GlyphRef(name, face.get_char_index(codepoint))) for codepoint in _PRINTABLE_ASCII]
        return max(bitmap.top for bitmap in bitmaps), max(len(bitmap.coverage) - bitmap.top for bitmap in bitmaps)

    @property
    def _dejavu(self) -> freetype.Face:
        return self._face("mono" if "mono" in self._stack else "sans")

    def _face(self, name: str) -> freetype.Face:
        if name not in self._faces:
            self._faces[name] = freetype.Face(BytesIO(font_bytes(name)))
            self._faces[name].set_char_size(self._size, 0, 72, 72)
        return self._faces[name]


@cache
def font_bytes(name: str) -> bytes:
    """The file of a face: "mono", "sans", "cjk", "emoji", or a name that :func:`fallback_face` gave."""
    if name == "cjk":
        return bytes(pymupdf.Font("cjk").buffer)
    if name in _FILES:
        return files("glyph_core.rendering").joinpath("fonts", _FILES[name]).read_bytes()
    return _FALLBACK_FILES[name]


_FALLBACK_FILES: dict[str, bytes] = {}
# The character's own script first; signs of several scripts (the danda, the Arabic comma) are in the fonts of these
_SCRIPTS_OF_COMMON_SIGNS = (0, pymupdf.mupdf.UCDN_SCRIPT_DEVANAGARI, pymupdf.mupdf.UCDN_SCRIPT_ARABIC)


@cache
def fallback_face(character: str) -> str | None:
    """The name of the face among those that MuPDF carries that has ``character``; None: none has."""
    base = pymupdf.Font("cjk").this
    for script in _SCRIPTS_OF_COMMON_SIGNS:
        glyph_id, font = pymupdf.mupdf.fz_encode_character_with_fallback(base, ord(character), script, 0)
        if glyph_id:
            break
    else:
        return None
    name = str(font.fz_font_name())
    if name not in _FALLBACK_FILES:
        buffer = pymupdf.mupdf.FzBuffer(pymupdf.mupdf.ll_fz_keep_buffer(font.m_internal.buffer))
        _FALLBACK_FILES[name] = bytes(buffer.fz_buffer_extract_copy())
    return name


@cache
def _codepoints(name: str) -> dict[int, int]:
    """Glyph id → character, the lowest of those that share it."""
    shown: dict[int, int] = {}
    for codepoint, glyph_id in freetype.Face(BytesIO(font_bytes(name))).get_chars():
        shown.setdefault(glyph_id, codepoint)
    return shown
