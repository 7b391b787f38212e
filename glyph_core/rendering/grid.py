"""A table's cells on their grid: which rows and columns each covers, and how wide the columns are to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from glyph_core.documents.blocks import TableBlock


@dataclass(frozen=True, slots=True)
class GridCell:
    """A cell that covers rows [row, last_row] and columns [column, last_column]."""

    text: str
    offset: int  # of its first character in the document's text
    row: int
    column: int
    last_row: int
    last_column: int


@dataclass(frozen=True)
class Grid:
    cells: tuple[GridCell, ...] = field(repr=False)
    num_rows: int
    num_columns: int
    num_header_rows: int

    @classmethod
    def of(cls, table: TableBlock, offset: int) -> Grid:
        """``offset`` is that of the table's text in the document's."""
        covered_to: dict[int, int] = {}  # column → row up to which a cell above covers it
        cells: list[GridCell] = []
        num_rows = len(table.rows)
        for row, row_cells in enumerate(table.rows):
            column = 0
            for cell in row_cells:
                while covered_to.get(column, 0) > row:
                    column += 1
                last_row = min(row + max(1, cell.row_span), num_rows) - 1
                last_column = column + max(1, cell.column_span) - 1
                for covered in range(column, last_column + 1):
                    covered_to[covered] = max(covered_to.get(covered, 0), last_row + 1)
                cells.append(GridCell(cell.text, offset, row, column, last_row, last_column))
                offset += len(cell.text) + 1  # a tab, or after the row's last the line end
                column = last_column + 1
            offset += not row_cells  # an empty row is an empty line
        num_columns = max((cell.last_column + 1 for cell in cells), default=0)
        return cls(tuple(cells), num_rows, num_columns, min(table.num_header_rows, num_rows))

    def by_row(self) -> list[list[GridCell]]:
        """Of each row the cells that cover some of it, from left to right."""
        rows: list[list[GridCell]] = [[] for _ in range(self.num_rows)]
        for cell in self.cells:
            for row in range(cell.row, cell.last_row + 1):
                rows[row].append(cell)
        for cells in rows:
            cells.sort(key=lambda cell: cell.column)
        return rows

    def at(self) -> dict[tuple[int, int], GridCell]:
        """(row, column) → the cell that covers it."""
        return {
            (row, column): cell
            for cell in self.cells
            for row in range(cell.row, cell.last_row + 1)
            for column in range(cell.column, cell.last_column + 1)
        }


def column_widths(
    cells: Sequence[tuple[GridCell, int, int]], num_columns: int, available: int, least: int, gap: int
) -> list[int] | None:
    """The width of each column's content, all in one unit; None where ``num_columns`` × ``least`` is too much.

    ``cells`` come with their narrowest and widest content, ``gap`` is what lies between two columns' contents and
    ``available`` what all columns and the gaps between them may take. As CSS 2.1 section 17.5.2.2 does it: each column
    its widest where there is room, else its narrowest and a share of the rest; where not even that fits, the widest
    columns give way and their words are cut.
    """
    narrow, wide = [least] * num_columns, [least] * num_columns
    for cell, low, high in sorted(cells, key=lambda cell: cell[0].last_column - cell[0].column):
        covered = range(cell.column, cell.last_column + 1)
        for widths, wanted in ((narrow, low), (wide, high)):
            missing = wanted - sum(widths[column] for column in covered) - gap * (len(covered) - 1)
            for number, column in enumerate(covered):
                if missing > 0:
                    widths[column] += missing // len(covered) + (number < missing % len(covered))
    available -= gap * (num_columns - 1)
    if sum(wide) <= available:
        return wide
    if sum(narrow) <= available:
        spare, wish = available - sum(narrow), sum(wide) - sum(narrow)
        return [low + (high - low) * spare // wish for low, high in zip(narrow, wide, strict=True)]
    if num_columns * least > available:
        return None
    spare, wish = available - num_columns * least, sum(narrow) - num_columns * least
    return [least + (low - least) * spare // wish for low in narrow]
