"""Small PDFs that tests write themselves."""

from __future__ import annotations

from collections.abc import Callable

import pymupdf

from glyph_core.types import DocumentSource

PROSE = (
    "The quick brown fox jumps over the lazy dog while seven wizards quietly brew jade potions behind the old mill "
    "and count every copper coin that the miller dropped on his long way home from the market last winter. "
)


def pdf(*draw: Callable[[pymupdf.Page], object], name: str = "a.pdf", **options: object) -> DocumentSource:
    """A PDF with a page of 595×842 pt for each of ``draw``."""
    document = pymupdf.open()
    for one in draw:
        one(document.new_page(width=595, height=842))
    return DocumentSource(name, document.tobytes(**options))


def write(*pieces: tuple[tuple[float, float], str], size: float = 10, font: str = "helv") -> Callable:
    """A page with text at places (x of its left, y of its base line)."""

    def draw(page: pymupdf.Page) -> None:
        for place, text in pieces:
            page.insert_text(place, text, fontsize=size, fontname=font)

    return draw


def column(page: pymupdf.Page, left: float, text: str, top: float = 100) -> None:
    page.insert_textbox(pymupdf.Rect(left, top, left + 230, 800), text, fontsize=10, align=pymupdf.TEXT_ALIGN_JUSTIFY)
