"""Line breaking: rules by example, then the compiled loop against a slow one that thinks in words."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_core.config import preset
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.characters import BREAK_TABLE, BreakClass
from glyph_core.rendering.layout import Lines, break_lines

VISIBLE = range(BreakClass.LETTER, BreakClass.WIDE_CLOSE + 1)
DRAWN = {*VISIBLE, BreakClass.MARK}
CELL = 7 * 64  # 1/64 px


@cache
def atlas_of(name: str) -> GlyphAtlas:
    return GlyphAtlas(preset(name))


def glyphs_of(text: str, atlas: GlyphAtlas) -> np.ndarray:
    return atlas.glyphs_of(np.array([ord(char) for char in text], dtype=np.uint32))


def broken(text: str, columns: int) -> list[str]:
    """``text`` in lines of so many cells."""
    atlas = atlas_of("mini")
    indices = glyphs_of(text, atlas)
    lines = break_lines(indices, atlas.tables.glyphs, columns * CELL)
    return [text[start:stop] for start, stop in lines.bounds]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two ", "three"]),
        ("one two\n\n\nthree", ["one two", "", "", "three"]),
        ("\n\none", ["", "", "one"]),
        ("one\n\n  \n", ["one"]),
        ("one\n\n\u0301\n", ["one", "", "\u0301"]),
        ("a\rb\x0cc\u2028d\x85e", ["a", "b", "c", "d", "e"]),
        ("exactly9w next", ["exactly9w ", "next"]),
        ("one antidisestablish", ["one ", "antidisest", "ablish"]),
        ("one          two", ["one          ", "two"]),
        ("      indented", ["      ", "indented"]),
        ("      deep", ["      deep"]),
        ("a\u00a0b\u00a0c\u00a0d\u00a0e f", ["a\u00a0b\u00a0c\u00a0d\u00a0e ", "f"]),
        ("ab\u200bcdefghijk", ["ab\u200b", "cdefghijk"]),
        ("tab\tx\ty", ["tab\tx\ty"]),
        ("tab\tx\tyzz", ["tab\tx\t", "yzz"]),
    ],
)
def test_words_and_spaces(text: str, lines: list[str]) -> None:
    assert broken(text, 10) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("三国演义曹操", ["三国演义曹", "操"]),
        ("三国演义曹。操", ["三国演义", "曹。操"]),
        ("三国演义「曹", ["三国演义", "「曹"]),
        ("三国演义曹”。", ["三国演义", "曹”。"]),
        ("三国演 word 义", ["三国演 ", "word 义"]),
        ("三国演义word", ["三国演义", "word"]),
        ("三国演义曹.", ["三国演义", "曹."]),
        ("ッッッッッッ", ["ッッッッッ", "ッ"]),  # nowhere to break: cut at the edge, nothing is lost
    ],
)
def test_kinsoku(text: str, lines: list[str]) -> None:
    assert broken(text, 10) == lines


def test_marks_and_controls_stay_with_what_is_before_them() -> None:
    assert broken("abcdefghij\u0301\u0302 k", 10) == ["abcdefghij\u0301\u0302 ", "k"]
    assert broken("abcdefghij\x00\u200dk", 10) == ["abcdefghij\x00\u200d", "k"]


def test_wide_characters_take_two_cells() -> None:
    atlas = atlas_of("mini")
    indices = glyphs_of("a中é，😀ｱ\U00020000\u1802", atlas)  # the last two have no glyph
    advances = atlas.tables.glyphs[indices]["advance"] // CELL
    assert advances.tolist() == [1, 2, 1, 2, 2, 1, 2, 1]


def test_the_right_edge_leaves_hanging_spaces_out() -> None:
    atlas = atlas_of("mini")
    indices = glyphs_of("four      \nsixsix  x", atlas)
    lines = break_lines(indices, atlas.tables.glyphs, 8 * CELL)
    assert lines.right == 6 * CELL


# --- against the slow way

LETTERS = "abgjQW.,;:!?()[]“”—'\"-%éß"
CJK = "三国演义，。、「」（）ーっあ한"
WHITE = "   \t\n\r\u3000\u00a0\u200b"
ODD = "\u0301\u20dd\x00\x1b\u200d\ufeff\u0905😀ﷺ"
texts = st.lists(
    st.one_of(
        st.text(alphabet=LETTERS, min_size=1, max_size=14),
        st.text(alphabet=CJK, max_size=8),
        st.text(alphabet=WHITE, max_size=4),
        st.text(alphabet=ODD, max_size=3),
        st.just("x" * 90),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=30,
).map("".join)


def words_of(kinds: list[int]) -> list[tuple[int, int]]:
    """[start, stop) of the pieces that no line end may divide, with the spaces that hang after each."""
    starts, before = [0], None
    for index, kind in enumerate(kinds):
        if kind in VISIBLE and before is not None and BREAK_TABLE[before, kind]:
            starts.append(index)
        if kind >= BreakClass.SPACE:
            before = kind
    return list(zip(starts, [*starts[1:], len(kinds)], strict=True))


def break_slowly(kinds: list[int], advances: list[int], max_width: int) -> list[tuple[int, int]]:
    """Paragraphs, then words, then characters; the lines' bounds. ``advances`` of all characters, 1/64 px."""
    bounds, start = [], 0
    for stop in [*(i for i, kind in enumerate(kinds) if kind == BreakClass.NEWLINE), len(kinds)]:
        bounds += fill(kinds[:stop], advances, start, max_width)
        start = stop + 1
    drawn = [n for n, (start, stop) in enumerate(bounds) if DRAWN & set(kinds[start:stop])]
    return bounds[: drawn[-1] + 1] if drawn else []


