"""A table with rules between its cells, over as many pages as it takes.

A row is so many lines high. A cell's text begins in its row's first line, and that of a cell that reaches down goes on
in the next row's lines: so a page may end after any line, and does so where a row is taller than a page.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

from glyph_core.config import RenderConfig
from glyph_core.rendering.filler import PageFiller
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.grid import Grid, GridCell
from glyph_core.rendering.styles import Style
from glyph_core.rendering.typeset import Reading, SetLines, Typesetter

RULE_PX, HEADER_RULE_PX = 1, 2
_ABOVE_PX = 1  # between a rule and the line under it, and the line above it


def padding_px(config: RenderConfig) -> int:
    """Between a rule and the text beside it."""
    return max(2, round(config.font_size_px / 4))


class RuledTable:
    def __init__(
        self, typesetter: Typesetter, filler: PageFiller, grid: Grid, readings: list[Reading], widths_px: list[int]
    ) -> None:
        """``readings`` are of the grid's cells, ``widths_px`` of the columns' contents."""
        self._typesetter, self._filler, self._grid = typesetter, filler, grid
        self._padding = padding_px(typesetter.config)
        self._line_px = typesetter.config.line_height_px
        self._bounds = [0]  # px: where each column's left rule stands, and the last one's right
        for width in widths_px:
            self._bounds.append(self._bounds[-1] + RULE_PX + width + 2 * self._padding)
        self._covered = grid.at()
        self._lines = {
            cell: reading.set(self._content_px(cell) * UNITS)
            for cell, reading in zip(grid.cells, readings, strict=True)
        }
        self._repeated: dict[GridCell, SetLines] = {}  # the header's cells once more, as no part of the text
        self._num_lines = self._heights()
        self._first_lines = list(accumulate(self._num_lines, initial=0))  # of each row, in lines from the table's top

    def add(self) -> None:
        headers = range(self._grid.num_header_rows)
        header_px = sum(self._row_px(row, self._num_lines[row]) for row in headers)
        self._filler.need(min(header_px + 3 * self._line_px, self._filler.page_room_px))
        self._open()
        for row in range(self._grid.num_rows):
            repeats = row >= len(headers) and header_px < self._filler.page_room_px / 2
            self._add_row(row, header_px if repeats else 0)

    def _add_row(self, row: int, header_px: float) -> None:
        """A row whole, where it fits this page or the next; else as much of it as fits, and the rest on later pages.

        ``header_px`` is the height of the header that the next page begins with; 0: with none.
        """
        done, left = 0, self._num_lines[row]
        fresh = self._lines_in(self._filler.page_room_px - header_px - RULE_PX)
        while left:
            room = self._lines_in(self._filler.room_px)
            if room < left and (left <= fresh or room < 1):
                self._turn_page(repeats_header=header_px > 0)
                room = max(1, self._lines_in(self._filler.room_px))
            count = min(left, room)
            self._draw(row, self._lines, done, count)
            done, left = done + count, left - count

    def _turn_page(self, *, repeats_header: bool) -> None:
        if not self._filler.is_at_top:
            self._filler.add_rule(0, -RULE_PX, self._width_px, RULE_PX)  # also under cells that go on
        self._filler.next_page()
        self._open()
        for row in range(self._grid.num_header_rows if repeats_header else 0):
            for cell in self._cells_of(row):
                if cell not in self._repeated:
                    reading = self._typesetter.read(cell.text, None, Style.CODE)
                    self._repeated[cell] = reading.set(self._content_px(cell) * UNITS)
            self._draw(row, self._repeated, 0, self._num_lines[row])

    def _open(self) -> None:
        self._filler.add_rule(0, 0, self._width_px, RULE_PX)
        self._filler.advance(RULE_PX)

    def _draw(self, row: int, lines: dict[GridCell, SetLines], done: int, count: int) -> None:
        """Lines [done, done + count) of a row, with the rules beside and below them."""
        pieces = []
        for cell in self._cells_of(row):
            first = self._first_lines[row] - self._first_lines[cell.row] + done
            set_lines = lines[cell]
            x = (self._bounds[cell.column] + RULE_PX + self._padding) * UNITS
            for number, (start, stop) in enumerate(set_lines.bounds[first : first + count].tolist()):
                shift = 0 if set_lines.shifts is None else int(set_lines.shifts[first + number])
                pieces.append((start, stop, x + shift, _ABOVE_PX + number * self._line_px))
        self._filler.add_segments(pieces)
        height = self._row_px(row, count)
        for column, left in enumerate(self._bounds):
            if self._cell(row, column - 1) is None or self._cell(row, column - 1) is not self._cell(row, column):
                self._filler.add_rule(left, 0, RULE_PX, math.ceil(height))
        is_last_of_header = row == self._grid.num_header_rows - 1 and row < self._grid.num_rows - 1
        rule_px = HEADER_RULE_PX if is_last_of_header else RULE_PX
        ends = done + count == self._num_lines[row]
        for column in range(self._grid.num_columns):
            covering = self._cell(row, column)
            if not ends or covering is None or covering.last_row == row:
                left, right = self._bounds[column], self._bounds[column + 1] + RULE_PX
                self._filler.add_rule(left, height - rule_px, right - left, rule_px)
        self._filler.advance(height)

    def _heights(self) -> list[int]:
        """Lines of each row; a cell that needs more than its rows have makes the last of them higher."""
        heights = [1] * self._grid.num_rows
        for cell in sorted(self._grid.cells, key=lambda cell: cell.last_row - cell.row):
            missing = len(self._lines[cell]) - sum(heights[cell.row : cell.last_row + 1])
            heights[cell.last_row] += max(0, missing)
        return heights

    def _row_px(self, row: int, num_lines: int) -> float:
        rule_px = HEADER_RULE_PX if row == self._grid.num_header_rows - 1 else RULE_PX
        return math.ceil(num_lines * self._line_px) + 2 * _ABOVE_PX + rule_px

    def _lines_in(self, height_px: float) -> int:
        return int((height_px - 2 * _ABOVE_PX - HEADER_RULE_PX) / self._line_px)

    def _content_px(self, cell: GridCell) -> int:
        return self._bounds[cell.last_column + 1] - self._bounds[cell.column] - RULE_PX - 2 * self._padding

    def _cells_of(self, row: int) -> Iterator[GridCell]:
        """Those that begin in ``row`` or reach down into it."""
        before = None
        for column in range(self._grid.num_columns):
            cell = self._cell(row, column)
            if cell is not None and cell is not before:
                yield cell
            before = cell

    def _cell(self, row: int, column: int) -> GridCell | None:
        return self._covered.get((row, column))

    @property
    def _width_px(self) -> int:
        return self._bounds[-1] + RULE_PX
