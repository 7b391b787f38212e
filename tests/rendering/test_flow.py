"""Blocks on pages: where each kind stands, what is kept together, what becomes of code, figures and line ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from glyph_core.config import RenderConfig, preset
from glyph_core.documents.blocks import FigureBlock, Mark, TextBlock
from glyph_core.rendering import flow
from glyph_core.rendering.placed import PlacedGlyphs
from glyph_core.rendering.text import TextPages
from tests.rendering.documents import document_of, laid_out, pixels_of, read_back

READABLE, MINI = preset("readable"), preset("mini")
PICTURED = MINI.model_copy(update={"figures": "set"})
WORDS = "one two three four five six seven eight nine ten "


def lefts(placed: PlacedGlyphs) -> list[int]:
    """Where each line's ink begins, px."""
    return [int(placed.boxes[placed.lines == line, 0].min()) for line in np.unique(placed.lines)]


@pytest.mark.parametrize("name", ["mini", "glyph-en", "readable"])
def test_all_of_the_text_is_there_once_and_in_order(name: str) -> None:
    blocks = (
        TextBlock("A heading", "heading", level=1),
        TextBlock(WORDS * 9, "paragraph", marks=(Mark(4, 7, "bold"), Mark(8, 13, "italic"), Mark(14, 18, "code"))),
        TextBlock("first " + WORDS * 4, "item", marker="1."),
        TextBlock("nested " + WORDS * 4, "item", level=1, marker="•"),
        TextBlock("def f(x):\n\treturn x", "code", language="python"),
        TextBlock("", "paragraph"),
        TextBlock("a note", "note", marker="[1]"),
    )
    document = document_of(*blocks)
    pages = laid_out(preset(name), *blocks)
    assert read_back(pages, document.text) == "".join(document.text.split())


def test_items_hang_and_nest() -> None:
    blocks = [TextBlock(WORDS * 6, "item", level=level, marker="•") for level in range(3)]
    placed = laid_out(READABLE, *blocks).placed(0)
    is_marker = placed.offsets == -1
    markers = placed.boxes[is_marker, 0].tolist()
    assert [chr(codepoint) for codepoint in placed.codepoints[is_marker]] == ["•"] * 3
    assert markers[0] < markers[1] < markers[2]
    for level, block_start in enumerate(range(0, 3 * (len(WORDS * 6) + 1), len(WORDS * 6) + 1)):
        own = (placed.offsets >= block_start) & (placed.offsets < block_start + len(WORDS * 6))
        text_lefts = {int(placed.pens[own & (placed.lines == line), 0].min()) for line in np.unique(placed.lines[own])}
        assert len(text_lefts) == 1  # all its lines begin below one another,
        assert text_lefts.pop() > markers[level]  # right of the marker


def test_text_in_a_deeply_nested_item_keeps_some_of_the_column() -> None:
    pages = laid_out(MINI, TextBlock(WORDS, "item", level=500, marker="•"))
    assert read_back(pages, WORDS) == "".join(WORDS.split())
    assert pages.sizes[0][0] <= MINI.page_width_px


def test_bullets_are_hyphens_where_the_model_knows_plain_text_only() -> None:
    item = TextBlock("tea", "item", marker="•")
    assert np.array_equal(pixels_of(laid_out(MINI, item))[0], pixels_of(laid_out(MINI, TextBlock("- tea")))[0])


def test_a_heading_is_bold_and_never_last_on_a_page() -> None:
    lines_per_page = int((READABLE.page_height_px - 2 * READABLE.margin_px) / READABLE.line_height_px)
    for num_lines in range(lines_per_page - 4, lines_per_page + 1):
        blocks = TextBlock("\n".join("x" * num_lines)), TextBlock("Title", "heading"), TextBlock("text", "paragraph")
        pages = laid_out(READABLE, *blocks)
        start = 2 * num_lines
        found = [page for page in range(len(pages.sizes)) if start in pages.placed(page).offsets]
        assert start + len("Title\n") in pages.placed(found[0]).offsets
    plain, bold = (
        (pixels_of(laid_out(READABLE, TextBlock("Title", kind)))[0] < 255).sum() for kind in ("paragraph", "heading")
    )
    assert bold > plain


