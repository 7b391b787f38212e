"""Pages pixel by pixel: the compiled blit against FreeType's pictures put down one by one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_core.config import RenderConfig, preset
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.compositor import PLACED, draw
from glyph_core.rendering.flow import lay_out_text
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource
from tests.rendering.glyph_reference import draw_slowly

ASCII = "".join(map(chr, range(0x20, 0x7F)))
MIXED = "Naïve Ærøskøbing — “three” 三国演义，《水浒传》。한글 かな①※ αβγ Жук ½ 😀\tend | ` _ {}\n"
CONFIGS = {
    "mini": preset("mini"),
    "glyph-en": preset("glyph-en"),
    "large": RenderConfig(font="sans", font_size_px=40, cell_width_px=0, line_height_px=48),  # cells of several columns
    "wide cells": RenderConfig(font_size_px=13, cell_width_px=9, line_height_px=15, margin_px=5),
}


@cache
def renderer_of(name: str) -> PageRenderer:
    return PageRenderer(CONFIGS[name])


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=25, deadline=None)
@given(st.text(alphabet=ASCII + MIXED, min_size=1, max_size=400).filter(str.strip))
def test_a_page_equals_freetype_s_glyphs_put_down_one_by_one(name: str, text: str) -> None:
    renderer = renderer_of(name)
    source = DocumentSource("a.txt", text.encode())
    for page in renderer.render(source, 0, renderer.plan(source).num_pages):
        placed = renderer.placed_glyphs(source, page.plan.page_index)
        slow = draw_slowly(placed, renderer.config, (page.plan.width_px, page.plan.height_px))
        assert np.array_equal(page.pixels, slow)


def test_every_box_is_the_box_of_its_ink() -> None:
    config = preset("mini")
    renderer = PageRenderer(config)
    source = DocumentSource("a.txt", (ASCII * 3 + MIXED).encode())
    (page,) = renderer.render(source, 0, 1)
    placed = renderer.placed_glyphs(source, 0)
    for (left, top, right, bottom), (pen, end) in zip(placed.boxes, placed.pens, strict=True):
        box = page.pixels[top:bottom, left:right]
        assert (box < 255).any()
        assert box.shape == (bottom - top, right - left)  # wholly on the page
        assert pen - 2 <= left <= right <= end + 2


def test_marks_are_drawn_over_the_character_before() -> None:
    renderer = renderer_of("glyph-en")
    bare, marked = (
        renderer.render(DocumentSource("a.txt", text.encode()), 0, 1)[0].pixels for text in ("mamba", "mam\u0302ba")
    )
    rows, columns = np.nonzero(bare != marked)
    source = DocumentSource("a.txt", "mam\u0302ba".encode())
    placed = renderer.placed_glyphs(source, 0)
    assert placed.codepoints.tolist() == [ord(char) for char in "mam\u0302ba"]
    left, top, right, _ = placed.boxes[2]
    assert left <= columns.min() <= columns.max() < right  # the circumflex stands over the second m
    assert rows.max() <= top
    assert placed.pens[4, 0] == placed.pens[2, 1]  # and moves nothing


def test_glyphs_at_the_edge_are_moved_inside() -> None:
    config = RenderConfig.model_construct(  # glyphs in cells so small that no configuration allows them
        font_size_px=12, cell_width_px=4, line_height_px=6, page_width_px=56, page_height_px=60, margin_px=0,
        snap_px=4, min_width_px=28,
    )  # fmt: skip
    renderer = PageRenderer(config)
    source = DocumentSource("a.txt", ("Wj|`" * 70).encode())  # about 7×13 px in cells of 4×6: over all four edges
    boxes = np.concatenate(
        [renderer.placed_glyphs(source, index).boxes for index in range(renderer.plan(source).num_pages)]
    )
    assert len(boxes) == 280
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert boxes[:, 2:].max(axis=0).tolist() == [56, 60]
    assert len({(right - left, bottom - top) for left, top, right, bottom in boxes.tolist()}) == 4  # moved, never cut


def test_a_cell_larger_than_its_page_loses_only_what_lies_outside() -> None:
    atlas = GlyphAtlas(RenderConfig(font="sans", font_size_px=60, cell_width_px=0, line_height_px=64))
    pages = lay_out_text("W", RenderConfig(), atlas)
    placed = pages.place(0)
    whole, cut = np.full((100, 100), 255, np.uint8), np.full((30, 20), 255, np.uint8)
    placed["x"], placed["y"] = 0, 0
    _, cells, ink = atlas.tables[:3]
    draw(placed, cells, ink, whole)
    draw(placed, cells, ink, cut)
    assert np.array_equal(cut, whole[:30, :20])
    assert (cut < 255).any()


def test_overlapping_glyphs_darken_and_never_wrap_round() -> None:
    atlas = GlyphAtlas(preset("mini"))
    pages = lay_out_text("MMMM", preset("mini"), atlas)
    placed = pages.place(0)
    placed["x"], placed["y"] = 10, 10
    _, cells, ink = atlas.tables[:3]
    once, often = (np.full((40, 40), 255, np.uint8) for _ in range(2))
    draw(placed[:1], cells, ink, once)
    draw(placed, cells, ink, often)
    assert (often <= once).all()
    assert np.array_equal(often, 255 - np.minimum(4 * (255 - once.astype(int)), 255))


def test_drawing_nothing_leaves_the_page_white() -> None:
    _, cells, ink = GlyphAtlas(preset("mini")).tables[:3]
    page = np.full((28, 28), 255, np.uint8)
    draw(np.zeros(0, PLACED), cells, ink, page)
    assert page.min() == 255


def test_printable_ascii_lies_within_its_cell() -> None:
    """7 px wide without exception; | and ` take 15 rows together, so that one of them reaches over the line's 14."""
    renderer = renderer_of("mini")
    source = DocumentSource("a.txt", ASCII.encode())
    placed = renderer.placed_glyphs(source, 0)
    assert placed.codepoints.tolist() == [ord(char) for char in ASCII[1:]]
    cells = placed.pens[:, 0].astype(int)
    assert (placed.boxes[:, 0] >= cells).all()
    assert (placed.boxes[:, 2] <= cells + 7).all()
    tops = 14 + 14 * placed.lines.astype(int)
    reaches_over = (placed.boxes[:, 1] < tops) | (placed.boxes[:, 3] > tops + 14)
    assert [chr(codepoint) for codepoint in placed.codepoints[reaches_over]] == ["`"]
