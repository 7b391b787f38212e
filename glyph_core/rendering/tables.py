"""Tables: cells between rules, or columns of text; where the columns are too many for the page, a record a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from glyph_core.documents.blocks import TableBlock
from glyph_core.rendering.filler import PageFiller
from glyph_core.rendering.fonts import UNITS
from glyph_core.rendering.glyph_stream import NOT_OF_THE_TEXT
from glyph_core.rendering.grid import Grid, GridCell, column_widths
from glyph_core.rendering.ruled import RULE_PX, RuledTable, padding_px
from glyph_core.rendering.styles import Style
from glyph_core.rendering.typeset import Typesetter

_LEAST_COLUMN_EMS = 2  # a narrower column would cut nearly every word
_SEPARATOR = " | "


@dataclass(frozen=True)
class TableSetter:
    typesetter: Typesetter = field(repr=False)
    filler: PageFiller = field(repr=False)

    def add(self, table: TableBlock, offset: int) -> None:
        grid = Grid.of(table, offset)
        if not any(cell.text.strip() for cell in grid.cells):
            return
        is_set = self._add_ruled(grid) if self.typesetter.config.tables == "ruled" else self._add_columns(grid)
        if not is_set:
            self._add_records(grid)

    def _add_ruled(self, grid: Grid) -> bool:
        """Whether there is room for so many columns."""
        config = self.typesetter.config
        gap = (2 * padding_px(config) + RULE_PX) * UNITS
        readings = [self.typesetter.read(cell.text, cell.offset, Style.CODE) for cell in grid.cells]
        measured = [(cell, *reading.widths()) for cell, reading in zip(grid.cells, readings, strict=True)]
        least = round(_LEAST_COLUMN_EMS * config.font_size_px * UNITS)
        widths = column_widths(measured, grid.num_columns, self.filler.width - gap, least, gap)
        if widths is None:
            return False
        widths = [-(-width // UNITS) for width in widths]  # whole px, for the rules
        RuledTable(self.typesetter, self.filler, grid, readings, widths).add()
        return True

    def _add_columns(self, grid: Grid) -> bool:
        """Whether all columns fit a line, one beside the other; then they are set, and ``|`` stands between them.

        A row has as many lines as its longest cell: labels in one cell stay beside their values in the next.
        """
        readings = [self.typesetter.read(_without_tabs(cell.text), cell.offset) for cell in grid.cells]
        widest = [reading.widths()[1] for reading in readings]
        separator = self.typesetter.read(_SEPARATOR, None).set(self.filler.width)
        gap = self.typesetter.read(f"{_SEPARATOR}.", None).widths()[1] - self.typesetter.read(".", None).widths()[1]
        widths = column_widths(
            [(cell, wide, wide) for cell, wide in zip(grid.cells, widest, strict=True)],
            grid.num_columns, 1 << 30, 0, gap,
        )  # fmt: skip
        if widths is None or sum(widths) + gap * (grid.num_columns - 1) > self.filler.width:
            return False
        lefts = [sum(widths[:column]) + gap * column for column in range(grid.num_columns)]
        line = self.typesetter.config.line_height_px
        covered = grid.at()
        start, stop = separator.bounds[0].tolist()
        by_row = {
            row: list(cells) for row, cells in groupby(zip(grid.cells, readings, strict=True), lambda c: c[0].row)
        }
        for row in range(grid.num_rows):
            separators = [
                (start, stop, lefts[column] - gap, 0.0)
                for column in range(1, grid.num_columns)
                if covered.get((row, column)) is None or covered[row, column].column == column
            ]
            cells = [
                (lefts[cell.column], reading.set(1 << 30).bounds.tolist()) for cell, reading in by_row.get(row, [])
            ]
            num_lines = max((len(lines) for _, lines in cells), default=1) or 1
            if num_lines * line <= self.filler.page_room_px:  # whole, so that a label stays beside its value
                self.filler.need(num_lines * line)
            for number in range(num_lines):
                self.filler.need(line)
                pieces = [(*lines[number], left, 0.0) for left, lines in cells if number < len(lines)]
                self.filler.add_segments(sorted(separators + pieces, key=lambda piece: piece[2]))
                self.filler.reach(lefts[-1] + widths[-1])
                self.filler.advance(line)
        return True

    def _add_records(self, grid: Grid) -> None:
        """``header: value``, a line each, rows parted by a gap; rows without headers with ``|`` between their cells."""
        config = self.typesetter.config
        header_row = grid.num_header_rows - 1 if grid.num_rows > grid.num_header_rows else -1
        rows = grid.by_row()
        headers = {
            column: cell
            for cell in (rows[header_row] if header_row >= 0 else [])
            for column in range(cell.column, cell.last_column + 1)
        }
        named: set[GridCell] = set()  # headers that were shown as part of the text; from then on they are repeated
        for row, cells in enumerate(rows):
            if row == header_row:
                continue
            if row < header_row or header_row < 0:
                self._add_joined([cell for cell in cells if cell.row == row and cell.text.strip()])
                continue
            if not self.filler.is_at_top:
                self.filler.skip(config.block_gap * config.line_height_px if row else 0)
            for cell in cells:
                header = headers.get(cell.column)
                if cell.text.strip() or (header and header not in named):
                    self._add_field(header, cell, is_named=header in named, is_repeated=cell.row < row)
                    named |= {header} if header else set()

    def _add_joined(self, cells: list[GridCell]) -> None:
        """Cells of one line each beside one another, wrapped like a paragraph; others one under the other."""
        if any("\n" in cell.text.strip() for cell in cells):
            for cell in cells:
                self._add_field(None, cell, is_named=False, is_repeated=False)
        elif cells:
            beside = np.full(len(_SEPARATOR), NOT_OF_THE_TEXT, dtype=np.int32)
            offsets: list[np.ndarray] = []
            for cell in cells:
                offsets += [beside, np.arange(cell.offset, cell.offset + len(cell.text), dtype=np.int32)]
            text = _SEPARATOR.join(_in_one_line(cell.text) for cell in cells)
            reading = self.typesetter.read(text, np.concatenate(offsets[1:]))
            self.filler.add_lines(reading.set(self.filler.width))

    def _add_field(self, header: GridCell | None, cell: GridCell, *, is_named: bool, is_repeated: bool) -> None:
        label, offsets = "", np.zeros(0, dtype=np.int32)
        if header is not None and header.text.strip():
            label = _in_one_line(header.text) + ": "
            offsets = np.full(len(label), NOT_OF_THE_TEXT, dtype=np.int32)
            if not is_named:
                offsets[:-2] = np.arange(header.offset, header.offset + len(header.text))
        own = np.full(len(cell.text), NOT_OF_THE_TEXT, dtype=np.int32)
        if not is_repeated:
            own = np.arange(cell.offset, cell.offset + len(cell.text), dtype=np.int32)
        text = _in_one_line(cell.text) if label else _without_tabs(cell.text)
        reading = self.typesetter.read(label + text, np.concatenate([offsets, own]))
        self.filler.add_lines(reading.set(self.filler.width))


def _in_one_line(text: str) -> str:
    """``text`` with every white space character as a space: offsets stay."""
    return "".join(" " if character.isspace() else character for character in text)


def _without_tabs(text: str) -> str:
    """``text`` with every white space character but line ends as a space: offsets stay."""
    return "\n".join(map(_in_one_line, text.split("\n")))