def test_paragraphs_are_parted_by_the_gap_and_items_by_none() -> None:
    def tops(kind: str) -> list[int]:
        placed = laid_out(READABLE, *(TextBlock("x", kind, marker="") for _ in range(3))).placed(0)
        return placed.boxes[:, 1].tolist()

    line = READABLE.line_height_px
    assert [low - high for high, low in pairwise(tops("paragraph"))] == pytest.approx([1.5 * line] * 2, abs=1)
    assert [low - high for high, low in pairwise(tops("item"))] == [line, line]


def test_lines_stand_below_one_another_on_every_page() -> None:
    pages = laid_out(MINI, TextBlock("\n".join("H" * 130)))
    tops = [pages.placed(page).boxes[:, 1] for page in range(3)]
    assert [len(of_page) for of_page in tops] == [60, 60, 10]
    for of_page in tops:
        assert np.array_equal(of_page - tops[0][0], 14 * np.arange(len(of_page)))


def test_lines_of_fractional_height_drift_by_less_than_a_pixel() -> None:
    config = preset("glyph-en", dpi=96)
    pages = laid_out(config, TextBlock("\n".join("H" * 100)))
    assert len(pages.placed(0)) == 82  # as at 72 dpi: (842 - 20) / 10
    tops = pages.placed(0).boxes[:, 1]
    assert np.abs(tops - tops[0] - np.arange(82) * 40 / 3).max() < 1


def test_code_stands_in_cells_two_to_one_also_on_proportional_pages() -> None:
    code = "iiii|\nWWWW|\n中中|\n\tab|"
    placed = laid_out(preset("glyph-en"), TextBlock(code, "code")).placed(0)
    bars = placed.pens[placed.codepoints == ord("|"), 0].tolist()
    cell = round(9 * 0.602)
    assert bars == [10 + 4 * cell] * 3 + [10 + 6 * cell]
    assert lefts(placed)[3] > lefts(placed)[1] + 3 * cell


def test_only_pages_with_highlighted_code_have_colours() -> None:
    text, code = TextBlock("x\n" * 90), TextBlock("def f():\n    return 'tea'  # comment", "code", language="python")
    config = READABLE.model_copy(update={"highlight": True})
    first, second = pixels_of(laid_out(config, text, code))
    assert (first.ndim, second.ndim) == (2, 3)
    assert second.std(axis=2).max() > 20
    (gray,) = pixels_of(laid_out(READABLE, code))
    assert gray.ndim == 2
    unknown = TextBlock("def f(): pass", "code", language="no-such-language")
    assert [page.ndim for page in pixels_of(laid_out(config, unknown))] == [2]


def test_colours_change_nothing_but_the_colour() -> None:
    code = TextBlock("if x:\n    return 'tea'", "code", language="python")
    (gray,) = pixels_of(laid_out(READABLE, code))
    (coloured,) = pixels_of(laid_out(READABLE.model_copy(update={"highlight": True}), code))
    assert np.array_equal(gray < 255, (coloured < 255).any(axis=2))
    black = (coloured == coloured[:, :, :1]).all(axis=2)
    assert np.array_equal(gray[black], coloured[black][:, 0])


def test_newline_marks() -> None:
    config = preset("glyph-en").model_copy(update={"newline_marks": True})
    text = "one\ntwo\nthree"
    pages = laid_out(config, TextBlock(text))
    placed = pages.placed(0)
    assert "".join(map(chr, placed.codepoints)) == r"one\ntwo\nthree"
    assert set(placed.lines.tolist()) == {0}  # text flows on
    assert [text[offset] for offset in placed.offsets[placed.codepoints == ord("\\")]] == ["\n", "\n"]
    (page,) = pixels_of(pages)
    red = (page[:, :, 0] > page[:, :, 1].astype(int) + 60).any(axis=0)
    left, _, right, _ = placed.boxes[placed.codepoints == ord("\\")][0]
    assert red[left:right].any()
    left, _, right, _ = placed.boxes[0]
    assert not red[left:right].any()


