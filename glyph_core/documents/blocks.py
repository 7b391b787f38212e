"""What a document is made of, in reading order.

Every block has a linear ``text``; :attr:`Document.text` joins them, and every position in a document (of a glyph, a
span, a citation) is a character offset into that joined text. ``place`` says where a block stands in the file itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal

import numpy as np

from glyph_core.types import PageError

NO_PIXELS = np.zeros((0, 0), np.uint8)  # of a figure that is only told of
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """Where a block stands in a file that has pages of its own."""

    page: int  # of the PDF, or frame of the TIFF, from 0
    box: Box | None = None  # in points from the page's left top corner; None: the whole page


@dataclass(frozen=True, slots=True)
class Mark:
    """Characters ``[start, stop)`` of a block's text that are set in another way than the rest."""

    start: int
    stop: int
    kind: Literal["bold", "italic", "code", "formula"]  # a formula's text is LaTeX


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text that is set line by line, as it stands: a paragraph, a heading, an item of a list, code, a whole text file.

    ``level`` is a heading's, from 1, or an item's depth, from 0. ``marker`` is what stands before an item ("•", "3.");
    it is drawn, but is no part of ``text``. ``language`` is a code block's, as pygments names lexers. A "note" is a
    running head or foot.
    """

    text: str = field(repr=False)
    kind: Literal["plain", "paragraph", "heading", "item", "code", "note"] = "plain"
    level: int = 0
    marker: str = ""
    language: str = ""
    marks: tuple[Mark, ...] = ()
    place: SourcePlace | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. It covers ``row_span`` rows and ``column_span`` columns from its own place on."""

    text: str
    row_span: int = 1
    column_span: int = 1


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table as HTML has it: a row lists the cells that begin in it, those that reach down into it left out."""

    rows: tuple[tuple[Cell, ...], ...] = field(repr=False)
    num_header_rows: int = 0
    place: SourcePlace | None = None

    @property
    def text(self) -> str:
        """Rows joined by line ends, cells by tabs."""
        return "\n".join("\t".join(cell.text for cell in row) for row in self.rows)


@dataclass(frozen=True, slots=True)
class FormulaBlock:
    """A formula on a line of its own; ``text`` is LaTeX without delimiters."""

    text: str
    place: SourcePlace | None = None


@dataclass(frozen=True, slots=True)
class FigureBlock:
    """A picture in the flow of the text. ``text`` is its alternative text or caption, often empty."""

    pixels: np.ndarray = field(repr=False)  # (height, width) gray or (height, width, 3), uint8; or NO_PIXELS
    text: str = ""
    width_pt: float | None = None  # as wide as it stands in the source; None: unknown
    place: SourcePlace | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a native page: characters ``[start, stop)`` of the block's text, and its box in points."""

    start: int
    stop: int
    box: Box


@dataclass(frozen=True, slots=True)
class NativePage:
    """A page that is shown as the file draws it: a scan, a form, a drawing, a picture that was sent as a document.

    Its pixels are made when they are needed, by :func:`glyph_core.documents.rasterise.rasterise`. ``text`` is its text
    layer, empty where there is none or where it does not match the picture.
    """

    page: int  # of the source, from 0
    width_pt: float
    height_pt: float
    text: str = field(default="", repr=False)
    words: tuple[Word, ...] = field(default=(), repr=False)
    reason: str = ""  # why it is not set anew

    @property
    def place(self) -> SourcePlace:
        return SourcePlace(self.page)


Block = TextBlock | TableBlock | FormulaBlock | FigureBlock | NativePage


@dataclass(frozen=True)
class Document:
    """A parsed document: blocks in reading order, what was lost on the way, and what a reader should know."""

    name: str
    digest: str  # its source's
    media_type: str
    blocks: tuple[Block, ...] = field(repr=False)
    page_errors: tuple[PageError, ...] = ()  # pages of the source that are missing
    warnings: tuple[str, ...] = ()

    def without_pixels(self) -> Document:
        """The same, but that its figures are only told of: they may take a thousand times what the text does."""
        if not any(isinstance(block, FigureBlock) for block in self.blocks):
            return self
        bare = (replace(one, pixels=NO_PIXELS) if isinstance(one, FigureBlock) else one for one in self.blocks)
        return replace(self, blocks=tuple(bare))

    @cached_property
    def text(self) -> str:
        return "\n".join(block.text for block in self.blocks)

    @cached_property
    def starts(self) -> Sequence[int]:
        """Offset in :attr:`text` of each block's first character."""
        return (0, *accumulate(len(block.text) + 1 for block in self.blocks))[: len(self.blocks)]
