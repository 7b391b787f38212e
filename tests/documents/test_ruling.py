"""Grids of ruling lines: which cell a point is in, and what that costs on a page of thousands of cells."""

from __future__ import annotations

import random

import pytest

from glyph_core.documents.blocks import Box, TableBlock
from glyph_core.documents.pdf import tables
from glyph_core.documents.pdf.lines import Line, holds
from glyph_core.documents.pdf.ruling import grids_of
from glyph_core.documents.pdf.tables import tables_of

WIDTH, HEIGHT = 40.0, 20.0


def line_at(row: int, column: int) -> Line:
    box = (column * WIDTH + 5, row * HEIGHT + 5, column * WIDTH + 30, row * HEIGHT + 15)
    return Line(f"{row}/{column}", box, 10.0, is_bold=False, is_mono=False, is_straight=True, num_hidden=0)


def rules(num_rows: int, num_columns: int, left_out: float, seed: int) -> list[Box]:
    """The sides of all cells, less a share of the inner ones."""
    drawn = random.Random(seed)
    across = [
        (column * WIDTH, row * HEIGHT - 0.5, (column + 1) * WIDTH, row * HEIGHT + 0.5)
        for row in range(num_rows + 1)
        for column in range(num_columns)
        if row in (0, num_rows) or drawn.random() >= left_out
    ]
    down = [
        (column * WIDTH - 0.5, row * HEIGHT, column * WIDTH + 0.5, (row + 1) * HEIGHT)
        for row in range(num_rows)
        for column in range(num_columns + 1)
        if column in (0, num_columns) or drawn.random() >= left_out
    ]
    return [*across, *down]


@pytest.mark.parametrize("seed", range(5))
def test_a_point_is_in_the_cell_whose_box_holds_it(seed: int) -> None:
    grid = max(grids_of(rules(9, 6, 0.4, seed)), key=lambda grid: len(grid.cells))
    num_places = grid.num_rows * grid.num_columns
    assert len(grid.cells) < num_places == sum(rows * columns for rows, columns in grid.cells.values())
    drawn = random.Random(seed)
    left, top, right, bottom = grid.box
    for _ in range(300):
        x, y = drawn.uniform(left, right), drawn.uniform(top, bottom)
        row, column = grid.cell_at(x, y)
        row_span, column_span = grid.cells[row, column]
        box = grid.xs[column], grid.ys[row], grid.xs[column + column_span], grid.ys[row + row_span]
        assert holds(box, (x, y, x, y))


def test_a_page_of_thousands_of_cells_is_read_without_looking_into_each_for_each_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page of 5,000 cells took longer than a page may, and was missing."""
    num_looks = 0

    def counted(outer: Box, inner: Box) -> bool:
        nonlocal num_looks
        num_looks += 1
        return holds(outer, inner)

    monkeypatch.setattr(tables, "holds", counted)
    lines = [line_at(row, column) for row in range(30) for column in range(20)]
    (table,) = tables_of(rules(30, 20, 0.0, 0), lines, 0)
    assert isinstance(table.block, TableBlock)
    assert [[cell.text for cell in row] for row in table.block.rows] == [
        [f"{row}/{column}" for column in range(20)] for row in range(30)
    ]
    assert num_looks <= len(lines)
