"""PDFs as blocks in reading order, or as pages that are shown as they are drawn; PDFs that tests write themselves."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pymupdf
import pytest

from glyph_core.config import LimitConfig
from glyph_core.documents.blocks import Cell, Document, FigureBlock, NativePage, SourcePlace, TableBlock, TextBlock
from glyph_core.documents.parse import parse
from glyph_core.documents.pdf import reader
from glyph_core.documents.pdf.rows import joined
from glyph_core.documents.pdf.shelf import Shelf
from glyph_core.documents.rasterise import rasterise
from glyph_core.documents.source import read_source
from glyph_core.documents.symbols import readable
from glyph_core.errors import (
    DocumentTooLargeError,
    EmptyDocumentError,
    InvalidDocumentError,
    UnsupportedDocumentError,
)
from glyph_core.types import DocumentSource, PageError
from tests.documents.make_pdf import PROSE, column, pdf, write

LIMITS = LimitConfig()


def read(source: DocumentSource, mode: str = "auto") -> Document:
    return parse(source, LIMITS, mode)  # type: ignore[arg-type]


def texts(document: Document) -> list[str]:
    return [block.text for block in document.blocks if isinstance(block, TextBlock)]


def numbered(first: str, count: int) -> str:
    return " ".join(f"{first}{index} {PROSE}" for index in range(count))


def test_two_columns_are_read_one_after_the_other_with_the_title_first() -> None:
    def draw(page: pymupdf.Page) -> None:
        column(page, 320, numbered("right", 4))  # drawn first: the order on the page counts
        column(page, 40, numbered("left", 4))
        page.insert_text((60, 70), "A title that stands over both of the columns and crosses the gap", fontsize=14)

    document = read(pdf(draw))
    words = document.text.split()
    assert words[:2] == ["A", "title"]
    order = [word for word in words if word[:-1] in ("left", "right")]
    assert order == ["left0", "left1", "left2", "left3", "right0", "right1", "right2", "right3"]
    assert " ".join(words[words.index("left0") :][: len(PROSE.split()) + 1]) == f"left0 {PROSE}".strip()


def test_lines_of_a_paragraph_are_joined_and_cut_words_made_whole() -> None:
    lines = [
        "This agreement binds both of the parties until one of them ends it by a no-",
        "tice of sixty days, which the other party has to confirm in writing before it be-",
        "comes effective.",
    ]
    pieces = tuple(((72, 100 + 12 * index), line) for index, line in enumerate(lines))
    assert texts(read(pdf(write(*pieces)))) == [
        "This agreement binds both of the parties until one of them ends it by a notice of sixty days, which the other "
        "party has to confirm in writing before it becomes effective."
    ]


@pytest.mark.parametrize(
    ("before", "after", "words", "whole"),
    [
        ("a no-", "tice", (), "a notice"),
        ("a long-", "term plan", ("long", "term"), "a long-term plan"),
        ("a long-", "term plan", ("long", "term", "longterm"), "a longterm plan"),
        ("Anglo-", "Saxon", (), "Anglo-Saxon"),
        ("a table-", "based way", ("table-based",), "a table-based way"),
        ("TABLE-", "FORMER reads", ("tableformer",), "TABLEFORMER reads"),
        ("1998-", "2001", (), "1998-2001"),
        ("737–", "8 and", (), "737–8 and"),
        ("a –", "b", (), "a – b"),
        ("see https://", "a.org/b", (), "see https://a.org/b"),
        ("soft\u00ad", "ware", (), "software"),
        ("and -", "so on", (), "and - so on"),
        ("中文", "继续", (), "中文继续"),
        ("中文", "word", (), "中文 word"),
        ("one", "two", (), "one two"),
    ],
)
def test_joining_rows(before: str, after: str, words: tuple[str, ...], whole: str) -> None:
    assert joined(before, after, frozenset(words)) == whole


def test_headings_items_and_short_lines() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 80), "Terms of Supply", fontsize=20)
        page.insert_text((72, 120), "Delivery", fontsize=10, fontname="hebo")
        page.insert_textbox((72, 126, 520, 200), PROSE * 2, fontsize=10)
        page.insert_text((72, 220), "• First item of the list", fontsize=10)
        page.insert_text((72, 234), "• Second item of the list", fontsize=10)
        page.insert_text((72, 270), "12 Harbour Street", fontsize=10)
        page.insert_text((72, 282), "Bergen", fontsize=10)

    document = read(pdf(draw))
    kinds = [(block.kind, block.level, block.marker) for block in document.blocks if isinstance(block, TextBlock)]
    assert kinds == [
        ("heading", 1, ""),
        ("heading", 2, ""),
        ("paragraph", 0, ""),
        ("item", 0, "·"),
        ("item", 0, "·"),
        ("paragraph", 0, ""),
    ]
    assert texts(document)[3] == "First item of the list"
    assert texts(document)[-1] == "12 Harbour Street\nBergen"
    assert document.blocks[0].place == SourcePlace(0, pytest.approx((72, 58.3, 213, 86), abs=8))


def test_a_ruled_table_keeps_its_cells_spans_and_place() -> None:
    def draw(page: pymupdf.Page) -> None:
        for x, top in ((72, 100), (200, 120), (300, 100), (400, 100)):
            page.draw_line((x, top), (x, 160), width=0.5)
        for y in (100, 120, 140, 160):
            page.draw_line((72, y), (400, y), width=0.5)
        page.insert_text((72, 80), "Before the table", fontsize=10)
        for place, text in (
            ((76, 114), "Item"),
            ((304, 114), "Price"),
            ((76, 134), "Bolt"),
            ((204, 134), "M8"),
            ((304, 134), "0.20"),
            ((76, 154), "Nut"),
            ((304, 154), "0.10"),
        ):
            page.insert_text(place, text, fontsize=10)
        page.insert_text((72, 200), "After the table", fontsize=10)

    document = read(pdf(draw))
    before, table, after = document.blocks
    assert (before.text, after.text) == ("Before the table", "After the table")
    assert isinstance(table, TableBlock)
    assert table.rows == (
        (Cell("Item", 1, 2), Cell("Price")),
        (Cell("Bolt"), Cell("M8"), Cell("0.20")),
        (Cell("Nut"), Cell(""), Cell("0.10")),
    )
    assert table.place == SourcePlace(0, pytest.approx((72, 100, 400, 160)))


def test_rows_that_no_rule_divides_are_rows() -> None:
    rows = [("Alpha", "12.50"), ("Beta", "7.25"), ("Gamma", "104.00")]

    def draw(page: pymupdf.Page) -> None:
        for x in (72, 200, 300):
            page.draw_line((x, 100), (x, 160), width=0.5)
        for y in (100, 160):
            page.draw_line((72, y), (300, y), width=0.5)
        for index, (name, price) in enumerate(rows):
            page.insert_text((76, 114 + 18 * index), name, fontsize=10)
            page.insert_text((204, 114 + 18 * index), price, fontsize=10)

    (table,) = read(pdf(draw)).blocks
    assert isinstance(table, TableBlock)
    assert [tuple(cell.text for cell in row) for row in table.rows] == rows


PDFS = sorted((Path(__file__).resolve().parents[3] / "shared" / "data").glob("*/*.pdf"))
REAL = [path for path in PDFS if path.parent.name in ("contracts", "pdf")]


def letters_of(text: str) -> Counter[str]:
    return Counter(character for character in text if not character.isspace() and character not in "-\u2010\u00ad")


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=[pytest.mark.slow] if path.stat().st_size > 250_000 else []) for path in REAL]
)
def test_no_character_of_real_pages_is_lost(path: Path) -> None:
    """Reflowed, each page has the characters of MuPDF's own text, hyphens apart, and no page is missing."""
    source = read_source(path)
    try:
        document = parse(source, LimitConfig(page_timeout_s=60), "reflow")
    except EmptyDocumentError:
        assert not any(page.get_text().strip() for page in pymupdf.open(path))
        return
    assert not document.page_errors
    made: dict[int, Counter[str]] = {}
    for block in document.blocks:
        if not isinstance(block, FigureBlock):
            made.setdefault(block.place.page, Counter()).update(letters_of(getattr(block, "marker", "") + block.text))
    for page in pymupdf.open(path):
        flags = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
        given = letters_of(readable(page.get_text("text", flags=flags)))
        assert (given - made.get(page.number, Counter())).total() <= 0.001 * given.total()


