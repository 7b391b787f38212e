"""The slow way, kept apart from the fast one: FreeType's own pictures, put on a page one by one with numpy."""

from __future__ import annotations

from ctypes import byref
from io import BytesIO
from pathlib import Path

import freetype
import numpy as np
import pymupdf

import glyph_core.rendering
from glyph_core.config import RenderConfig
from glyph_core.rendering.characters import is_wide
from glyph_core.rendering.placed import PlacedGlyphs

FONTS = Path(glyph_core.rendering.__file__).parent / "fonts"
STACKS = {"mono": ["DejaVuSansMono.ttf", "DejaVuSans.ttf", "cjk"], "sans": ["DejaVuSans.ttf", "cjk"]}


def faces_of(config: RenderConfig) -> list[freetype.Face]:
    faces = []
    for name in STACKS[config.font]:
        content = pymupdf.Font("cjk").buffer if name == "cjk" else (FONTS / name).read_bytes()
        face = freetype.Face(BytesIO(content))
        face.set_char_size(round(config.font_size_px * 64), 0, 72, 72)
        faces.append(face)
    return faces


def picture(face: freetype.Face, character: str, phase: int = 0) -> tuple[np.ndarray, int, int]:
    """(coverage (rows, columns), left, top): the outline is hinted, moved by ``phase`` quarters of a px, and drawn."""
    face.load_char(character, freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP)
    freetype.FT_Outline_Translate(byref(face.glyph.outline._FT_Outline), phase * 16, 0)
    face.glyph.render(freetype.FT_RENDER_MODE_NORMAL)
    bitmap = face.glyph.bitmap
    rows = np.array(bitmap.buffer, dtype=np.uint8).reshape(bitmap.rows, bitmap.pitch)
    return rows[:, : bitmap.width], face.glyph.bitmap_left, face.glyph.bitmap_top


def baseline_px(face: freetype.Face, line_height_px: float) -> int:
    """Printable ASCII as a whole in the middle of the line."""
    pictures = [picture(face, chr(codepoint)) for codepoint in range(0x21, 0x7F)]
    above = max(top for _, _, top in pictures)
    below = max(len(coverage) - top for coverage, _, top in pictures)
    return (int(line_height_px) - above - below) // 2 + above


def draw_slowly(placed: PlacedGlyphs, config: RenderConfig, size: tuple[int, int]) -> np.ndarray:
    """(height, width) uint8: each glyph where its pen says, darkness added up and cut at black. No combining marks."""
    faces = faces_of(config)
    baseline = baseline_px(faces[0], config.line_height_px)
    width, height = size
    darkness = np.zeros((height, width), dtype=np.int64)
    for codepoint, line, (pen, end) in zip(placed.codepoints, placed.lines, placed.pens, strict=True):
        character = chr(codepoint)
        face = next(face for face in faces if face.get_char_index(character))
        if config.cell_width_px or is_wide(character):
            coverage, left, top = picture(face, character)
            advance = face.glyph.linearHoriAdvance / 65536
            slack = (end - pen - advance) / 2 if config.cell_width_px else 0
            x = int(np.floor(pen + 0.5)) + left + round(slack)
        else:
            quarters = int(np.floor(pen * 4 + 0.5))
            coverage, left, top = picture(face, character, quarters % 4)
            x = quarters // 4 + left
        y = int(config.margin_px + int(line) * config.line_height_px) + baseline - top
        rows, columns = coverage.shape
        darkness[y : y + rows, x : x + columns] += coverage
    return (255 - np.minimum(darkness, 255)).astype(np.uint8)
