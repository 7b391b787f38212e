"""Tables from the ruling lines around their cells.

MuPDF's ``find_tables`` takes 0.1–0.7 s a page, most of it for characters that are at hand here; the grid itself is a
small thing: ruling lines that meet make one table, their coordinates cut it into a grid, and neighbours without a
ruling line between them are one cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glyph_core.documents.blocks import Box, Cell, SourcePlace, TableBlock
from glyph_core.documents.pdf.lines import Line, holds
from glyph_core.documents.pdf.rows import text_of

_THIN_PT = 3.0
_SNAP_PT = 3.0  # ruling lines nearer than this are one
_COVERED = 0.6  # a side of a cell is ruled where lines lie along this share of it
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

    block: TableBlock
    box: Box
    lines: tuple[Line, ...]


def tables_of(vectors: Sequence[Box], lines: Sequence[Line], page: int) -> list[PdfTable]:
    """The ruled tables of a page that hold text in two rows or columns at least."""
    across, down = _rules_of(vectors)
    if len(across) + len(down) > _MAX_RULES or len(across) < 2 or len(down) < 2:
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
    return [group for group in groups.values() if len(group[0]) >= 2 and len(group[1]) >= 2]


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
    if len({row for (row, _), found in held.items() if found}) < 2 and len([1 for found in held.values() if found]) < 3:
        return None
    rows = tuple(
        tuple(
            Cell(text_of(held[row, column]), *cells[row, column])
            for column in range(num_columns)
            if (row, column) in cells
        )
        for row in range(num_rows)
    )
    if any(_overflows(line, xs) for line in inside):
        return None
    return PdfTable(TableBlock(rows, _num_header_rows(held, num_rows), SourcePlace(page, box)), box, tuple(inside))


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
