"""Blocks → pages: each kind of block sets its text and puts it under the one before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.documents.blocks import FigureBlock, FormulaBlock, TableBlock, TextBlock
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.figures import fit_figure
from glyph_core.rendering.filler import Filled, PageFiller
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.formulas import FormulaSetter
from glyph_core.rendering.glyph_stream import GlyphStream
from glyph_core.rendering.highlight import colours_of
from glyph_core.rendering.styles import Style
from glyph_core.rendering.tables import TableSetter
from glyph_core.rendering.text import FlowBlock, TextPages
from glyph_core.rendering.typeset import Typesetter

_TIGHT = ("item", "note")  # blocks that follow one another without a gap
MAX_COLOURED_CHARS = 1_000_000  # of code: pygments takes seconds for it, and holds up whatever else runs here
_MIN_COLUMN_EMS = 8  # however deep a list is nested, its text keeps so much of the column


def lay_out_text(characters: str, config: RenderConfig, atlas: GlyphAtlas) -> TextPages:
    """A plain text as pages."""
    return lay_out([TextBlock(characters)], [0], config, atlas)


def lay_out(blocks: Sequence[FlowBlock], starts: Sequence[int], config: RenderConfig, atlas: GlyphAtlas) -> TextPages:
    """``blocks`` as pages; ``starts`` are the offsets of their first characters in the document's text."""
    flow = Flow(config, atlas)
    for block, start in zip(blocks, starts, strict=True):
        flow.add(block, start)
    return TextPages(config, atlas, *flow.finish(), [block.place for block in blocks], starts, flow.warnings)


class Flow:
    """Takes block after block."""

    def __init__(self, config: RenderConfig, atlas: GlyphAtlas) -> None:
        self._config, self._atlas = config, atlas
        self._typesetter = Typesetter(config, atlas)
        self._filler = PageFiller(config)
        self._tables = TableSetter(self._typesetter, self._filler)
        self._formulas = FormulaSetter(config)
        self._before = ""  # kind of the block before
        self._num_left_out = 0  # figures
        self._num_code_chars = 0
        self._indent = self._width_of("    ")

    def add(self, block: FlowBlock, offset: int) -> None:
        kind = block.kind if isinstance(block, TextBlock) else type(block).__name__
        if self._before and not (kind == self._before and kind in _TIGHT):
            self._filler.skip(self._config.block_gap * self._config.line_height_px)
        match block:
            case TextBlock():
                self._add_text(block, offset)
            case TableBlock():
                self._tables.add(block, offset)
            case FormulaBlock():
                self._add_formula(block, offset)
            case FigureBlock():
                self._add_figure(block, offset)
        self._before = kind

    def finish(self) -> tuple[GlyphStream, Filled]:
        return self._typesetter.stream.build(), self._filler.finish()

    @property
    def warnings(self) -> tuple[str, ...]:
        left_out = f"pictures in the text are left out, {self._num_left_out} in all: the preset shows text alone"
        plain = f"code beyond {MAX_COLOURED_CHARS:,} characters is shown without colours"
        told = [left_out] * bool(self._num_left_out) + [plain] * (self._num_code_chars > MAX_COLOURED_CHARS)
        return (*self._typesetter.warnings(), *self._formulas.warnings, *told)

    def _add_text(self, block: TextBlock, offset: int) -> None:
        if not block.text.strip() and not block.marker:
            return
        style, colours = Style.BODY, None
        if block.kind == "heading":
            style = Style.BOLD
            self._filler.need((2 + self._config.block_gap) * self._config.line_height_px)  # and a line of what follows
        elif block.kind == "code":
            style = Style.CODE
            colours = self._colours_of(block) if self._config.highlight else None
        x = self._place_marker(block) if block.marker or block.kind == "item" else 0
        newline_marks = self._config.newline_marks and block.kind == "plain"
        reading = self._typesetter.read(block.text, offset, style, block.marks, colours, newline_marks)
        self._filler.add_lines(reading.set(self._filler.width - x), x)

    def _colours_of(self, block: TextBlock) -> np.ndarray | None:
        """(n,) uint8; None where the code has none, or all code together is more than is coloured."""
        self._num_code_chars += len(block.text)
        return colours_of(block.text, block.language) if self._num_code_chars <= MAX_COLOURED_CHARS else None

    def _place_marker(self, block: TextBlock) -> int:
        """Draws what stands before the text; returns where the text begins, in 1/64 px."""
        most = self._filler.width - round(_MIN_COLUMN_EMS * self._config.font_size_px * UNITS)
        x = max(0, min(block.level * self._indent if block.kind == "item" else 0, most))
        if not block.marker:
            return x + self._indent
        marker = f"{self._shown(block.marker)} "
        lines = self._typesetter.read(marker, None).set(self._filler.width)
        self._filler.need(self._config.line_height_px)
        self._filler.add_segments([(int(start), int(stop), x, 0.0) for start, stop in lines.bounds[:1]])
        return min(x + self._width_of(marker), max(most, x))

    def _shown(self, marker: str) -> str:
        """A bullet as plain text has it, where plain text is what the model was trained on."""
        return marker if self._config.styled or marker.isascii() or any(map(str.isalnum, marker)) else "-"

    def _add_formula(self, block: FormulaBlock, offset: int) -> None:
        picture = self._formulas.picture(block.text) if self._config.formulas == "set" else None
        if picture is None:
            self._filler.add_lines(self._typesetter.read(block.text, offset).set(self._filler.width))
            return
        self._add_picture(fit_figure(picture, None, self._config), 0, offset, offset + len(block.text))

    def _add_figure(self, block: FigureBlock, offset: int) -> None:
        caption = self._typesetter.read(block.text, offset).set(self._filler.width) if block.text.strip() else None
        if self._config.figures == "set":
            fitted = fit_figure(block.pixels, block.width_pt, self._config)
            self._add_picture(fitted, 0 if caption is None else len(caption), offset, offset)
        else:
            self._num_left_out += 1
        if caption is not None:
            self._filler.add_lines(caption)

    def _add_picture(self, pixels: np.ndarray, num_lines: int, start: int, stop: int) -> None:
        """Takes whole lines, so that text after it stands where text before it would have; ``num_lines`` follow it."""
        line = self._config.line_height_px
        height = -(-pixels.shape[0] // line) * line
        self._filler.need(min(height + num_lines * line, self._filler.page_room_px))
        self._filler.add_picture(pixels, 0, 0.0, start, stop)
        self._filler.advance(height)

    def _width_of(self, text: str) -> int:
        """Of Latin characters, blanks at the end with them; 1/64 px."""
        glyphs = self._atlas.glyphs_of(np.array([ord(character) for character in text], dtype=np.uint32))
        return int(self._atlas.tables.glyphs[glyphs]["advance"].sum())
