"""Tables: on their grid, between rules, over page breaks, as columns of text and as records."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_core.config import preset
from glyph_core.documents.blocks import Cell, TextBlock
from glyph_core.rendering.grid import Grid, GridCell, column_widths
from glyph_core.rendering.text import TextPages
from tests.rendering.documents import laid_out, pixels_of, read_back, table_of

MINI, GLYPH = preset("mini"), preset("glyph-en")
GOODS = [["Item", "Price"], ["Tea", "4"], ["Sugar lumps", "12"]]


def rule_shade(page: np.ndarray) -> np.ndarray:
    return page == 96


# --- the grid


def test_spans_take_their_cells_and_offsets_are_those_of_the_text() -> None:
    table = table_of([[Cell("a", 2, 1), Cell("bc", 1, 2)], ["d", "e"], [], ["f", Cell("g", 9, 1), "h"]])
    grid = Grid.of(table, 100)
    places = {cell.text: (cell.row, cell.last_row, cell.column, cell.last_column) for cell in grid.cells}
    assert places == {
        "a": (0, 1, 0, 0), "bc": (0, 0, 1, 2), "d": (1, 1, 1, 1), "e": (1, 1, 2, 2), "f": (3, 3, 0, 0),
        "g": (3, 3, 1, 1), "h": (3, 3, 2, 2),
    }  # fmt: skip
    assert all(table.text[cell.offset - 100 :].startswith(cell.text) for cell in grid.cells)
    assert (grid.num_rows, grid.num_columns) == (4, 3)


def cell(column: int, last_column: int) -> GridCell:
    return GridCell("", 0, 0, column, 0, last_column)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda columns: st.tuples(
            st.just(columns),
            st.lists(
                st.tuples(
                    st.integers(0, columns - 1), st.integers(0, columns - 1), st.integers(0, 90), st.integers(0, 400)
                ),
                max_size=12,
            ),
        )
    ),
    st.integers(20, 500),
)
def test_column_widths(shape: tuple[int, list[tuple[int, int, int, int]]], available: int) -> None:
    num_columns, drawn = shape
    cells = [(cell(min(a, b), max(a, b)), low, low + more) for a, b, low, more in drawn]
    least, gap = 10, 5
    widths = column_widths(cells, num_columns, available, least, gap)
    room = available - gap * (num_columns - 1)
    if widths is None:
        assert num_columns * least > room
        return
    assert min(widths) >= least
    assert sum(widths) <= max(room, num_columns * least)
    narrowest = column_widths(cells, num_columns, 10**6, least, gap)
    if narrowest is not None and sum(narrowest) <= room:
        assert widths == narrowest
        for own, _, wide in cells:  # then nothing is broken
            covered = widths[own.column : own.last_column + 1]
            assert sum(covered) + gap * (len(covered) - 1) >= wide


def test_a_cell_that_covers_thousands_of_rows_costs_no_more_than_one() -> None:
    table = table_of([[Cell("a", 2000, 1000)], *([[]] * 1998), ["b"]])
    tracemalloc.start()
    grid = Grid.of(table, 0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(cell.row, cell.column) for cell in grid.cells] == [(0, 0), (1999, 1000)]
    assert peak_bytes < 10_000_000  # 2,000,000 places, which took 250 MB as a set


def test_of_many_rows_none_is_looked_for_among_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of 5,000 rows that has no room for its columns was laid out in minutes."""

    class Counting(tuple[GridCell, ...]):
        num_walks = 0

        def __iter__(self) -> Iterator[GridCell]:
            Counting.num_walks += 1
            return super().__iter__()

    table = table_of([[f"{row}/{column} {'word ' * 9}" for column in range(4)] for row in range(60)])
    grid = Grid.of(table, 0)
    counted = replace(grid, cells=Counting(grid.cells))
    monkeypatch.setattr(Grid, "of", lambda table, offset: counted)
    assert read_back(laid_out(MINI, table), table.text) == "".join(table.text.split())
    assert 0 < Counting.num_walks < 10


# --- columns of text, for a model that was trained on plain text


