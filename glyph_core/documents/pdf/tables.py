"""Tables from the ruling lines around their cells.

MuPDF's ``find_tables`` takes 0.1–0.7 s a page, most of it for characters that are at hand here; the grid itself is a
small thing: ruling lines that meet make one table, their coordinates cut it into a grid, and neighbours without a
ruling line between them are one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glyph_core.documents.blocks import Box, Cell, SourcePlace, TableBlock, TextBlock
from glyph_core.documents.pdf.lines import Line, holds, middle, union
from glyph_core.documents.pdf.rows import text_of
from glyph_core.documents.pdf.ruling import Place, RuledGrid, grids_of

_MIN_UNRULED_ROWS, _MIN_SHARED = 3, 0.6  # rows of text in one of the grid, and their share with text in two columns


@dataclass(frozen=True, slots=True)
class PdfTable:
    """A table and the lines of text that stand in it."""

    block: TableBlock | TextBlock  # text: code that is framed line by line
    box: Box
    lines: tuple[Line, ...]


def tables_of(vectors: Sequence[Box], lines: Sequence[Line], page: int) -> list[PdfTable]:
    """The ruled tables of a page that hold text in two rows or columns at least."""
    made = (_table(grid, lines, page) for grid in grids_of(vectors))
    return [table for table in made if table is not None]


def _table(grid: RuledGrid, lines: Sequence[Line], page: int) -> PdfTable | None:
    inside = [line for line in lines if line.is_straight and holds(grid.box, line.box)]
    held: dict[Place, list[Line]] = {cell: [] for cell in grid.cells}
    for line in inside:
        held[grid.cell_at(*middle(line.box))].append(line)
    if not inside or any(_overflows(line, grid.xs) for line in inside):
        return None
    place = SourcePlace(page, grid.box)
    if grid.num_columns == 1:
        return _boxed_code(inside, place) if all(line.is_mono for line in inside) else None
    rows = tuple(row for index in range(grid.num_rows) for row in _rows(index, grid, held))
    if sum(any(cell.text for cell in row) for row in rows) < 2 and sum(bool(found) for found in held.values()) < 3:
        return None
    table = TableBlock(rows, _num_header_rows(held, grid.num_rows), place)
    return PdfTable(table, grid.box, tuple(inside))


def _boxed_code(lines: list[Line], place: SourcePlace) -> PdfTable:
    """Lines of code, each or all with a frame around them."""
    left, written = min(line.box[0] for line in lines), []
    for found in _printed_rows([(0, line) for line in lines]):
        row = sorted((line for _, line in found), key=lambda line: line.box[0])
        indent = round((row[0].box[0] - left) / (0.6 * row[0].size))  # in the width that most such fonts have
        written.append(" " * indent + " ".join(line.text.rstrip() for line in row))
    box = place.box or union([line.box for line in lines])
    return PdfTable(TextBlock("\n".join(written), "code", place=place), box, tuple(lines))


def _rows(row: int, grid: RuledGrid, held: dict[Place, list[Line]]) -> list[tuple[Cell, ...]]:
    """The row ``row`` of the grid; as several where its lines of text are rows that no rule divides."""
    cells = grid.cells
    columns = [column for column in range(grid.num_columns) if (row, column) in cells]
    right = {column: grid.xs[column + cells[row, column][1]] for column in columns}
    is_whole_width = sum(cells[row, column][1] for column in columns) == grid.num_columns
    if is_whole_width and all(cells[row, column][0] == 1 for column in columns):
        lines = [(column, line) for column in columns for line in held[row, column]]
        printed = _printed_rows(lines)
        num_shared = sum(len({column for column, _ in found}) > 1 for found in printed)
        if len(printed) >= _MIN_UNRULED_ROWS and num_shared >= _MIN_SHARED * len(printed):
            return [
                tuple(
                    Cell(
                        text_of([line for other, line in found if other == column], right[column]),
                        1,
                        cells[row, column][1],
                    )
                    for column in columns
                )
                for found in printed
            ]
    return [tuple(Cell(text_of(held[row, column], right[column]), *cells[row, column]) for column in columns)]


def _printed_rows(lines: list[tuple[int, Line]]) -> list[list[tuple[int, Line]]]:
    """``lines``, each with its column, as those that stand on one height."""
    rows: list[list[tuple[int, Line]]] = []
    for column, line in sorted(lines, key=lambda found: found[1].box[1] + found[1].box[3]):
        last = rows[-1][-1][1] if rows else None
        if last is not None and min(line.box[3], last.box[3]) - max(line.box[1], last.box[1]) > 0.5 * line.height:
            rows[-1].append((column, line))
        else:
            rows.append([(column, line)])
    return rows


def _overflows(line: Line, xs: list[float]) -> bool:
    """Whether a line of text runs on out of the table's side: then the rules are decoration."""
    return line.box[0] < xs[0] - 2 * line.size or line.box[2] > xs[-1] + 2 * line.size


def _num_header_rows(held: dict[Place, list[Line]], num_rows: int) -> int:
    """1 where the first row is bold and the second is not."""

    def is_bold(row: int) -> bool:
        found = [line for (r, _), lines in held.items() if r == row for line in lines]
        return bool(found) and all(line.is_bold for line in found)

    return int(num_rows > 1 and is_bold(0) and not is_bold(1))
