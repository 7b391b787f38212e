"""Everything that a document says stands on its pages: read back from the placed glyphs of real files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from glyph_core.config import preset
from glyph_core.documents.source import read_source
from glyph_core.rendering.renderer import PageRenderer
from tests.rendering.fidelity import fidelity_of

KINDS = ("long_text", "contracts", "html_md", "code", "docx")
SAMPLE = (
    "docx/HC002-Hebrew-01.docx", "docx/RP051-Arabic.docx", "docx/equations.docx", "docx/table_header_rowspan.docx",
    "html_md/ch10.zh-cn.html", "html_md/wiki_duck.html", "code/jquery.min.js",
)  # fmt: skip
LEAST = 0.999


@cache
def renderer_of(name: str) -> PageRenderer:
    return PageRenderer(preset(name))


def assert_read_back(name: str, path: Path) -> None:
    fidelity = fidelity_of(renderer_of(name), read_source(path))
    assert fidelity.num_visible
    assert fidelity.share >= LEAST, f"{fidelity} of {path.name}"


@pytest.mark.parametrize("file", SAMPLE)
@pytest.mark.parametrize("name", ["mini", "readable"])
def test_a_few_files(name: str, file: str, shared_data: Path) -> None:
    assert_read_back(name, shared_data / file)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["mini", "glyph-en", "readable"])
def test_all_files(name: str, kind: str, shared_data: Path) -> None:
    for path in sorted((shared_data / kind).iterdir()):
        if path.suffix != ".csv":
            assert_read_back(name, path)


def spans_on(renderer: PageRenderer, path: Path) -> Iterator[tuple[np.ndarray, tuple[int, int, int, int]]]:
    source = read_source(path)
    for page in renderer.render(source, 0, min(3, renderer.plan(source).num_pages)):
        for span in renderer.spans(source, page.plan.page_index):
            assert 0 <= span.start < span.stop <= len(renderer.text(source))
            yield page.pixels, span.box


@pytest.mark.parametrize(
    "file",
    ["docx/HC002-Hebrew-01.docx", "docx/equations.docx", "html_md/wiki_duck.html", "pdf/scotus-transcript-p1.pdf"],
)
@pytest.mark.parametrize("name", ["mini", "glyph-zh"])
def test_every_span_s_box_holds_ink(name: str, file: str, shared_data: Path) -> None:
    count = 0
    for pixels, (left, top, right, bottom) in spans_on(renderer_of(name), shared_data / file):
        box = pixels[top:bottom, left:right]
        assert box.shape[:2] == (bottom - top, right - left)  # wholly on the page
        assert (box < 200).any()
        count += 1
    assert count > 5


def test_spans_of_a_page_shown_as_drawn_are_its_words(shared_data: Path) -> None:
    """Words of the text layer, each over the ink that it names."""
    renderer = PageRenderer(preset("readable").model_copy(update={"mode": "native"}))
    source = read_source(shared_data / "pdf" / "scotus-transcript-p1.pdf")
    text = renderer.text(source)
    spans = renderer.spans(source, 0)
    assert len(spans) > 50
    assert all(span.place is not None and span.place.page == 0 for span in spans)
    pixels = renderer.render(source, 0, 1)[0].pixels
    inked = 0
    for span in spans:
        left, top, right, bottom = span.box
        assert text[span.start : span.stop].strip() == text[span.start : span.stop] != ""
        inked += bool((pixels[top:bottom, left:right] < 200).any())
    assert inked >= 0.99 * len(spans)