def test_a_narrow_table_is_the_text_that_somebody_would_have_typed() -> None:
    typed = "Item        | Price\nTea         | 4    \nSugar lumps | 12   "
    assert np.array_equal(pixels_of(laid_out(MINI, table_of(GOODS)))[0], pixels_of(laid_out(MINI, TextBlock(typed)))[0])


def test_cells_of_several_lines_stand_beside_one_another_line_by_line() -> None:
    typed = "Name  | Ruth\nClaim | SF-1\n      | late\nTotal | 9   "
    table = table_of([["Name\nClaim", "Ruth\nSF-1\nlate"], ["Total", "9"]], 0)
    assert np.array_equal(pixels_of(laid_out(MINI, table))[0], pixels_of(laid_out(MINI, TextBlock(typed)))[0])


def test_a_row_of_columns_stays_on_one_page() -> None:
    lines_per_page = (868 - 2 * 14) // 14
    rows = [["k", "v"]] * (lines_per_page - 2) + [["a\nb\nc", "1\n2\n3"], ["\n".join("xy" * 40), "z"]]
    table = table_of(rows, 0)
    pages = laid_out(MINI, table)
    shown = ["".join(map(chr, pages.placed(page).codepoints.tolist())) for page in range(len(pages.sizes))]
    assert shown[0].replace("|", "") == "kv" * (lines_per_page - 2)
    assert sorted(shown[1].replace("|", ""))[:6] == sorted("abc123")  # beside one another, on the next page
    assert len(shown) == 3  # a row that is taller than a page goes on
    assert read_back(pages, table.text) == "".join(table.text.split())


def test_a_wide_one_without_headers_keeps_a_row_s_cells_together_and_shows_each_once() -> None:
    long = "a remark of so many words that it fills the whole line by itself and more"
    table = table_of([[Cell("Seen", 3, 1), long], ["Total", "9"], [Cell("Claim\nPolicy", 1, 2)]], 0)
    typed = f"Seen | {long}\nTotal | 9\nClaim\nPolicy"
    assert np.array_equal(pixels_of(laid_out(MINI, table))[0], pixels_of(laid_out(MINI, TextBlock(typed)))[0])


def test_a_wide_one_is_records() -> None:
    long = "a description of so many words that it fills the whole line by itself and more"
    rows = [["Item", "Price", "Remarks"], ["Tea", "4", long], ["", "12", long]]
    typed = f"Item: Tea\nPrice: 4\nRemarks: {long}\n\nPrice: 12\nRemarks: {long}"
    (table,), (text,) = pixels_of(laid_out(MINI, table_of(rows))), pixels_of(laid_out(MINI, TextBlock(typed)))
    assert np.array_equal(table, text)


@pytest.mark.parametrize("name", ["mini", "glyph-en"])
@pytest.mark.parametrize("length", [1, 40])
def test_every_cell_is_there_once(name: str, length: int) -> None:
    rows = [[f"head{column}" for column in range(4)]]
    rows += [[f"{'word ' * length}{row}/{column}" for column in range(4)] for row in range(90)]
    rows[3] = [Cell("wide " * length, 1, 3), "end"]
    rows[5] = [Cell("tall " * length, 3, 1), *rows[5][1:]]
    rows[6], rows[7] = rows[6][1:], rows[7][1:]
    table = table_of(rows)
    pages = laid_out(preset(name), table)
    assert len(pages.sizes) > 1
    assert read_back(pages, table.text) == "".join(table.text.split())


def test_many_columns_become_records_on_any_page() -> None:
    table = table_of([[f"c{column}" for column in range(60)], [f"v{column}" for column in range(60)]])
    pages = laid_out(GLYPH, table)
    assert isinstance(pages, TextPages)
    assert not pages.filled.rules
    assert read_back(pages, table.text) == "".join(table.text.split())


# --- cells between rules