def figure(height: int, width: int) -> np.ndarray:
    return np.arange(height * width, dtype=np.uint32).reshape(height, width).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "width_pt", "shown"),
    [
        ((50, 80), None, (50, 80)),
        ((50, 4000), None, (5, 448)),
        ((3000, 100), None, (840, 28)),
        ((90, 90), 30, (40, 40)),
    ],
)
def test_figures_are_as_large_as_in_the_source_and_never_larger_than_the_column(
    size: tuple[int, int], width_pt: float | None, shown: tuple[int, int]
) -> None:
    pages = laid_out(PICTURED, TextBlock("x"), FigureBlock(figure(*size), "a caption", width_pt))
    assert isinstance(pages, TextPages)
    (picture,) = pages.filled.pictures
    assert picture.pixels.shape == shown
    page = pixels_of(pages)[picture.page]
    shown_there = page[picture.top : picture.top + shown[0], picture.left : picture.left + shown[1]]
    assert np.array_equal(shown_there, picture.pixels)
    assert read_back(pages, "x\na caption") == "xacaption"


def test_where_only_text_is_shown_a_figure_leaves_its_caption_and_a_warning() -> None:
    """glyph-mini never saw pictures: one on the page and it finds nothing in the text beside it."""
    pages = laid_out(MINI, TextBlock("x"), FigureBlock(figure(50, 80), "a caption"))
    assert isinstance(pages, TextPages)
    assert pages.filled.pictures == laid_out(MINI, TextBlock("x")).filled.pictures  # none
    assert read_back(pages, "x\na caption") == "xacaption"
    assert any("1 in all" in warning for warning in pages.warnings)
    assert not laid_out(PICTURED, TextBlock("x"), FigureBlock(figure(50, 80))).warnings


def test_a_page_with_a_coloured_figure_is_rgb_and_shows_it_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    (page,) = pixels_of(laid_out(PICTURED, TextBlock("x"), FigureBlock(picture)))
    assert np.array_equal(page[42 : 42 + 40, 14 : 14 + 60], picture)  # below a line and a blank one


def test_of_very_much_code_the_rest_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = MINI.model_copy(update={"highlight": True})
    code = [TextBlock(f"def f{number}(): return 'x'", "code", language="python") for number in range(3)]
    assert laid_out(coloured, *code).warnings == ()
    monkeypatch.setattr(flow, "MAX_COLOURED_CHARS", 50)
    pages = laid_out(coloured, *code)
    assert pages.warnings == ("code beyond 50 characters is shown without colours",)
    (page,) = pixels_of(pages)
    lines = (page.max(axis=2) - page.min(axis=2)).any(axis=1)
    assert lines[:52].any()
    assert not lines[64:].any()  # the third block


def test_text_after_a_figure_stands_on_the_lines_that_it_would_stand_on() -> None:
    """Preset ``mini``: every line fills half a visual token, whatever is above it."""
    placed = laid_out(PICTURED, FigureBlock(figure(33, 50), "H"), TextBlock("H", "paragraph")).placed(0)
    alone = laid_out(MINI, TextBlock("H")).placed(0)
    assert ((placed.boxes[:, 1] - alone.boxes[0, 1]) % 14).tolist() == [0, 0]


def test_inverted_pages_invert_text_and_rules_but_no_picture() -> None:
    night = PICTURED.model_copy(update={"inverted": True})
    picture = figure(28, 28)
    (page,) = pixels_of(laid_out(night, TextBlock("x"), FigureBlock(picture)))
    assert np.array_equal(page[42:70, 14:42], picture)
    assert page[0, 0] == 0


def test_a_configuration_that_is_no_preset_works_too() -> None:
    config = RenderConfig(font="cjk", font_size_px=20, cell_width_px=0, line_height_px=20, tables="ruled", styled=True)
    assert pixels_of(laid_out(config, TextBlock("三国演义 and more", "heading")))[0].min() == 0