def test_a_table_may_be_open_at_its_sides() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.draw_line((200, 100), (200, 160), width=0.5)
        for y in (100, 120, 140, 160):
            page.draw_line((72, y), (300, y), width=0.5)
        for index, text in enumerate(("alpha", "beta", "gamma", "delta", "epsilon", "zeta")):
            page.insert_text((76 + 130 * (index % 2), 114 + 20 * (index // 2)), text, fontsize=10)

    (table,) = read(pdf(draw)).blocks
    assert isinstance(table, TableBlock)
    assert table.text == "alpha\tbeta\ngamma\tdelta\nepsilon\tzeta"


def test_framed_lines_of_code_are_code() -> None:
    lines = ["def f(x):", "    return 2 * x", "print(f(21))"]

    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 80), "Before the code", fontsize=10)
        for index, line in enumerate(lines):
            page.draw_rect((70, 90 + 14 * index, 400, 104 + 14 * index), color=None, fill=(0.95, 0.95, 0.95))
            page.insert_text((74, 100 + 14 * index), line, fontsize=9, fontname="cour")

    _, code = read(pdf(draw)).blocks
    assert isinstance(code, TextBlock)
    assert (code.kind, code.text) == ("code", "\n".join(lines))


def test_rows_of_a_table_without_rules_stay_rows() -> None:
    rows = [("Alpha", "12.50", "3"), ("Beta", "7.25", "11"), ("Gamma", "104.00", "2")]
    pieces = [
        ((x, 100 + 14 * r), cell) for r, row in enumerate(rows) for x, cell in zip((72, 250, 400), row, strict=True)
    ]
    pieces.sort(key=lambda piece: piece[0])  # drawn column by column
    assert read(pdf(write(*pieces))).text == "\n".join("\t".join(row) for row in rows)


def scan(page: pymupdf.Page) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (842, 595), np.uint8)
    page.insert_image(page.rect, pixmap=pymupdf.Pixmap(pymupdf.csGRAY, 595, 842, noise.tobytes(), 0))


