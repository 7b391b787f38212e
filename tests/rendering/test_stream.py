"""The fast way to a page's pixels against the one that writes down where every glyph goes."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_core.config import RenderConfig, preset
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.compositor import PLACED, SEGMENT, draw, place
from glyph_core.rendering.layout import break_lines
from glyph_core.rendering.paper import OwnedPaper
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.rendering.stream import draw_stream
from glyph_core.types import DocumentSource

ASCII = "".join(map(chr, range(0x20, 0x7F)))
MIXED = "Naïve Ærøskøbing — “three” 三国演义，《水浒传》。한글①※ Ǻ\u0302\u0323 Жук ½ 😀\t｜`jjfj\n"
NARROW = {"page_width_px": 61, "page_height_px": 83, "snap_px": 1, "min_width_px": 28}
CONFIGS = {
    "mini": preset("mini"),
    "glyph-en": preset("glyph-en"),
    "14 px": RenderConfig(font="sans", font_size_px=14, cell_width_px=0, line_height_px=14),
    "16 px": RenderConfig(font="sans", font_size_px=16, cell_width_px=0, line_height_px=32),
    "18 px": RenderConfig(font="sans", font_size_px=18, cell_width_px=0, line_height_px=22),  # many wider than a strip
    "no margin": RenderConfig(font_size_px=8, cell_width_px=4, line_height_px=7, margin_px=0, **NARROW),
    "no margin, overhangs": RenderConfig(
        font="sans", font_size_px=9, cell_width_px=0, line_height_px=9, margin_px=0, **NARROW
    ),
    "too large for strips": RenderConfig(font="sans", font_size_px=40, cell_width_px=0, line_height_px=48),
}


@cache
def atlas_of(name: str) -> GlyphAtlas:
    return GlyphAtlas(CONFIGS[name])


def lay_out(text: str, name: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """The glyphs, a page's segments, and the page's (width, height) px: what fits on one page."""
    config, atlas = CONFIGS[name], atlas_of(name)
    stream = atlas.glyphs_of(np.frombuffer(text.encode("utf-32-le"), np.uint32))
    inner_width, inner_height = (side - 2 * config.margin_px for side in (config.page_width_px, config.page_height_px))
    bounds = break_lines(stream, atlas.tables.glyphs, inner_width * 64).bounds[
        : int(inner_height // config.line_height_px)
    ]
    segments = np.empty(len(bounds), dtype=SEGMENT)
    segments["start"], segments["stop"] = bounds.T
    segments["x"] = config.margin_px * 64
    segments["top"] = config.margin_px + np.arange(len(bounds)) * config.line_height_px
    return stream, segments, (config.page_width_px, config.page_height_px)


def drawn_as_placed(stream: np.ndarray, segments: np.ndarray, atlas: GlyphAtlas, page: np.ndarray) -> None:
    tables = atlas.tables
    placed = np.empty((segments["stop"] - segments["start"]).sum(), dtype=PLACED)
    height, width = page.shape
    count = place(stream, segments, tables.glyphs, tables.cells, width, height, placed)
    page.fill(255)
    draw(placed[:count], tables.cells, tables.ink, page)


def both(stream: np.ndarray, segments: np.ndarray, atlas: GlyphAtlas, size: tuple[int, int]) -> list[np.ndarray]:
    """The page as placed, and as streamed onto a dirty page within a guarded buffer."""
    width, height = size
    guarded = np.full(64 + width * height + 64, 77, np.uint8)
    fast, slow = guarded[64:-64].reshape(height, width), np.empty((height, width), np.uint8)
    drawn_as_placed(stream, segments, atlas, slow)
    draw_stream(stream, segments, atlas.tables, fast)
    assert (guarded[:64] == 77).all()
    assert (guarded[-64:] == 77).all()
    return [slow, fast]


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=ASCII + MIXED, min_size=1, max_size=400).filter(str.strip))
def test_the_fast_way_draws_the_same_pixels(name: str, text: str) -> None:
    stream, segments, size = lay_out(text, name)
    slow, fast = both(stream, segments, atlas_of(name), size)
    assert np.array_equal(slow, fast)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-400, 8000), st.integers(-20, 120)), max_size=12))
def test_segments_may_stand_anywhere(name: str, lines: list[tuple[int, int, int]]) -> None:
    """Side by side, over one another, half off the page."""
    atlas = atlas_of(name)
    stream = atlas.glyphs_of(np.frombuffer((MIXED + ASCII).encode("utf-32-le"), np.uint32))
    segments = np.array([(start, start + 40, x, top) for start, x, top in lines], dtype=SEGMENT)
    slow, fast = both(stream, segments, atlas, (90, 101))
    assert np.array_equal(slow, fast)


@pytest.mark.parametrize("text", ["mm\u0302" * 60, "i\u0302\u0323" * 90, "WW—j" * 80])
def test_what_stands_behind_the_strip_or_does_not_fit_in_it_is_drawn(text: str) -> None:
    for name in ("glyph-en", "18 px"):
        assert atlas_of(name).tables.strips is not None
        stream, segments, size = lay_out(text, name)
        slow, fast = both(stream, segments, atlas_of(name), size)
        assert np.array_equal(slow, fast)


def test_strips_hold_the_printable_ascii() -> None:
    for name in ("mini", "glyph-en", "14 px"):
        atlas = GlyphAtlas(CONFIGS[name])
        glyphs = atlas.glyphs_of(np.arange(0x21, 0x7F, dtype=np.uint32))
        tables = atlas.tables
        assert tables.strips is not None
        for phase in range(4):
            cells = (tables.glyphs["first_cell"] + np.minimum(phase, tables.glyphs["num_phases"] - 1))[glyphs]
            assert tables.strips.reach["width"][cells].max() <= 16


def test_an_empty_page_is_white() -> None:
    page = np.zeros((28, 28), np.uint8)
    draw_stream(np.zeros(0, np.int32), np.zeros(0, SEGMENT), atlas_of("mini").tables, page)
    assert page.min() == 255


def test_pages_of_text_go_where_the_caller_says() -> None:
    renderer = PageRenderer(preset("glyph-en"))
    source = DocumentSource("a.txt", (ASCII + "\n").encode() * 200)
    fresh = [page.pixels for page in renderer.render(source, 0, 3)]
    buffer = np.full(sum(pixels.size for pixels in fresh[:2]) + 5, 77, np.uint8)
    owned = [page.pixels for page in renderer.render(source, 0, 3, OwnedPaper(buffer))]
    assert all(np.array_equal(*pair) for pair in zip(fresh, owned, strict=True))
    assert [np.shares_memory(pixels, buffer) for pixels in owned] == [True, True, False]  # the third does not fit
    assert (buffer[-5:] == 77).all()
    assert not any(np.shares_memory(first, second) for first, second in pairwise(fresh))
