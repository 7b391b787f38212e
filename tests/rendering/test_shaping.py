"""Scripts that must be shaped: against HarfBuzz and FreeType put together by hand, and another bidi algorithm."""

from __future__ import annotations

from ctypes import byref
from io import BytesIO
from unicodedata import normalize

import freetype
import numpy as np
import pytest
import uharfbuzz
from bidi import get_display
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_core.config import preset
from glyph_core.documents.blocks import TextBlock
from glyph_core.rendering.fonts import fallback_face, font_bytes
from tests.rendering.documents import document_of, laid_out, pixels_of

GLYPH = preset("glyph-en")
ARABIC = "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق"
HEBREW = "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם"
HINDI = "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।"
THAI = "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ"


def drawn_by_hand(word: str, face_name: str, direction: str, right_px: float | None) -> np.ndarray:
    """(842, 595) darkness of one word on the first line, its glyphs where HarfBuzz says; no compiled code of ours."""
    size = GLYPH.font_size_px
    buffer = uharfbuzz.Buffer()
    buffer.add_str(word)
    buffer.guess_segment_properties()
    buffer.direction = direction
    font = uharfbuzz.Font(uharfbuzz.Face(font_bytes(face_name)))
    font.scale = (round(size * 64), round(size * 64))
    uharfbuzz.shape(font, buffer)
    face = freetype.Face(BytesIO(font_bytes(face_name)))
    face.set_char_size(round(size * 64), 0, 72, 72)
    width = sum(position.x_advance for position in buffer.glyph_positions)
    pen = 10 * 64 if right_px is None else round(right_px * 64) - width
    darkness = np.zeros((842, 595), dtype=np.int64)
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        quarters = (pen + 8) // 16
        face.load_glyph(info.codepoint, freetype.FT_LOAD_TARGET_LIGHT | freetype.FT_LOAD_NO_BITMAP)
        shift = position.x_offset + quarters % 4 * 16, position.y_offset
        freetype.FT_Outline_Translate(byref(face.glyph.outline._FT_Outline), *shift)
        face.glyph.render(freetype.FT_RENDER_MODE_NORMAL)
        bitmap = face.glyph.bitmap
        if bitmap.rows:
            ink = np.array(bitmap.buffer, dtype=np.int64).reshape(bitmap.rows, bitmap.pitch)[:, : bitmap.width]
            top, left = 200 - face.glyph.bitmap_top, quarters // 4 + face.glyph.bitmap_left
            darkness[top : top + bitmap.rows, left : left + bitmap.width] += ink
        pen += position.x_advance
    return np.minimum(darkness, 255)


@pytest.mark.parametrize(
    ("word", "face", "direction"),
    [
        ("الكرامة", "sans", "rtl"),
        ("لا", "sans", "rtl"),  # a ligature
        ("أحرارًا", "sans", "rtl"),  # with a mark over it
        ("חורין", "sans", "rtl"),
        ("स्वतन्त्रता", "Noto Serif Devanagari Regular", "ltr"),
        ("ทั้งหลาย", "Noto Serif Thai Regular", "ltr"),
    ],
)
def test_a_word_is_drawn_as_harfbuzz_and_freetype_draw_it(word: str, face: str, direction: str) -> None:
    assert face in ("sans", fallback_face(word[0]))
    (page,) = pixels_of(laid_out(GLYPH, TextBlock(word)))
    right = GLYPH.page_width_px - GLYPH.margin_px if direction == "rtl" else None
    truth = drawn_by_hand(word, face, direction, right)
    rows, columns = np.nonzero(truth)
    ours = 255 - page.astype(np.int64)
    our_rows, our_columns = np.nonzero(ours)
    assert np.array_equal(
        truth[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1],
        ours[our_rows.min() : our_rows.max() + 1, our_columns.min() : our_columns.max() + 1],
    )
    assert our_columns.min() == columns.min()  # at the right place too


@pytest.mark.parametrize("text", [ARABIC, HEBREW, HINDI, THAI])
@pytest.mark.parametrize("name", ["mini", "glyph-en", "readable"])
def test_nothing_is_lost(text: str, name: str) -> None:
    block = TextBlock(f"before\n\n{text * 5}\n\nafter")
    pages = laid_out(preset(name), block)
    assert pages.warnings == ()
    covered = np.zeros(len(block.text), dtype=bool)
    for page in range(len(pages.sizes)):
        placed = pages.placed(page)
        for offset, length in zip(placed.offsets.tolist(), placed.lengths.tolist(), strict=True):
            covered[offset : offset + length] = True
    lost = {character for character, shown in zip(block.text, covered, strict=True) if not shown}
    assert lost <= set(" \n")


