"""PDF files, read page by page in workers: a page that cannot be read is missing, the rest goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from glyph_core.config import LimitConfig
from glyph_core.documents.blocks import Block, Document, NativePage, SourcePlace, TextBlock
from glyph_core.documents.paged import count_pages, each_page
from glyph_core.documents.pdf.running import running_parts
from glyph_core.documents.pdf.shelf import Shelf
from glyph_core.errors import EmptyDocumentError, InvalidDocumentError
from glyph_core.types import DocumentSource, PageError

if TYPE_CHECKING:
    from glyph_core.documents.pdf.pages import ReadPage
    from glyph_core.documents.pdf.paragraphs import Paragraph

Mode = Literal["auto", "reflow", "native"]

_PDF = "glyph_core.documents.pdf"
_LARGER = 1.15  # than the text around it: a heading
_MAX_HEADING_CHARS, _MAX_HEADING_ROWS, _MAX_LEVEL = 200, 3, 4


def read_pdf(source: DocumentSource, limits: LimitConfig, mode: Mode, *, with_pixels: bool = True) -> Document:
    """The PDF in ``source`` as blocks, its figures with their pixels or only told of.

    Raises UnsupportedDocumentError (a password), InvalidDocumentError, EmptyDocumentError and DocumentTooLargeError
    (pages), and the first page's error where no page can be read.
    """
    num_pages = count_pages(f"{_PDF}.opening:num_pages", source, limits)
    shelf = Shelf()
    errors: list[PageError] = []
    for page in each_page(f"{_PDF}.pages:read_pages", source, range(num_pages), mode, with_pixels, limits=limits):
        if isinstance(page, PageError):
            errors.append(page)
        else:
            shelf.add(page)
    if errors and not shelf.pages:
        raise InvalidDocumentError(
            f"no page of PDF {source.name!r} could be read; the first: {errors[0].reason}; export it again"
        )
    blocks = tuple(_blocks(shelf.pages))
    if not any(isinstance(block, NativePage) or block.text.strip() for block in blocks):
        missing = f"; {errors[0]}, and {len(errors) - 1} more" if errors else ""
        raise EmptyDocumentError(f"PDF {source.name!r} has only blank pages{missing}")
    warnings = _warnings(shelf, errors, mode)
    return Document(source.name, source.digest, "application/pdf", blocks, tuple(errors), warnings)


def _blocks(pages: Sequence[ReadPage]) -> Iterator[Block]:
    sizes: Counter[float] = Counter()
    for page in pages:
        sizes += page.sizes
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    levels = _levels(pages, body)
    running = running_parts(pages)
    for page in pages:
        for part in page.parts:
            if isinstance(part, Block):
                yield part
            elif id(part) in running:
                text = f"{part.marker} {part.text}" if part.marker else part.text
                yield TextBlock(text, "note", place=SourcePlace(page.page, part.box))
            else:
                yield _text_block(part, page.page, body, levels)


def _levels(pages: Sequence[ReadPage], body: float) -> dict[float, int]:
    """Size of a heading, in half points → its level; the largest is 1."""
    found = {
        round(2 * part.size) / 2
        for page in pages
        for part in page.parts
        if not isinstance(part, Block) and _is_large(part, body)
    }
    return {size: min(level, _MAX_LEVEL) for level, size in enumerate(sorted(found, reverse=True), 1)}


def _is_short(part: Paragraph) -> bool:
    has_letters = any(character.isalpha() for character in part.text)
    return has_letters and part.num_rows <= _MAX_HEADING_ROWS and len(part.text) <= _MAX_HEADING_CHARS


def _is_large(part: Paragraph, body: float) -> bool:
    return part.size >= _LARGER * body and _is_short(part) and not part.marker


def _text_block(part: Paragraph, page: int, body: float, levels: dict[float, int]) -> TextBlock:
    place = SourcePlace(page, part.box)
    if part.marker:
        return TextBlock(part.text, "item", marker=part.marker, place=place)
    if _is_large(part, body):
        return TextBlock(part.text, "heading", levels[round(2 * part.size) / 2], place=place)
    is_heading = part.is_bold and part.size >= 0.95 * body and _is_short(part) and part.text[-1] not in ".;,:。；，："
    if is_heading:
        return TextBlock(part.text, "heading", min(_MAX_LEVEL, len(set(levels.values())) + 1), place=place)
    return TextBlock(part.text, "paragraph", place=place)


def _warnings(shelf: Shelf, errors: Sequence[PageError], mode: Mode) -> tuple[str, ...]:
    """Which pages are shown as they are drawn and why, which without their small pictures, and which are missing."""
    shown: dict[str, list[int]] = {}
    for page in shelf.pages:
        for part in page.parts:
            if isinstance(part, NativePage) and mode == "auto":
                shown.setdefault(part.reason, []).append(page.page + 1)
    warnings = [f"{_pages(found)} shown as drawn: {reason}" for reason, found in shown.items()]
    with_pictures = [page.page + 1 for page in shelf.pages if page.num_small_pictures]
    if with_pictures:
        number = sum(page.num_small_pictures for page in shelf.pages)
        warnings.append(f"{_pages(with_pictures)} shown without small pictures such as logos, {number} in all")
    if shelf.reduction > 1:
        warnings.append(f"pictures are so many that they are read at 1/{shelf.reduction} of their resolution")
    return (*warnings, *(str(error) for error in errors))


def _pages(numbers: Sequence[int]) -> str:
    """``numbers``, ascending, in words: "pages 1–3 and 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [str(first) if first == last else f"{first}–{last}" for first, last in runs]
    return f"page{'s' if len(numbers) > 1 else ''} {', '.join(parts)}"