def fill(kinds: list[int], advances: list[int], start: int, max_width: int) -> list[tuple[int, int]]:
    """The lines of the paragraph from ``start`` to the end."""
    bounds, line, x, is_empty = [], start, 0, True
    for word_start, word_stop in words_of(kinds[start:]):
        word = range(start + word_start, start + word_stop)
        width = sum(advances[i] for i in word if kinds[i] in VISIBLE)
        if not is_empty and x + width > max_width:
            bounds.append((line, word.start))
            line, x, is_empty = word.start, 0, True
        for i in word:
            if kinds[i] in VISIBLE and not is_empty and x + advances[i] > max_width:
                bounds.append((line, i))
                line, x = i, 0
            x += advances[i] - x % advances[i] if kinds[i] == BreakClass.TAB else advances[i]
            is_empty = is_empty and kinds[i] < BreakClass.SPACE
    return [*bounds, (line, len(kinds))]


@settings(max_examples=300, deadline=None)
@given(texts, st.sampled_from(["mini", "glyph-en"]), st.integers(28, 600))
def test_the_fast_way_equals_the_slow_way(text: str, name: str, width_px: int) -> None:
    atlas = atlas_of(name)
    indices = glyphs_of(text, atlas)
    glyphs = atlas.tables.glyphs
    kinds, advances = (glyphs[indices][field].tolist() for field in ("break_class", "advance"))
    lines = break_lines(indices, glyphs, width_px * 64)
    assert [tuple(bounds) for bounds in lines.bounds.tolist()] == break_slowly(kinds, advances, width_px * 64)
    assert_whole(kinds, lines)
    if BreakClass.TAB not in kinds:
        assert_narrow(kinds, advances, lines, width_px * 64)


def assert_whole(kinds: list[int], lines: Lines) -> None:
    """Every character is in one line, or is the newline after it, or follows all that is visible."""
    at = 0
    for start, stop in lines.bounds.tolist():
        assert kinds[at:start] in ([], [BreakClass.NEWLINE])
        at = stop
    assert not DRAWN & set(kinds[at:])


def assert_narrow(kinds: list[int], advances: list[int], lines: Lines, max_width: int) -> None:
    widths = [0]
    for start, stop in lines.bounds.tolist():
        visible = [i for i in range(start, stop) if kinds[i] in VISIBLE]
        widths.append(sum(advances[start : visible[-1] + 1]) if visible else 0)
        assert widths[-1] <= max_width or visible == [start]
    assert lines.right == max(widths)
