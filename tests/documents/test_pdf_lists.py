"""Lists, hanging indents, and what runs at the head and the foot of a PDF's pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pymupdf
import pytest

from glyph_core.config import LimitConfig
from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.documents.parse import parse
from tests.documents.make_pdf import PROSE, pdf

Row = tuple[float, str]
RIGHT = 420.0
WORDS = PROSE.split()


def wrapped(first_left: float, left: float, text: str) -> list[Row]:
    """``text`` at 10 points in rows that end before RIGHT, the first of them at ``first_left``."""
    rows: list[Row] = []
    row: list[str] = []
    for word in text.split():
        start = left if rows else first_left
        if row and start + pymupdf.get_text_length(" ".join([*row, word]), fontsize=10) > RIGHT:
            rows.append((start, " ".join(row)))
            row = []
        row.append(word)
    return [*rows, (left if rows else first_left, " ".join(row))]


def page_of(rows: Sequence[Row], top: float = 100) -> Callable[[pymupdf.Page], None]:
    """Rows at even distances: nothing but their left sides tells where something begins."""

    def draw(page: pymupdf.Page) -> None:
        for index, (left, text) in enumerate(rows):
            page.insert_text((left, top + 12 * index), text, fontsize=10)

    return draw


def blocks_of(*draw: Callable[[pymupdf.Page], None]) -> list[TextBlock]:
    document: Document = parse(pdf(*draw), LimitConfig())
    return [block for block in document.blocks if isinstance(block, TextBlock)]


def said(number: int) -> str:
    """A sentence of one to three rows, without a full stop at its end."""
    return " ".join(WORDS[number % 7 : number % 7 + 12 + 13 * (number % 3)]).rstrip(".")


@pytest.mark.parametrize("markers", [("1.", "2.", "3.", "4."), ("(a)", "(b)", "(c)", "(d)"), ("A.", "B.", "C.", "D."),
                                     ("I.", "II.", "III.", "IV."), ("2.1", "2.2", "2.3", "2.4")])  # fmt: skip
@pytest.mark.parametrize("indent", [18.0, 26.0, 40.0])
def test_items_of_a_list_stay_whole_and_apart(markers: Sequence[str], indent: float) -> None:
    def draw(page: pymupdf.Page) -> None:
        y = 100.0
        for number, marker in enumerate(markers):
            page.insert_text((72, y), marker, fontsize=10)
            for left, text in wrapped(72 + indent, 72 + indent, said(number)):
                page.insert_text((left, y), text, fontsize=10)
                y += 12

    found = [block.text for block in blocks_of(draw)]
    assert found == [f"{marker} {said(number)}" for number, marker in enumerate(markers)]


def test_bullets_of_a_list_that_hangs() -> None:
    def draw(page: pymupdf.Page) -> None:
        y = 100.0
        for number in range(4):
            page.insert_text((72, y), "•", fontsize=10)
            for left, text in wrapped(108, 108, said(number)):
                page.insert_text((left, y), text, fontsize=10)
                y += 12

    found = blocks_of(draw)
    assert [(block.kind, block.marker) for block in found] == [("item", "·")] * 4
    assert [block.text for block in found] == [said(number) for number in range(4)]


def test_items_that_go_on_at_the_left() -> None:
    rows = [row for number in range(4) for row in wrapped(72, 72, f"{number + 1}. {said(number)}")]
    assert [block.text for block in blocks_of(page_of(rows))] == [f"{n + 1}. {said(n)}" for n in range(4)]


def test_references_hang_without_a_marker() -> None:
    entries = [f"Author{number}, {said(number)}" for number in (1, 2, 4, 5)]  # all of two rows or three
    rows = [row for entry in entries for row in wrapped(72, 96, entry)]
    assert len(rows) > 2 * len(entries)
    assert [block.text for block in blocks_of(page_of(rows))] == entries


def test_paragraphs_that_are_set_in_at_their_first_row() -> None:
    paragraphs = [said(number) + " and no more of it" for number in (2, 5, 8, 2)]
    rows = [row for text in paragraphs for row in wrapped(90, 72, text)]
    assert [block.text for block in blocks_of(page_of(rows))] == paragraphs


LABELLED = [
    "Contract Number: RA-3391-07",
    "Tenant: Juniper Coffee Roasters",
    "Notice Period: 45 days",
    "Monthly Rent: EUR 2,300",
    "Governing Law: State of Vermont",
]


@pytest.mark.parametrize("with_prose", [False, True])
def test_a_fact_a_line_stays_a_line(with_prose: bool) -> None:
    rows = [(72.0, line) for line in LABELLED]
    blocks = blocks_of(page_of([*rows, *(wrapped(72, 72, PROSE) if with_prose else [])]))
    assert "\n".join(block.text for block in blocks).splitlines()[:5] == LABELLED


def test_short_lines_are_not_glued() -> None:
    lines = ["Juniper Coffee Roasters", "12 Harbour Street", "Second floor", "5003 Bergen", "Norway"]
    (block,) = blocks_of(page_of([(72.0, line) for line in lines]))
    assert block.text.splitlines() == lines


def test_a_narrow_column_of_prose_is_prose() -> None:
    rows = [(left, text) for left, text in wrapped(252, 252, " ".join(WORDS).lower())]  # wide enough for 168 points
    (block,) = blocks_of(page_of(rows))
    assert block.text == " ".join(WORDS).lower()


def test_a_number_in_running_text_begins_nothing() -> None:
    first, second, *_ = wrapped(72, 72, " ".join(WORDS))
    found = blocks_of(page_of([first, (72, f"30. {second[1][:40]}")]))
    assert [block.text for block in found] == [f"{first[1]} 30. {second[1][:40]}".rstrip()]


def test_a_column_of_markers_is_no_column() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 60), "Other Terms and Conditions", fontsize=10)
        for number in range(10):
            page.insert_text((110, 100 + 40 * number), f"{chr(65 + number)}.", fontsize=10)
        for number in range(10):
            for index, (left, text) in enumerate(wrapped(130, 130, said(3 * number + 2))[:3]):
                page.insert_text((left, 100 + 40 * number + 12 * index), text, fontsize=10)

    found = [block.text for block in blocks_of(draw)]
    assert len(found) == 11
    assert [text[:3] for text in found[1:]] == [f"{chr(65 + number)}. " for number in range(10)]


def with_gaps(page: pymupdf.Page) -> None:
    """As word processors write: each line in pieces that leave gaps, and then what is raised into them."""
    rows = [
        ("By the 18", "th", " century the fee was 40 m", "2", " of land a"),
        ("year", "1", " for all of the buyers."),
    ]
    raised = []
    for index, pieces in enumerate(rows):
        left, top = 72.0, 100 + 14 * index
        for number, piece in enumerate(pieces):
            size = 6 if number % 2 else 11
            if number % 2:
                raised.append((left, top - 4, piece))
            else:
                page.insert_text((left, top), piece, fontsize=size)
            left += pymupdf.get_text_length(piece, fontsize=size) + 0.3
    for left, top, piece in raised:
        page.insert_text((left, top), piece, fontsize=6)


def test_raised_signs_go_into_the_gaps_that_lines_leave_for_them() -> None:
    (paragraph,) = blocks_of(with_gaps)
    assert paragraph.text == "By the 18th century the fee was 40 m2 of land a year1 for all of the buyers."


def test_small_print_over_letters_stays_where_it_is() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 100), "Under small print that somebody has put there", fontsize=11)
        page.insert_text((110, 97), "copy", fontsize=6)

    assert {block.text for block in blocks_of(draw)} == {"Under small print that somebody has put there", "copy"}


def running_page(number: int, heading: str = "") -> Callable[[pymupdf.Page], None]:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 40), f"Supply agreement, draft of {number + 3} May", fontsize=8)
        head = heading or f"{WORDS[number].title()} {WORDS[number + 9]}"
        page.insert_text((72, 80), head, fontsize=16, fontname="helv" if head.isascii() else "china-s")
        page_of(wrapped(72, 72, " ".join(WORDS[number:])))(page)
        page.insert_text((72, 700), "Confidential", fontsize=8)
        page.insert_text((280, 800), f"- {number + 1} -", fontsize=8)

    return draw


def test_heads_and_feet_of_pages_are_notes() -> None:
    found = blocks_of(*[running_page(number) for number in range(4)])
    notes = [block.text for block in found if block.kind == "note"]
    assert notes == [
        text
        for number in range(4)
        for text in (f"Supply agreement, draft of {number + 3} May", "Confidential", f"- {number + 1} -")
    ]
    assert sum(block.kind == "heading" for block in found) == 4


@pytest.mark.parametrize("heading", ["Chapter {}", "第{}章", "第 {} 条"])
def test_headings_that_count_on_are_no_heads(heading: str) -> None:
    found = blocks_of(*[running_page(number, heading.format(number + 1)) for number in range(3)])
    headings = [" ".join(block.text.split()) for block in found if block.kind == "heading"]
    assert headings == [heading.format(number) for number in (1, 2, 3)]


def test_a_title_that_runs_on_as_a_head_is_a_title() -> None:
    def draw(page: pymupdf.Page) -> None:
        page.insert_text((72, 150), "Deed of Lease", fontsize=10, fontname="hebo")
        page.insert_text((72, 190), PROSE[:60], fontsize=10)
        page.insert_text((72, 230), PROSE[20:80], fontsize=10)

    def after(page: pymupdf.Page) -> None:
        page.insert_text((72, 40), "Deed of Lease", fontsize=10, fontname="hebo")
        page.insert_text((72, 190), PROSE[60:120], fontsize=10)

    kinds = [block.kind for block in blocks_of(draw, after, after) if block.text == "Deed of Lease"]
    assert kinds == ["heading", "note", "note"]


def test_one_page_has_no_running_head() -> None:
    assert not any(block.kind == "note" for block in blocks_of(running_page(0)))
