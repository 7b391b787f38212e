"""The renderer as the stages see it: plans, ranges of pages, digests, limits, threads, pictures."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from glyph_core.config import LimitConfig, RenderConfig, preset, varied
from glyph_core.documents.blocks import Document
from glyph_core.documents.parse import parse
from glyph_core.errors import (
    DocumentTooLargeError,
    EmptyDocumentError,
    InvalidDocumentError,
    InvalidRequestError,
    UnsupportedDocumentError,
)
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.rendering.same_pages import same_pages
from glyph_core.types import DocumentPlan, DocumentSource, Page

MINI = preset("mini")


def source_of(text: str, name: str = "a.txt") -> DocumentSource:
    return DocumentSource(name, text.encode())


def book(num_lines: int, seed: int = 0) -> DocumentSource:
    return source_of("\n".join(f"line {i}: {(i * 7919 + seed) % 10007} 第{i}行，éß" for i in range(num_lines)))


def picture(width: int, height: int, mode: str = "L") -> DocumentSource:
    stream = io.BytesIO()
    Image.effect_noise((width, height), 40).convert(mode).save(stream, "PNG")
    return DocumentSource("scan.png", stream.getvalue())


def all_pages(renderer: PageRenderer, source: DocumentSource) -> list[Page]:
    return renderer.render(source, 0, renderer.plan(source).num_pages)


@pytest.fixture(scope="module")
def renderer() -> PageRenderer:
    return PageRenderer(MINI)


def test_pages_are_what_the_plan_says(renderer: PageRenderer) -> None:
    source = book(130)
    plan = renderer.plan(source)
    pages = all_pages(renderer, source)
    assert tuple(page.plan for page in pages) == plan.pages
    assert [page.plan.page_index for page in pages] == list(range(plan.num_pages)) == [0, 1, 2]
    for page in pages:
        assert page.pixels.shape == (page.plan.height_px, page.plan.width_px)
        assert page.pixels.dtype == np.uint8
        assert page.pixels.flags.c_contiguous
    assert (plan.name, plan.media_type, plan.document_digest) == ("a.txt", "text/plain", source.digest)
    assert plan.num_text_chars == len(source.content.decode())


def test_pages_are_cropped_to_the_longest_line_and_the_last_one_to_its_end(renderer: PageRenderer) -> None:
    lines_per_page = (868 - 2 * 14) // 14
    plan = renderer.plan(source_of("\n".join(["x" * 41] + ["y"] * lines_per_page)))
    assert [(page.width_px, page.height_px) for page in plan.pages] == [(336, 868), (336, 56)]  # 41 × 7 + 28 = 315
    assert [(p.width_px, p.height_px) for p in renderer.plan(source_of("x")).pages] == [(224, 56)]
    assert renderer.plan(source_of("x" * 2000)).pages[0].width_px == 476
    full = renderer.plan(source_of("\n".join("x" * lines_per_page)))
    assert [page.height_px for page in full.pages] == [868]


def test_blank_lines_are_kept(renderer: PageRenderer) -> None:
    source = source_of("\n\none\n\n\ntwo\n\n\n\n")
    lines = renderer.placed_glyphs(source, 0).lines.tolist()
    assert lines == [2, 2, 2, 5, 5, 5]
    pages = all_pages(renderer, source_of("first" + "\n" * 100 + "last"))
    assert len(pages) == 2


def test_line_ends_of_all_systems_make_the_same_pages(renderer: PageRenderer) -> None:
    text = "one two\n\nthree\n\n\n" * 30 + "end"
    unix, windows, mac = (all_pages(renderer, source_of(text.replace("\n", end))) for end in ("\n", "\r\n", "\r"))
    for pages in (windows, mac):
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(unix, pages, strict=True))


def test_ink_stays_within_the_margins(renderer: PageRenderer) -> None:
    for page in all_pages(renderer, book(130)):
        rows, columns = np.nonzero(page.pixels < 255)
        assert rows.min() >= 14 - 1
        assert rows.max() < page.plan.height_px - 14 + 1
        assert columns.min() >= 14
        assert columns.max() < page.plan.width_px - 14


def test_inverted_is_white_on_black() -> None:
    source = source_of("Night")
    (day,), (night,) = (all_pages(PageRenderer(RenderConfig(inverted=flag)), source) for flag in (False, True))
    assert np.array_equal(255 - day.pixels, night.pixels)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3))
def test_a_range_is_the_same_pages_of_the_whole(start: int, stop: int, seed: int) -> None:
    renderer = PageRenderer(MINI)
    source = book(300, seed)
    whole = all_pages(PageRenderer(MINI), source)
    if start > stop or stop > len(whole):
        with pytest.raises(InvalidRequestError, match="which has 5"):
            renderer.render(source, start, stop)
        return
    part = renderer.render(source, start, stop)
    assert [page.plan for page in part] == [page.plan for page in whole[start:stop]]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(part, whole[start:stop], strict=True))


def test_pages_share_no_memory(renderer: PageRenderer) -> None:
    source = book(130)
    for page in all_pages(renderer, source):
        page.pixels[:] = 0
    assert all(page.pixels.max() == 255 for page in all_pages(renderer, source))
    scan = picture(40, 30)
    renderer.render(scan, 0, 1)[0].pixels[:] = 0
    assert renderer.render(scan, 0, 1)[0].pixels.max() > 0


def test_plans_and_pages_are_deterministic() -> None:
    def made() -> tuple[DocumentPlan, list[Page]]:
        renderer = PageRenderer(MINI)
        renderer.plan(book(9, seed=5))  # what the atlas met before changes nothing
        return renderer.plan(book(130)), all_pages(renderer, book(130))

    (plan, pages), (plan_again, pages_again) = made(), made()
    assert plan == plan_again
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(pages, pages_again, strict=True))


def test_digests_name_document_configuration_and_page(renderer: PageRenderer) -> None:
    plans = [
        renderer.plan(book(130)),
        renderer.plan(book(130, seed=1)),
        PageRenderer(preset("glyph-en")).plan(book(130)),
        PageRenderer(RenderConfig(inverted=True)).plan(book(130)),
    ]
    digests = [page.digest for plan in plans for page in plan.pages]
    assert len(set(digests)) == len(digests)
    renamed = DocumentSource("other name", book(130).content)
    assert [page.digest for page in renderer.plan(renamed).pages] == [page.digest for page in plans[0].pages]


def test_threads_draw_what_one_thread_draws() -> None:
    sources = [book(300, seed) for seed in range(4)] + [source_of("三国演义" * 900), source_of("Ünïçödé " * 900)]
    truth = [all_pages(PageRenderer(MINI), source) for source in sources]
    shared = PageRenderer(MINI, max_cached_layouts=2)  # so that layouts come and go, and the atlas grows meanwhile

    def draw(task: tuple[int, int, int]) -> bool:
        which, start, stop = task
        pages = shared.render(sources[which], start, stop)
        return all(np.array_equal(a.pixels, b.pixels) for a, b in zip(pages, truth[which][start:stop], strict=True))

    tasks = [
        (which, start, stop)
        for which, pages in enumerate(truth)
        for start, stop in pairwise(range(len(pages) + 1))
        for _ in range(3)
    ]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(draw, tasks))


def test_the_least_used_layout_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = PageRenderer(MINI, max_cached_layouts=2)
    laid_out = []
    lay_out = renderer._lay_out
    monkeypatch.setattr(
        renderer, "_lay_out", lambda document, source: laid_out.append(document.name) or lay_out(document, source)
    )
    a, b, c = (source_of(name, name) for name in "abc")
    for source in (a, b, a, c, a, b):
        renderer.render(source, 0, 1)
    assert laid_out == ["a", "b", "c", "b"]


def test_missing_glyphs_are_drawn_and_counted(renderer: PageRenderer) -> None:
    source = source_of("\u0378\u0379 me, 𠀀")  # two that are unassigned, one that no font of ours has
    (warning,) = renderer.plan(source).warnings
    assert warning.startswith("3 characters (U+0378, ")
    placed = renderer.placed_glyphs(source, 0)
    assert placed.codepoints.tolist().count(0xFFFD) == 3
    page = renderer.render(source, 0, 1)[0].pixels
    for left, top, right, bottom in placed.boxes:
        assert (page[top:bottom, left:right] < 255).any()


def test_control_characters_are_neither_drawn_nor_missed(renderer: PageRenderer) -> None:
    source = source_of("\x1b[1mbold\x00\x07\u200d\ufe0f\u00ad end\x7f")
    assert renderer.plan(source).warnings == ()
    shown = "".join(map(chr, renderer.placed_glyphs(source, 0).codepoints))
    assert shown == "[1mboldend"


def test_documents_that_hold_nothing_to_see_are_empty(renderer: PageRenderer) -> None:
    with pytest.raises(EmptyDocumentError, match="no visible character"):
        renderer.plan(source_of("a".replace("a", "\u200d\x1b\u200b")))


def test_limits() -> None:
    renderer = PageRenderer(MINI, LimitConfig(max_pages=2, max_document_bytes=10_000))
    assert renderer.plan(source_of("x\n" * 120)).num_pages == 2
    with pytest.raises(DocumentTooLargeError, match="3 pages, more than the 2"):
        renderer.plan(source_of("x\n" * 121))
    with pytest.raises(DocumentTooLargeError, match="bytes"):
        renderer.plan(source_of("x" * 10_001))


def test_errors_of_the_document_reach_the_caller(renderer: PageRenderer) -> None:
    with pytest.raises(UnsupportedDocumentError, match="application/rtf"):
        renderer.render(DocumentSource("a.rtf", b"{\\rtf1 ..."), 0, 1)
    with pytest.raises(InvalidRequestError, match="no page 7"):
        renderer.placed_glyphs(source_of("one page"), 7)


@pytest.mark.parametrize(
    ("size", "page_size"),
    [
        ((100, 60), (224, 84)),
        ((476, 868), (476, 868)),
        ((3000, 4000), (1904, 2520)),  # 12 M px down to at most 4.7 M
        ((5000, 1), (5012, 56)),  # paper is added: the model's resize refuses slivers
        ((1, 30000), (308, 30016)),
    ],
)
def test_pictures_become_one_page(renderer: PageRenderer, size: tuple[int, int], page_size: tuple[int, int]) -> None:
    source = picture(*size)
    plan = renderer.plan(source)
    (page,) = renderer.render(source, 0, 1)
    assert [(p.width_px, p.height_px) for p in plan.pages] == [page_size]
    assert page.pixels.shape == page_size[::-1]
    assert (plan.media_type, plan.num_text_chars) == ("image/png", 0)
    assert len(renderer.placed_glyphs(source, 0)) == 0


def test_a_small_picture_is_shown_as_it_is(renderer: PageRenderer) -> None:
    source = picture(100, 60, "RGB")
    pixels = renderer.render(source, 0, 1)[0].pixels
    assert np.array_equal(pixels[:60, :100], np.asarray(Image.open(io.BytesIO(source.content))))
    assert pixels[60:].min() == pixels[:, 100:].min() == 255


def test_pictures_are_scaled_where_the_configuration_says_so() -> None:
    source = picture(100, 60)
    scaled = MINI.model_copy(update={"picture_scale": 2.0, "snap_px": 1, "min_width_px": 28})
    (page,) = PageRenderer(scaled).render(source, 0, 1)
    assert page.pixels.shape == (120, 200)


def test_the_same_pages_of_another_size() -> None:
    text = DocumentSource("t", "\n".join(f"line {n} of the text" for n in range(400)).encode())
    first, second = PageRenderer(MINI), PageRenderer(varied(MINI, dpi=120))
    small = PageRenderer(MINI.model_copy(update={"page_height_px": 434}))
    for other in (second, small, first):
        same = same_pages(first, other, text, (1,))
        shown = "".join(other.page_text(text, page).text for page in same)
        assert all(line in shown for line in first.page_text(text, 1).text.splitlines())
        assert len(same) < other.plan(text).num_pages
    assert same_pages(first, first, text, (1, 3)) == (1, 3)
    assert same_pages(first, second, picture(100, 60), (0,)) == (0,)


def test_layouts_are_kept_by_what_they_take_and_hold_no_raw_pictures() -> None:
    renderer = PageRenderer(MINI, max_cached_bytes=2_500_000)
    sources = [picture(1000 + number, 1000) for number in range(4)]
    for source in sources:
        renderer.plan(source)
    kept = list(renderer._layouts.values())
    assert len(kept) == 2
    assert [block.pixels.size for laid_out in kept for block in laid_out.document.blocks] == [0, 0]
    large = picture(2400, 1500)
    assert len(all_pages(renderer, large)) == 1  # alone it is more than may be kept, and is kept all the same
    assert list(renderer._layouts) == [(large.digest, large.name)]


def test_nobody_is_told_what_another_calls_the_same_bytes(renderer: PageRenderer) -> None:
    first, second = (renderer.plan(source_of("no PDF", name)) for name in ("secret merger.pdf", "b.pdf"))
    assert "secret merger" in first.warnings[0]
    assert "secret merger" not in str(second)
    assert first.pages == second.pages  # which are drawn and encoded once


def test_pages_of_bytes_that_another_name_makes_code_have_digests_of_their_own() -> None:
    renderer = PageRenderer(preset("glyph-en"))
    content = "def answer():\n    return 42\n" * 40
    prose, code, other = (renderer.plan(source_of(content, name)) for name in ("a.txt", "a.py", "b.py"))
    assert {page.digest for page in prose.pages}.isdisjoint(page.digest for page in code.pages)
    assert code.pages == other.pages
    drawn = [renderer.render(source_of(content, name), 0, 1)[0].pixels for name in ("a.txt", "a.py")]
    assert drawn[0].shape != drawn[1].shape or (drawn[0] != drawn[1]).any()


def test_who_wants_a_document_that_is_being_laid_out_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, source, calls = PageRenderer(MINI), book(50), []

    def slowly(source: DocumentSource, *args: object, **kwargs: object) -> Document:
        calls.append(source.name)
        time.sleep(0.2)
        if source.name == "broken.txt":
            raise InvalidDocumentError("broken")
        return parse(source, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("glyph_core.rendering.renderer.parse", slowly)
    with ThreadPoolExecutor(4) as threads:
        plans = list(threads.map(renderer.plan, [source] * 4))
        assert calls == ["a.txt"]
        assert len(set(plans)) == 1
        broken = [threads.submit(renderer.plan, source_of("x", "broken.txt")) for _ in range(2)]
        assert [type(one.exception()) for one in broken] == [InvalidDocumentError] * 2  # each tries for itself
