"""Whole books, read back from the glyphs as they lie on the pages: every word, whole and in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from glyph_core.config import preset
from glyph_core.rendering.characters import is_wide
from glyph_core.rendering.placed import PlacedGlyphs
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

BOOKS = [
    "1946-Truman.txt",
    "972.txt",
    "english-kjv.txt",
    "debian-reference.zh-cn.txt",
    "三国演义.txt",
    "刑法.md",
    "合同编.md",
]
ENGLISH = BOOKS[:3]
TEXTS = {
    "CRLF": "one two\r\nthree\r\n\r\nfour\r\n" * 40,
    "tabs": "name\tvalue\tunit\n\tindented\t\ttwice\n" * 40,
    "CJK": "　　三国演义，第一回：“宴桃园”豪杰三结义。\n混排 mixed text 与 words。" * 40,
    "mark": "\ufeffafter the mark",
    "accents": "Ångström naïve fiancée Dvořák œuvre Łódź Größe smørrebrød ¿qué? " * 20,
    "scripts": "Съешь ещё этих мягких французских булок. Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. " * 20,
    "a long word": "short " + "x" * 700 + " short",
}


@pytest.fixture(scope="module", params=["mini", "glyph-en"])
def renderer(request: pytest.FixtureRequest) -> PageRenderer:
    return PageRenderer(preset(request.param))


def placed_words(pages: list[PlacedGlyphs]) -> Iterator[str]:
    """Words as they stand on the pages, parted by gaps and line ends."""
    word, last_line, last_end = "", None, 0.0
    for page_index, page in enumerate(pages):
        for codepoint, line, (pen, end) in zip(
            page.codepoints.tolist(), page.lines.tolist(), page.pens.tolist(), strict=True
        ):
            if word and ((page_index, line) != last_line or pen > last_end + 0.5):
                yield word
                word = ""
            word += chr(codepoint)
            last_line, last_end = (page_index, line), end
    yield word


def pages_of(renderer: PageRenderer, source: DocumentSource) -> list[PlacedGlyphs]:
    return [renderer.placed_glyphs(source, index) for index in range(renderer.plan(source).num_pages)]


@pytest.mark.parametrize("book", ENGLISH)
def test_english_books_word_for_word(renderer: PageRenderer, shared_data: Path, book: str) -> None:
    content = (shared_data / "long_text" / book).read_bytes()
    source = DocumentSource(book, content)
    assert list(placed_words(pages_of(renderer, source))) == content.decode("utf-8-sig").split()
    assert renderer.plan(source).warnings == ()


@pytest.mark.parametrize("book", BOOKS)
def test_all_books_character_for_character(renderer: PageRenderer, shared_data: Path, book: str) -> None:
    content = (shared_data / "long_text" / book).read_bytes()
    assert_on_pages(renderer, DocumentSource(book, content), content.decode("utf-8-sig"))


@pytest.mark.parametrize("name", TEXTS)
def test_texts(renderer: PageRenderer, name: str) -> None:
    assert_on_pages(renderer, DocumentSource(name, TEXTS[name].encode()), TEXTS[name].removeprefix("\ufeff"))


def assert_on_pages(renderer: PageRenderer, source: DocumentSource, text: str) -> None:
    """Every visible character is there, in order, under its offset; only wide characters and overlong words are cut."""
    plan = renderer.plan(source)
    assert plan.warnings == ()
    assert plan.num_text_chars == len(text)
    pages = pages_of(renderer, source)
    shown = "".join(chr(codepoint) for page in pages for codepoint in page.codepoints.tolist())
    assert shown == "".join(text.split())
    offsets = [offset for page in pages for offset in page.offsets.tolist()]
    assert "".join(text[offset] for offset in offsets) == shown
    lines = [(index, line) for index, page in enumerate(pages) for line in page.lines.tolist()]
    advances = np.concatenate([page.pens[:, 1] - page.pens[:, 0] for page in pages])
    max_width_px = renderer.config.page_width_px - 2 * renderer.config.margin_px
    for at, ((here, before), (there, after)) in enumerate(pairwise(zip(lines, offsets, strict=True))):
        if here != there and after == before + 1 and not (is_wide(text[before]) or is_wide(text[after])):
            start, stop = narrow_run(shown, offsets, at)
            assert advances[start:stop].sum() > max_width_px, f"{shown[start:stop]!r} is cut and need not be"


def narrow_run(shown: str, offsets: list[int], at: int) -> tuple[int, int]:
    """The glyphs [start, stop) around ``at`` that no space and no wide character parts."""
    start, stop = at, at + 1
    while start > 0 and offsets[start] == offsets[start - 1] + 1 and not is_wide(shown[start - 1]):
        start -= 1
    while stop < len(shown) and offsets[stop] == offsets[stop - 1] + 1 and not is_wide(shown[stop]):
        stop += 1
    return start, stop
