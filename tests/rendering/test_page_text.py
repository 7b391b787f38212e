"""The text of rendered pages: all of the document's, each character on the page where it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyph_core.config import PRESETS, preset
from glyph_core.documents.source import read_source
from glyph_core.rendering.page_text import PageText, page_text
from glyph_core.rendering.placed import Span
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource


def pages_of(renderer: PageRenderer, source: DocumentSource) -> list[PageText]:
    return [renderer.page_text(source, index) for index in range(renderer.plan(source).num_pages)]


@pytest.mark.parametrize("name", PRESETS)
def test_pages_together_are_the_document(name: str) -> None:
    text = "\n\n".join(f"Clause {i}. The fee is {i * 37} crowns, 第{i}条 费用如下。" * 5 for i in range(120))
    pages = pages_of(PageRenderer(preset(name)), DocumentSource("a.txt", text.encode()))
    assert len(pages) > 1
    assert "".join("".join(page.text for page in pages).split()) == "".join(text.split())
    for page in pages:
        assert page.text == text[page.start : page.stop]
        assert all(page.start <= span.start < span.stop <= page.stop for span in page.spans)
        assert {span.page_index for span in page.spans} == {page.page_index}


def test_what_stands_elsewhere_is_left_out() -> None:
    text = "left one  \n left two FAR AWAY right"
    spans = [Span(26 + 4, 35, 3, (0, 0, 1, 1)), Span(0, 8, 3, (0, 0, 1, 1)), Span(12, 20, 3, (0, 0, 1, 1))]
    page = page_text(text, 3, spans)
    assert page.text == "left one  \n left two\nright"
    assert (page.page_index, page.start, page.stop) == (3, 0, 35)


def test_a_picture_has_no_text() -> None:
    assert page_text("", 0, []) == PageText(0, "", 0, 0)


def test_a_real_contract(shared_data: Path) -> None:
    source = read_source(next((shared_data / "contracts").glob("STW*.pdf")))
    renderer = PageRenderer(preset("mini"))
    together = "".join("".join(page.text.split()) for page in pages_of(renderer, source))
    assert together == "".join(renderer.text(source).split())
