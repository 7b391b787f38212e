"""Tables from the ruling lines around their cells.

MuPDF's ``find_tables`` takes 0.1–0.7 s a page, most of it for characters that are at hand here; the grid itself is a
small thing: ruling lines that meet make one table, their coordinates cut it into a grid, and neighbours without a
ruling line between them are one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glyph_core.documents.blocks import Box, Cell, SourcePlace, TableBlock, TextBlock
from glyph_core.documents.pdf.lines import Line, holds, union
from glyph_core.documents.pdf.rows import text_of

_THIN_PT = 3.0
_SNAP_PT = 3.0  # ruling lines nearer than this are one
_OPEN_PT = 8.0  # rules that run so far over the last one across them: the table is open there
_COVERED = 0.6  # a side of a cell is ruled where lines lie along this share of it
_MIN_UNRULED_ROWS, _MIN_SHARED = (
    3,
    0.6,
)  # rows of text in one of the grid: so many, and so many with text in two columns
_MAX_RULES, _MAX_CELLS = 4000, 20_000  # more is a drawing


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line from ``start`` to ``stop`` at ``at``: x along y for vertical ones."""

    at: float
    start: float
    stop: float


@dataclass(frozen=True, slots=True)
class PdfTable:
    """A table and the lines of text that stand in it."""

    block: TableBlock | TextBlock  # text: code that is framed line by line
    box: Box
    lines: tuple[Line, ...]


def tables_of(vectors: Sequence[Box], lines: Sequence[Line], page: int) -> list[PdfTable]:
    """The ruled tables of a page that hold text in two rows or columns at least."""
    across, down = _rules_of(vectors)
    if len(across) + len(down) > _MAX_RULES or len(across) < 2 or not down:
        return []
    made = (_table(*group, lines, page) for group in _groups(across, down))
    return [table for table in made if table is not None]


def _rules_of(vectors: Sequence[Box]) -> tuple[list[Rule], list[Rule]]:
    """Horizontal and vertical rules: thin boxes, and the sides of others."""
    across, down = [], []
    for left, top, right, bottom in vectors:
        wide, high = right - left > _THIN_PT, bottom - top > _THIN_PT
        if wide and not high:
            across.append(Rule((top + bottom) / 2, left, right))
        elif high and not wide:
            down.append(Rule((left + right) / 2, top, bottom))
        elif wide and high:
            across += [Rule(top, left, right), Rule(bottom, left, right)]
            down += [Rule(left, top, bottom), Rule(right, top, bottom)]
    return across, down