def scan_with_words(page: pymupdf.Page) -> None:
    scan(page)
    page.insert_text((72, 100), PROSE[:80], render_mode=3)


def drawing(page: pymupdf.Page) -> None:
    shape = page.new_shape()
    for index in range(500):
        shape.draw_line((72 + index / 2, 100), (300, 300 + index))
        shape.finish(width=0.3)
    shape.commit()
    page.insert_text((72, 700), "Plan of the harbour, scale 1:500", fontsize=9)


def form(page: pymupdf.Page) -> None:
    page.insert_text((72, 80), PROSE[:60])
    for index in range(4):
        field = pymupdf.Widget()
        field.field_name, field.field_type = f"f{index}", pymupdf.PDF_WIDGET_TYPE_TEXT
        field.rect, field.field_value = pymupdf.Rect(72, 100 + 30 * index, 300, 120 + 30 * index), f"value {index}"
        page.add_widget(field)


def nonsense(page: pymupdf.Page) -> None:
    page.insert_htmlbox(page.rect, "<p>" + "\u0192\u018d\u01a3\u0250\u02ad\u0298 " * 20 + "</p>")


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (scan, "it has no text layer"),
        (scan_with_words, "its text layer is not visible"),
        (drawing, "it is a drawing of 5.. strokes"),
        (form, "it is a form of 4 fields"),
        (nonsense, r"\d+% of the characters of its text layer have no meaning"),
    ],
)
def test_pages_whose_text_cannot_stand_for_them_are_shown_as_drawn(draw: object, reason: str) -> None:
    document = read(pdf(write(((72, 100), PROSE[:90])), draw))  # type: ignore[arg-type]
    text, page = document.blocks
    assert isinstance(text, TextBlock)
    assert isinstance(page, NativePage)
    assert (page.page, page.width_pt, page.height_pt) == (1, 595, 842)
    (warning,) = document.warnings
    assert re.fullmatch(f"page 2 shown as drawn: {reason}", warning)
    again = read(pdf(write(((72, 100), PROSE[:90])), draw), "reflow")  # type: ignore[arg-type]
    assert not any(isinstance(block, NativePage) for block in again.blocks)


