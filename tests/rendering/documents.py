"""Documents of blocks, laid out without a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glyph_core.config import RenderConfig
from glyph_core.documents.blocks import Block, Cell, Document, TableBlock
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.sections import Pages, lay_out_document
from glyph_core.types import PageError


def document_of(*blocks: Block) -> Document:
    return Document("a", "digest", "text/html", blocks)


def laid_out(config: RenderConfig, *blocks: Block) -> Pages:
    return lay_out_document(document_of(*blocks), config, GlyphAtlas(config), no_pages)


def no_pages(pages: Sequence[int], dpi: float) -> list[np.ndarray | PageError]:
    raise AssertionError("nothing is to be rasterised here")


def table_of(rows: Sequence[Sequence[str | Cell]], num_header_rows: int = 1) -> TableBlock:
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return TableBlock(cells, num_header_rows)


def pixels_of(pages: Pages) -> list[np.ndarray]:
    return [page.pixels for page in pages.draw(0, len(pages.sizes))]


def read_back(pages: Pages, text: str) -> str:
    """The visible characters that stand on the pages as part of ``text``, in its order."""
    shown: dict[int, str] = {}
    for page in range(len(pages.sizes)):
        placed = pages.placed(page)
        for offset, codepoint in zip(placed.offsets.tolist(), placed.codepoints.tolist(), strict=True):
            if offset >= 0:
                assert offset not in shown, f"{text[offset]!r} at {offset} stands there twice"
                shown[offset] = chr(codepoint)
    assert all(text[offset] == character for offset, character in shown.items())
    return "".join(shown[offset] for offset in sorted(shown))