def test_no_glyph_touches_a_rule() -> None:
    rows = [
        ["No.", "Item", "说明"],
        *([str(row), "tea and sugar " * (row % 4), "三国演义" * (row % 7)] for row in range(40)),
    ]
    pages = laid_out(GLYPH, table_of(rows))
    assert isinstance(pages, TextPages)
    for page in range(len(pages.sizes)):
        rules = np.zeros(pages.sizes[page][::-1], dtype=bool)
        for rule in pages.filled.rules_of(page):
            rules[rule.top : rule.top + rule.height, rule.left : rule.left + rule.width] = True
        upright = np.zeros_like(rules)
        for rule in pages.filled.rules_of(page):
            if rule.height > rule.width:
                upright[rule.top : rule.top + rule.height, rule.left : rule.left + rule.width] = True
        for left, top, right, bottom in pages.placed(page).boxes.tolist():
            assert not upright[top:bottom, left:right].any()
            assert rules[:top, left].any()  # one above,
            assert rules[bottom - 2 :, left].any()  # and one below


def test_the_header_is_repeated_on_every_page_but_is_text_only_once() -> None:
    rows = [["Number", "Item"], *([str(row), "tea"] for row in range(200))]
    table = table_of(rows)
    pages = laid_out(GLYPH, table)
    assert len(pages.sizes) == 4
    for page in range(4):
        placed = pages.placed(page)
        first = placed.boxes[:, 1] < placed.boxes[:, 1].min() + 10
        assert sorted(map(chr, placed.codepoints[first])) == sorted("NumberItem")
        assert set((placed.offsets[first] == -1).tolist()) == {page > 0}
    assert read_back(pages, table.text) == "".join(table.text.split())


def test_a_row_that_fits_a_page_is_not_cut() -> None:
    lines = "\n".join(["line"] * 30)
    rows = [[str(row), lines] for row in range(7)]
    pages = laid_out(GLYPH, table_of(rows, 0))
    for page in range(len(pages.sizes)):
        assert (pages.placed(page).codepoints == ord("l")).sum() % 30 == 0
    assert len(pages.sizes) == 4  # two to a page


def test_a_row_that_is_taller_than_a_page_goes_on_on_the_next() -> None:
    rows = [["Head", "er"], ["tall", "\n".join(f"line{n}" for n in range(200))], ["after", "x"]]
    table = table_of(rows)
    pages = laid_out(GLYPH, table)
    assert len(pages.sizes) == 3
    assert read_back(pages, table.text) == "".join(table.text.split())
    full = [size[1] for size in pages.sizes[:2]]
    assert full == [842, 842]
    bottoms = [pages.placed(page).boxes[:, 3].max() for page in range(2)]
    assert min(bottoms) > 800  # both are filled


def test_a_cell_that_spans_rows_goes_on_over_the_page_break() -> None:
    rows = [[Cell("\n".join(f"tall{n}" for n in range(100)), 100, 1), "0"], *([str(row)] for row in range(1, 100))]
    table = table_of(rows, 0)
    pages = laid_out(GLYPH, table)
    assert len(pages.sizes) == 2
    assert read_back(pages, table.text) == "".join(table.text.split())
    for page in range(2):
        placed = pages.placed(page)
        for line in np.unique(placed.boxes[:, 3]):
            assert line <= 832


def test_no_rule_crosses_a_cell_that_spans() -> None:
    (page,) = pixels_of(
        laid_out(GLYPH, table_of([[Cell("x" * 30, 1, 2)], ["one", "two"], [Cell("y", 2, 1), "z"], ["w"]], 0))
    )
    rules = rule_shade(page)
    (columns,) = np.nonzero(rules.all(axis=0) | (rules.sum(axis=0) > rules.shape[0] / 3))
    inner = columns[(columns > 20) & (columns < columns.max() - 5)]
    assert inner.size == 1  # the rule between the two columns,
    first_row = np.flatnonzero(rules[:, columns.max() - 1])[:2]
    assert not rules[first_row[0] + 1 : first_row[1], inner[0]].any()  # which the first row does not have


def test_empty_tables_take_no_room() -> None:
    with_table = laid_out(GLYPH, TextBlock("x"), table_of([["", " "], []]), TextBlock("y"))
    assert len(with_table.sizes) == 1
    assert rule_shade(pixels_of(with_table)[0]).sum() == 0