def test_native_mode_shows_every_page_and_keeps_its_words() -> None:
    document = read(pdf(write(((72, 100), "one two"), ((72, 130), "three")), scan), "native")
    first, second = document.blocks
    assert isinstance(first, NativePage)
    assert (first.text, second.text) == ("one two\nthree", "")
    assert [first.text[word.start : word.stop] for word in first.words] == ["one", "two", "three"]
    left, top, right, bottom = first.words[2].box
    assert (left, bottom) == (pytest.approx(72, abs=1), pytest.approx(133, abs=3))
    assert 0 < right - left < 40
    assert 0 < bottom - top < 20
    assert document.warnings == ()


def test_a_large_picture_is_a_figure_where_it_stands() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 100), "Above the picture", fontsize=10)
        pixels = np.zeros((100, 200, 3), np.uint8)
        pixels[:, :, 0] = 255
        page.insert_image((72, 200, 372, 350), pixmap=pymupdf.Pixmap(pymupdf.csRGB, 200, 100, pixels.tobytes(), 0))
        page.insert_text((72, 400), "Below the picture", fontsize=10)

    above, figure, below = read(pdf(draw)).blocks
    assert (above.text, below.text) == ("Above the picture", "Below the picture")
    assert isinstance(figure, FigureBlock)
    assert figure.width_pt == pytest.approx(300)
    assert figure.pixels.shape == (300, 600, 3)
    assert tuple(figure.pixels[150, 300]) == (255, 0, 0)
    assert figure.place == SourcePlace(0, pytest.approx((72, 200, 372, 350)))


def pictured(page: pymupdf.Page) -> None:
    page.insert_text((72, 100), "Above the picture", fontsize=10)
    pixels = pymupdf.Pixmap(pymupdf.csGRAY, 20, 10, bytes(range(200)), 0)
    page.insert_image((72, 200, 372, 350), pixmap=pixels)


def test_figures_that_no_page_shows_are_only_told_of() -> None:
    source = pdf(pictured)
    with_pixels, without = parse(source, LIMITS), parse(source, LIMITS, with_pixels=False)
    assert [block.pixels.size for block in without.blocks if isinstance(block, FigureBlock)] == [0]
    assert [block.place for block in without.blocks] == [block.place for block in with_pixels.blocks]
    assert without.text == with_pixels.text


