"""Tables of HTML while they are read."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from selectolax.lexbor import LexborNode

from glyph_core.documents.blocks import Cell, TableBlock
from glyph_core.documents.numerals import whole_number

_MAX_COLUMN_SPAN, _MAX_ROW_SPAN = 1000, 65_534  # the HTML standard's
MAX_GRID = 2_000_000  # places that a table's cells cover: more is no table, and would fill the memory


@dataclass(slots=True)
class TableInMaking:
    """Rows so far. ``pieces`` are the texts of the cell that is open."""

    rows: list[list[Cell]] = field(default_factory=list)
    are_headers: list[bool] = field(default_factory=list)  # of each row: it has header cells only
    in_head: bool = False
    pieces: list[str] | None = None
    _outer_marker: str | None = None  # of the item that the table stands in

    def begin_row(self) -> None:
        self.rows.append([])
        self.are_headers.append(True)

    def begin_cell(self, marker: str | None) -> None:
        self.pieces, self._outer_marker = [], marker

    def end_cell(self, node: LexborNode) -> str | None:
        """Add the cell ``node``; returns the marker that its beginning was told."""
        if not self.rows:
            self.begin_row()
        spans = node.attributes
        row_span = _span(spans.get("rowspan"), _MAX_ROW_SPAN)
        self.rows[-1].append(
            Cell("\n".join(self.pieces or ()), row_span, max(1, _span(spans.get("colspan"), _MAX_COLUMN_SPAN)))
        )
        self.are_headers[-1] &= self.in_head or node.tag == "th"
        self.pieces = None
        return self._outer_marker

    def block(self) -> TableBlock | None:
        """The table without rows and columns that hold nothing; None where it holds nothing at all."""
        num_headers = next((i for i, is_header in enumerate(self.are_headers) if not is_header), len(self.rows))
        rows = _within_bounds(_without_empty_columns(_clipped(self.rows)))
        if not any(cell.text for row in rows for cell in row):
            return None
        return TableBlock(tuple(tuple(row) for row in rows), num_headers if num_headers < len(rows) else 0)


def _span(value: str | None, largest: int) -> int:
    number = whole_number(value or "", largest)
    return 1 if number is None else number


def _clipped(rows: list[list[Cell]]) -> list[list[Cell]]:
    """Row spans that end with the table; 0 means up to its end."""
    return [
        [Cell(cell.text, min(cell.row_span or len(rows), len(rows) - index), cell.column_span) for cell in row]
        for index, row in enumerate(rows)
    ]


def _within_bounds(rows: list[list[Cell]]) -> list[list[Cell]]:
    """``rows``, or their cells without spans where these would cover more places than a table has, or repeat as many
    characters: what reaches down into a row may be shown in it once more."""
    covered = sum(cell.row_span * cell.column_span for row in rows for cell in row)
    repeated = sum(cell.row_span * len(cell.text) for row in rows for cell in row if cell.row_span > 1)
    if max(covered, repeated) <= MAX_GRID:
        return rows
    return [[Cell(cell.text) for cell in row] for row in rows]


def _without_empty_columns(rows: list[list[Cell]]) -> list[list[Cell]]:
    """``rows`` less the grid columns in which no cell with text begins: pages pad tables with them."""
    places: list[tuple[int, int, Cell]] = []  # row, first column
    reach: dict[int, int] = {}  # grid column → row up to which a cell above covers it
    num_places = 0
    for index, row in enumerate(rows):
        column = 0
        for cell in row:
            while reach.get(column, 0) > index:
                column += 1
            places.append((index, column, cell))
            num_places += cell.column_span
            if num_places > MAX_GRID:
                return rows
            for covered in range(column, column + cell.column_span):
                reach[covered] = max(reach.get(covered, 0), index + cell.row_span)
            column += cell.column_span
    used = sorted({column for _, column, cell in places if cell.text})
    made: list[list[Cell]] = [[] for _ in rows]
    for index, column, cell in places:
        span = bisect_left(used, column + cell.column_span) - bisect_left(used, column)
        if span:
            made[index].append(Cell(cell.text, cell.row_span, span))
    return made