def _groups(across: list[Rule], down: list[Rule]) -> list[tuple[list[Rule], list[Rule]]]:
    """Rules that meet one another, directly or through others."""
    parents = list(range(len(across) + len(down)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    for i, flat in enumerate(across):
        for j, upright in enumerate(down, len(across)):
            if (
                flat.start - _SNAP_PT <= upright.at <= flat.stop + _SNAP_PT
                and upright.start - _SNAP_PT <= flat.at <= upright.stop + _SNAP_PT
            ):
                parents[root(i)] = root(j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for i, rule in enumerate([*across, *down]):
        groups.setdefault(root(i), ([], []))[i >= len(across)].append(rule)
    return [
        (_closed(flat, upright), _closed(upright, flat))
        for flat, upright in groups.values()
        if len(flat) > 1 and upright
    ]


def _closed(rules: list[Rule], crossing: list[Rule]) -> list[Rule]:
    """``rules``, and one along each side that is open: where most of those that cross them run on over the last."""
    start, stop = (float(np.median([getattr(rule, end) for rule in crossing])) for end in ("start", "stop"))
    first, last = min(rule.at for rule in rules), max(rule.at for rule in rules)
    begin, end = min(rule.at for rule in crossing), max(rule.at for rule in crossing)
    sides = [at for at, is_open in ((start, start < first - _OPEN_PT), (stop, stop > last + _OPEN_PT)) if is_open]
    return [*rules, *(Rule(at, begin, end) for at in sides)]


def _table(across: list[Rule], down: list[Rule], lines: Sequence[Line], page: int) -> PdfTable | None:
    ys, xs = _snapped([rule.at for rule in across]), _snapped([rule.at for rule in down])
    num_rows, num_columns = len(ys) - 1, len(xs) - 1
    if num_rows < 1 or num_columns < 1 or num_rows * num_columns < 2 or num_rows * num_columns > _MAX_CELLS:
        return None
    box = (xs[0], ys[0], xs[-1], ys[-1])
    inside = [line for line in lines if line.is_straight and holds(box, line.box)]
    cells = _cells(xs, ys, across, down)
    held: dict[tuple[int, int], list[Line]] = {key: [] for key in cells}
    for line in inside:
        for (row, column), (row_span, column_span) in cells.items():
            if holds((xs[column], ys[row], xs[column + column_span], ys[row + row_span]), line.box):
                held[row, column].append(line)
                break
        else:
            return None  # text between the cells would be lost: this is no table
    if not inside or any(_overflows(line, xs) for line in inside):
        return None
    place = SourcePlace(page, box)
    if num_columns == 1:
        return _boxed_code(inside, place) if all(line.is_mono for line in inside) else None
    rows = tuple(row for index in range(num_rows) for row in _rows(index, xs, cells, held))
    if sum(any(cell.text for cell in row) for row in rows) < 2 and sum(bool(found) for found in held.values()) < 3:
        return None
    return PdfTable(TableBlock(rows, _num_header_rows(held, num_rows), place), box, tuple(inside))


def _boxed_code(lines: list[Line], place: SourcePlace) -> PdfTable:
    """Lines of code, each or all with a frame around them."""
    left, written = min(line.box[0] for line in lines), []
    for found in _printed_rows([(0, line) for line in lines]):
        row = sorted((line for _, line in found), key=lambda line: line.box[0])
        indent = round((row[0].box[0] - left) / (0.6 * row[0].size))  # in the width that most such fonts have
        written.append(" " * indent + " ".join(line.text.rstrip() for line in row))
    box = place.box or union([line.box for line in lines])
    return PdfTable(TextBlock("\n".join(written), "code", place=place), box, tuple(lines))


def _rows(
    row: int,
    xs: list[float],
    cells: dict[tuple[int, int], tuple[int, int]],
    held: dict[tuple[int, int], list[Line]],
) -> list[tuple[Cell, ...]]:
    """The row ``row`` of the grid; as several where its lines of text are rows that no rule divides."""
    num_columns = len(xs) - 1
    columns = [column for column in range(num_columns) if (row, column) in cells]
    right = {column: xs[column + cells[row, column][1]] for column in columns}
    is_whole_width = sum(cells[row, column][1] for column in columns) == num_columns
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


def _snapped(values: list[float]) -> list[float]:
    """``values`` ascending, those nearer than the snap distance as one."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= _SNAP_PT:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [sum(group) / len(group) for group in groups]


def _cells(
    xs: list[float], ys: list[float], across: list[Rule], down: list[Rule]
) -> dict[tuple[int, int], tuple[int, int]]:
    """(row, column) of each cell's first grid place → (row_span, column_span)."""
    num_rows, num_columns = len(ys) - 1, len(xs) - 1
    below = [[_is_ruled(across, ys[r + 1], xs[c], xs[c + 1]) for c in range(num_columns)] for r in range(num_rows)]
    right = [[_is_ruled(down, xs[c + 1], ys[r], ys[r + 1]) for c in range(num_columns)] for r in range(num_rows)]
    cells: dict[tuple[int, int], tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for r in range(num_rows):
        for c in range(num_columns):
            if (r, c) in taken:
                continue
            stop_c = c + 1
            while stop_c < num_columns and not right[r][stop_c - 1] and (r, stop_c) not in taken:
                stop_c += 1
            stop_r = r + 1
            while (
                stop_r < num_rows
                and not any(below[stop_r - 1][c:stop_c])
                and not any(right[stop_r][c : stop_c - 1])
                and not any((stop_r, k) in taken for k in range(c, stop_c))
            ):
                stop_r += 1
            taken.update((i, k) for i in range(r, stop_r) for k in range(c, stop_c))
            cells[r, c] = stop_r - r, stop_c - c
    return cells


def _is_ruled(rules: list[Rule], at: float, start: float, stop: float) -> bool:
    """Whether rules at ``at`` cover most of [start, stop]."""
    parts = sorted(
        (max(rule.start, start), min(rule.stop, stop))
        for rule in rules
        if abs(rule.at - at) <= _SNAP_PT and rule.stop > start and rule.start < stop
    )
    covered, reached = 0.0, start
    for part_start, part_stop in parts:
        covered += max(0.0, part_stop - max(part_start, reached))
        reached = max(reached, part_stop)
    return covered >= _COVERED * (stop - start)


def _num_header_rows(held: dict[tuple[int, int], list[Line]], num_rows: int) -> int:
    """1 where the first row is bold and the second is not."""

    def is_bold(row: int) -> bool:
        found = [line for (r, _), lines in held.items() if r == row for line in lines]
        return bool(found) and all(line.is_bold for line in found)

    return int(num_rows > 1 and is_bold(0) and not is_bold(1))