def test_the_pictures_of_many_pages_stay_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 pages a small file can make dozens of gigabytes of pixels."""
    one = 300 * 600  # bytes of a picture of 300 × 150 pt at 144 dpi
    monkeypatch.setattr(reader, "Shelf", lambda: Shelf(max_picture_bytes=2 * one))
    document = read(pdf(*[pictured] * 9))
    figures = [block for block in document.blocks if isinstance(block, FigureBlock)]
    assert [figure.pixels.shape for figure in figures] == [(75, 150)] * 9  # 9 / 16 of one: at 1/2 they would be 9 / 4
    assert [figure.width_pt for figure in figures] == [pytest.approx(300)] * 9
    assert document.warnings == ("pictures are so many that they are read at 1/4 of their resolution",)
    assert read(pdf(pictured, pictured)).warnings == ()


def test_small_pictures_are_left_out_and_told() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 200), "Below the logo", fontsize=10)
        for left, size in ((72, 30), (300, 6)):  # a logo, and a bullet that nobody misses
            pixels = pymupdf.Pixmap(pymupdf.csGRAY, 20, 20, bytes(400), 0)
            page.insert_image((left, 100, left + size, 100 + size), pixmap=pixels)

    document = read(pdf(draw, write(((72, 100), "no picture"))))
    assert [type(block) for block in document.blocks] == [TextBlock, TextBlock]
    assert document.warnings == ("page 1 shown without small pictures such as logos, 1 in all",)


def test_pages_are_drawn_gray_unless_they_have_colour() -> None:
    def red(page: pymupdf.Page) -> None:
        page.draw_rect((0, 0, 100, 100), fill=(1, 0, 0))

    source = pdf(write(((72, 100), "black")), red, scan)
    black, coloured, gray = rasterise(source, [0, 1, 2], 144, LIMITS)
    assert isinstance(black, np.ndarray)
    assert isinstance(coloured, np.ndarray)
    assert isinstance(gray, np.ndarray)
    assert (black.shape, coloured.shape, gray.shape) == ((1684, 1190), (1684, 1190, 3), (1684, 1190))
    assert (black.min(), black.max()) == (0, 255)
    assert tuple(coloured[100, 100]) == (255, 0, 0)
    ink = np.argwhere(black < 128) / 2  # in points
    assert ink.min(axis=0) == pytest.approx((92, 72), abs=3)


def test_pages_over_the_limits_are_missing_and_the_others_are_drawn() -> None:
    source = pdf(write(((72, 100), "one")), write(((72, 100), "two")))
    small = LimitConfig(max_image_pixels=600_000)
    assert all(isinstance(page, np.ndarray) for page in rasterise(source, [1, 0], 72, small))
    (missing,) = rasterise(source, [1], 144, small)
    assert isinstance(missing, PageError)
    assert (missing.page, missing.document) == (1, "a.pdf")
    assert "more than the 600000" in missing.reason


def test_a_page_that_is_not_there_is_missing() -> None:
    made = rasterise(pdf(write(((72, 100), "one"))), [0, 5], 72, LIMITS)
    assert isinstance(made[1], PageError)


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        (
            pdf(write(((72, 100), "x")), encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret", owner_pw="o"),
            UnsupportedDocumentError,
            "password",
        ),
        (DocumentSource("a.pdf", b"%PDF-1.7\n%\xe2\xe3"), InvalidDocumentError, "damaged"),
        (pdf(lambda page: None), EmptyDocumentError, "blank"),
    ],
    ids=["encrypted", "stump", "blank"],
)
def test_refusals(source: DocumentSource, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read(source)


def test_too_many_pages() -> None:
    with pytest.raises(DocumentTooLargeError, match="3 pages, more than the 2"):
        parse(pdf(*[write(((72, 100), "x"))] * 3), LimitConfig(max_pages=2))


def test_junk_before_the_header_hides_no_pdf() -> None:
    source = pdf(write(((72, 100), "still here")))
    assert read(DocumentSource("a", b"mail header\n\n" + source.content)).text == "still here"
    assert read(DocumentSource("a", source.content.replace(b"%PDF", b"%XYZ", 1))).text == "still here"


def test_text_about_pdf_is_text() -> None:
    text = "A PDF begins with\n%PDF-1.7\nand ends with startxref, a number and %%EOF.\n"
    assert parse(DocumentSource("a.txt", text.encode()), LIMITS).text == text
