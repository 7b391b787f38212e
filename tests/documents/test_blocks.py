"""Blocks and where their text stands in the document's."""

from __future__ import annotations

import numpy as np

from glyph_core.documents.blocks import Cell, Document, FigureBlock, TableBlock, TextBlock


def test_every_block_is_found_in_the_text_by_its_start() -> None:
    table = TableBlock(((Cell("a"), Cell("b")), (Cell("c", column_span=2),)))
    picture = FigureBlock(np.zeros((1, 1), np.uint8))
    document = Document("d", "0", "text/html", (TextBlock("one"), picture, table, TextBlock("two")))
    assert document.text == "one\n\na\tb\nc\ntwo"
    for block, start in zip(document.blocks, document.starts, strict=True):
        assert document.text[start : start + len(block.text)] == block.text


def test_a_document_without_blocks_has_no_text() -> None:
    document = Document("d", "0", "text/plain", ())
    assert (document.text, tuple(document.starts)) == ("", ())
