"""A PDF's pages as blocks. Runs in a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pymupdf

from glyph_core.documents.attempts import attempt_each
from glyph_core.documents.blocks import NO_PIXELS, Block, Box, FigureBlock, NativePage, SourcePlace, TextBlock, Word
from glyph_core.documents.pdf.columns import gutters_of, in_columns
from glyph_core.documents.pdf.lines import Line, holds, lines_of, vectors_of
from glyph_core.documents.pdf.opening import MUPDF_ERRORS, opened
from glyph_core.documents.pdf.paragraphs import Paragraph, paragraphs_of
from glyph_core.documents.pdf.pixels import pixels_of
from glyph_core.documents.pdf.raised import put_into_gaps
from glyph_core.documents.pdf.rows import rows_of, words_in
from glyph_core.documents.pdf.suspicion import reason_for_native
from glyph_core.documents.pdf.tables import PdfTable, tables_of
from glyph_core.types import DocumentSource, PageError

Mode = Literal["auto", "reflow", "native"]

_TEXT_FLAGS = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP | pymupdf.TEXT_COLLECT_VECTORS
_MIN_FIGURE_PT, _MIN_FIGURE_SHARE = 48.0, 0.015  # sides, and share of the page; smaller pictures are ornaments
_MIN_TOLD_PT = 12.0  # sides of a picture that is too small to show, but not to be told about: a logo, a signature
_FIGURE_DPI, _MAX_FIGURE_PIXELS = 144, 4_000_000


@dataclass(slots=True)
class ReadPage:
    """A page as read. Its paragraphs become headings or not when the whole document is known."""

    page: int
    parts: list[Paragraph | Block]
    sizes: Counter[float] = field(default_factory=Counter)  # of its characters, in half points
    num_small_pictures: int = 0  # left out


@dataclass(frozen=True, slots=True)
class _Figure:
    block: FigureBlock
    box: Box


def read_pages(
    source: DocumentSource, pages: Sequence[int], mode: Mode, with_pixels: bool
) -> Iterator[ReadPage | PageError]:
    """Each of ``pages`` as blocks, or why it has none; its figures with their pixels or without."""
    document = opened(source)
    return attempt_each(source, pages, lambda index: _read(document.load_page(index), mode, with_pixels), MUPDF_ERRORS)


def _read(page: pymupdf.Page, mode: Mode, with_pixels: bool) -> ReadPage:
    area = float(page.rect.width * page.rect.height)
    if mode == "native":
        return ReadPage(page.number, [_native(page, "", keeps_text=True)])
    text = page.get_text("dict", flags=_TEXT_FLAGS)
    lines = put_into_gaps(lines_of(text), lambda: page.get_text("rawdict", flags=_TEXT_FLAGS))
    vectors = vectors_of(text)
    pictures = _pictures(page)
    if mode == "auto":
        num_fields = sum(1 for _ in page.widgets())
        if reason := reason_for_native(lines, vectors, pictures, num_fields, area):
            return ReadPage(page.number, [_native(page, reason, keeps_text=num_fields > 0)])
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(2 * line.size) / 2] += len(line.text)
    num_small = sum(_is_small(box, area) and min(_sides(box)) >= _MIN_TOLD_PT for box in pictures)
    return ReadPage(page.number, _reflowed(page, lines, vectors, pictures, with_pixels), sizes, num_small)


def _native(page: pymupdf.Page, reason: str, *, keeps_text: bool) -> NativePage:
    words: list[Word] = []
    pieces: list[str] = []
    position = 0
    if keeps_text:
        line_before = None
        for *box, word, block, line, _ in page.get_text("words"):
            if pieces:
                pieces.append(" " if (block, line) == line_before else "\n")
                position += 1
            words.append(Word(position, position + len(word), (box[0], box[1], box[2], box[3])))
            pieces.append(word)
            position += len(word)
            line_before = block, line
    rect = page.rect
    return NativePage(page.number, rect.width, rect.height, "".join(pieces), tuple(words), reason)


def _pictures(page: pymupdf.Page) -> list[Box]:
    """The boxes of the pictures on ``page``, cut to it."""
    if not page.get_images():
        return []
    boxes = [pymupdf.Rect(shown["bbox"]) & page.rect for shown in page.get_image_info()]
    return [tuple(box) for box in boxes if not box.is_empty]


def _reflowed(
    page: pymupdf.Page, lines: list[Line], vectors: list[Box], pictures: list[Box], with_pixels: bool
) -> list[Paragraph | Block]:
    tables = tables_of(vectors, lines, page.number)
    in_tables = {id(line) for table in tables for line in table.lines}
    flowing = [line for line in lines if id(line) not in in_tables]
    straight = [line for line in flowing if line.is_straight]
    figures = _figures(page, pictures, lines, with_pixels)
    things: list[Line | PdfTable | _Figure] = [*straight, *tables, *figures]
    words = words_in(lines)
    parts: list[Paragraph | Block] = []
    gutters = gutters_of(straight)
    margin = min((line.box[0] for line in straight), default=0.0)
    for stretch in in_columns(things, gutters):
        right = max(thing.box[2] for thing in stretch)
        room_right = min([gutter for gutter in gutters if gutter >= right], default=page.rect.x1 - margin)
        pending: list[Line] = []
        for thing in stretch:
            if isinstance(thing, Line):
                pending.append(thing)
                continue
            parts += paragraphs_of(rows_of(pending), words, room_right)
            pending = []
            parts.append(thing.block)
        parts += paragraphs_of(rows_of(pending), words, room_right)
    turned = [line for line in flowing if not line.is_straight]
    if turned:  # as it is drawn: turned and vertical text has rows of its own
        text = "\n".join(line.text.strip() for line in turned)
        parts.append(TextBlock(text, place=SourcePlace(page.number)))
    return parts


def _figures(page: pymupdf.Page, pictures: list[Box], lines: list[Line], with_pixels: bool) -> list[_Figure]:
    """Pictures that are large enough to tell something and don't lie under the text."""
    area = page.rect.width * page.rect.height
    figures: list[_Figure] = []
    for box in pictures:
        if _is_small(box, area):
            continue
        width, height = _sides(box)
        if any(holds(box, line.box) for line in lines) or any(holds(other.box, box) for other in figures):
            continue
        dpi = min(_FIGURE_DPI, 72 * (_MAX_FIGURE_PIXELS / (width * height)) ** 0.5)
        pixels: np.ndarray = pixels_of(page, dpi, pymupdf.Rect(box)) if with_pixels else NO_PIXELS
        figures.append(_Figure(FigureBlock(pixels, width_pt=width, place=SourcePlace(page.number, box)), box))
    return figures


def _sides(box: Box) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


def _is_small(box: Box, area: float) -> bool:
    width, height = _sides(box)
    return min(width, height) < _MIN_FIGURE_PT or width * height < _MIN_FIGURE_SHARE * area