def line_of(text: str) -> str:
    """What stands on the page from left to right, as letters without their contextual forms."""
    placed = laid_out(preset("readable"), TextBlock(text)).placed(0)
    assert set(placed.lines.tolist()) == {0}
    return "".join(
        normalize("NFKC", chr(placed.codepoints[index])) for index in np.argsort(placed.pens[:, 0], kind="stable")
    )


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="אבגדהabcXY0123 .,:-+%!", min_size=1, max_size=30).filter(str.strip))
def test_the_order_of_a_line_is_that_of_the_bidirectional_algorithm(text: str) -> None:
    """python-bidi's other implementation (unicode-bidi, in Rust) as the judge: ours is fed with runs of classes."""
    assert line_of(text) == "".join(get_display(text).split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abc אבג def", "abc גבא def"),
        ("אבג abc דהו", "והד abc גבא"),
        ("אבג (1948) דהו", "והד (1948) גבא"),
        ("אבג [abc] דהו", "והד [abc] גבא"),
        ("אבג \u202eabc\u202c", "cba גבא"),
        ("א\u2067ab\u2069ג", "גabא"),
    ],
)
def test_order_by_example(text: str, shown: str) -> None:
    assert line_of(text) == "".join(shown.split())


def test_a_paragraph_from_the_right_begins_at_the_right_and_breaks_in_the_order_of_reading() -> None:
    text = " ".join([HEBREW] * 12)
    placed = laid_out(GLYPH, TextBlock(text)).placed(0)
    edge = GLYPH.page_width_px - GLYPH.margin_px
    last = -1
    for line in np.unique(placed.lines):
        of_line = placed.lines == line
        assert abs(placed.pens[of_line, 1].max() - edge) < 0.1
        assert placed.offsets[of_line].min() > last
        last = placed.offsets[of_line].max()
    assert len(np.unique(placed.lines)) > 3


def test_a_line_never_ends_within_a_cluster() -> None:
    config = GLYPH.model_copy(update={"page_width_px": 80})
    pages = laid_out(config, TextBlock("क्षत्रिय" * 40))
    lines: dict[tuple[int, int], list[int]] = {}
    for page in range(len(pages.sizes)):
        placed = pages.placed(page)
        for line, offset, length in zip(
            placed.lines.tolist(), placed.offsets.tolist(), placed.lengths.tolist(), strict=True
        ):
            lines.setdefault((page, line), []).append(offset + length)
    ends = sorted(max(offsets) for offsets in lines.values())
    assert len(ends) > 5
    assert all("क्षत्रिय"[end % 8] not in "्षि" or end % 8 == 0 for end in ends[:-1])


def test_blank_lines_around_it_stay() -> None:
    text = f"one\n\n{HEBREW}\n\n\ntwo\r\n{HEBREW}\r\n"
    placed = laid_out(GLYPH, TextBlock(text)).placed(0)
    starts = {name: text.index(name) for name in ("one", "two")}
    by_offset = dict(zip(placed.offsets.tolist(), placed.lines.tolist(), strict=True))
    assert by_offset[starts["one"]] == 0
    assert by_offset[text.index(HEBREW)] == 2
    assert by_offset[starts["two"]] == 5
    assert by_offset[text.rindex(HEBREW)] == 6


def test_what_no_font_has_is_counted_there_too() -> None:
    pages = laid_out(GLYPH, TextBlock(f"{HEBREW} \u0378 {HEBREW}"))
    assert pages.warnings == ("1 characters (U+0378) have no glyph in our fonts and show as \ufffd",)
    assert 0xFFFD in pages.placed(0).codepoints


def test_shaped_text_in_a_table_and_in_a_list() -> None:
    blocks = TextBlock(HEBREW, "item", marker="1."), TextBlock(ARABIC, "heading")
    pages = laid_out(preset("readable"), *blocks)
    offsets = set(pages.placed(0).offsets.tolist())
    text = document_of(*blocks).text
    assert {index for index, character in enumerate(text) if character.isalpha()} <= offsets


@pytest.mark.parametrize(
    ("text", "num_glyphs"),
    [("👩🏽‍💻", 1), ("👨‍👩‍👧", 1), ("🇩🇪🇫🇷", 2), ("🙏🏽", 1), ("a 🤖 b", 3), ("❤️‍🔥 x", 2)],
)
def test_composed_emoji_are_one_picture(text: str, num_glyphs: int) -> None:
    pages = laid_out(GLYPH, TextBlock(text))
    assert pages.warnings == ()
    placed = pages.placed(0)
    assert len(placed) == num_glyphs
    covered = {offset + i for offset, length in zip(placed.offsets, placed.lengths, strict=True) for i in range(length)}
    assert {index for index, character in enumerate(text) if character != " "} == {int(index) for index in covered}


def test_a_joiner_with_nothing_to_join_is_nothing() -> None:
    text = "one\u200d two \u200dthree"
    joined, plain = (pixels_of(laid_out(GLYPH, TextBlock(shown)))[0] for shown in (text, text.replace("\u200d", "")))
    assert np.array_equal(joined, plain)
