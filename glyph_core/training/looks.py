"""The looks that glyph-mini is trained on: render configurations, and documents laid out in them for the GPU.

A page is drawn by the renderer's own tables: this module runs its line breaking and placement, and hands over which
atlas cell goes where. The composer copies the cells; the result equals ``PageRenderer``'s page, pixel for pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from glyph_core.config import PRESETS, RenderConfig
from glyph_core.rendering.atlas import AtlasTables, GlyphAtlas
from glyph_core.rendering.flow import lay_out_text
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.strips import LANES
from glyph_core.rendering.text import TextPages
from glyph_core.training.charset import CHARSET, CLASS_OF

_CLASS_TABLE = np.zeros(0x3000, dtype=np.int16)
for _char, _class in CLASS_OF.items():
    _CLASS_TABLE[ord(_char)] = _class


def _sans(size_px: float, line_height_px: int) -> RenderConfig:
    return RenderConfig(font="sans", font_size_px=size_px, cell_width_px=0, line_height_px=line_height_px)


LOOKS: dict[str, RenderConfig] = {
    "mono": PRESETS["mini"],
    "sans": _sans(12, 14),
    "sans15": _sans(12, 15),
    "dense": PRESETS["glyph-en"],
    "dense11": _sans(9, 11),
}
MEAN_ADVANCE_PX = {"mono": 7.0, "sans": 6.7, "sans15": 6.7, "dense": 5.1, "dense11": 5.1}  # of English, about


class InkTable(NamedTuple):
    """All cells of all looks as lists of their inked pixels: cell c's are ``[starts[c], starts[c + 1])``."""

    starts: np.ndarray  # (num_cells + 1,) int32
    dx: np.ndarray  # (num_pixels,) int8, from the cell's left top corner
    dy: np.ndarray  # (num_pixels,) int8
    coverage: np.ndarray  # (num_pixels,) uint8


class LaidOutPage(NamedTuple):
    """A page as the composer takes it; n glyphs with ink."""

    cells: np.ndarray  # (n,) int32, rows of the ink table
    xy: np.ndarray  # (n, 2) int16: left top corner of each cell, px
    centres: np.ndarray  # (n, 2) float32: middle of each glyph's advance and of its line, px
    classes: np.ndarray  # (n,) int16, see charset.CLASS_OF
    width_px: int
    height_px: int


@dataclass
class Typesetter:
    """Lays out text in any of the looks. The order of cells is the same in every process."""

    atlases: dict[str, GlyphAtlas] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        charset = np.array([ord(char) for char in CHARSET + "\n\t"], dtype=np.uint32)
        offset = 0
        for name, config in LOOKS.items():
            atlas = GlyphAtlas(config)
            atlas.glyphs_of(charset)
            self.atlases[name] = atlas
            self._offsets[name] = offset
            offset += len(atlas.tables.cells)

    def ink_table(self) -> InkTable:
        pixels = [
            _inked(tables.cells[row], tables.ink) for tables in self._tables() for row in range(len(tables.cells))
        ]
        starts = np.concatenate([[0], np.cumsum([len(cell[0]) for cell in pixels])]).astype(np.int32)
        dy, dx, coverage = (np.concatenate(parts) for parts in zip(*pixels, strict=True))
        return InkTable(starts, dx.astype(np.int8), dy.astype(np.int8), coverage)

    def _tables(self) -> list[AtlasTables]:
        return [self.atlases[name].tables for name in LOOKS]

    def lay_out(self, text: str, look: str, config: RenderConfig) -> list[LaidOutPage]:
        """``config`` is the look's own, but for the sizes of page and margin."""
        pages = lay_out_text(text, config, self.atlases[look])
        codepoints = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        return [self._place(pages, look, codepoints, index) for index in range(len(pages.sizes))]

    def _place(self, pages: TextPages, look: str, codepoints: np.ndarray, page_index: int) -> LaidOutPage:
        tables = pages.atlas.tables
        config, (width, height) = pages.config, pages.sizes[page_index]
        placed = pages.place(page_index)
        middles = (placed["pen"] + tables.glyphs[tables.cells[placed["cell"]]["glyph"]]["advance"] / 2) / UNITS
        heights = config.margin_px + (placed["line"] + 0.5) * config.line_height_px
        return LaidOutPage(
            cells=placed["cell"] + np.int32(self._offsets[look]),
            xy=np.stack([placed["x"], placed["y"]], axis=1),
            centres=np.stack([middles, heights], axis=1).astype(np.float32),
            classes=_CLASS_TABLE[codepoints[placed["index"]]],
            width_px=width,
            height_px=height,
        )


def _inked(cell: np.ndarray, ink: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dy, dx, coverage) of a cell's pixels that hold ink."""
    num_columns, num_rows, start = int(cell["num_columns"]), int(cell["num_rows"]), int(cell["ink_start"])
    lanes = ink[start : start + num_columns * num_rows * LANES].reshape(num_columns, num_rows, LANES)
    picture = lanes.swapaxes(0, 1).reshape(num_rows, num_columns * LANES)
    dy, dx = np.nonzero(picture)
    return dy, dx, picture[dy, dx]
