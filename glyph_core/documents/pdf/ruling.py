"""The grids that ruling lines make: lines that meet are of one grid, and places that no line divides are one cell."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from glyph_core.documents.blocks import Box

_THIN_PT = 3.0
_SNAP_PT = 3.0  # ruling lines nearer than this are one
_OPEN_PT = 8.0  # rules that run so far over the last one across them: the table is open there
_COVERED = 0.6  # a side of a cell is ruled where lines lie along this share of it
_MAX_RULES, _MAX_CELLS = 4000, 20_000  # more is a drawing
Place = tuple[int, int]  # row and column


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line from ``start`` to ``stop`` at ``at``: x along y for vertical ones."""

    at: float
    start: float
    stop: float


@dataclass(frozen=True)
class RuledGrid:
    """Rows between ``ys`` and columns between ``xs``, both ascending, in points."""

    xs: list[float]
    ys: list[float]
    cells: dict[Place, Place]  # the first place of each → (row_span, column_span)

    @property
    def num_rows(self) -> int:
        return len(self.ys) - 1

    @property
    def num_columns(self) -> int:
        return len(self.xs) - 1

    @property
    def box(self) -> Box:
        return self.xs[0], self.ys[0], self.xs[-1], self.ys[-1]

    def cell_at(self, x: float, y: float) -> Place:
        """The first place of the cell at a point of the grid."""
        return self._owners[max(0, bisect_left(self.ys, y) - 1), max(0, bisect_left(self.xs, x) - 1)]

    @cached_property
    def _owners(self) -> dict[Place, Place]:
        return {place: cell for cell, spans in self.cells.items() for place in _places(cell, spans)}


def grids_of(vectors: Sequence[Box]) -> list[RuledGrid]:
    """Those of two cells at least."""
    across, down = _rules_of(vectors)
    if len(across) + len(down) > _MAX_RULES or len(across) < 2 or not down:
        return []
    grids: list[RuledGrid] = []
    for flat, upright in _groups(across, down):
        ys, xs = _snapped([rule.at for rule in flat]), _snapped([rule.at for rule in upright])
        if len(ys) > 1 and len(xs) > 1 and 2 <= (len(ys) - 1) * (len(xs) - 1) <= _MAX_CELLS:
            grids.append(RuledGrid(xs, ys, _cells(xs, ys, flat, upright)))
    return grids


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


def _snapped(values: list[float]) -> list[float]:
    """``values`` ascending, those nearer than the snap distance as one."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= _SNAP_PT:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [sum(group) / len(group) for group in groups]


def _cells(xs: list[float], ys: list[float], across: list[Rule], down: list[Rule]) -> dict[Place, Place]:
    """As :attr:`RuledGrid.cells` has them."""
    num_rows, num_columns = len(ys) - 1, len(xs) - 1
    below = [_ruled_sides(across, ys[r + 1], xs) for r in range(num_rows)]
    right = list(zip(*(_ruled_sides(down, xs[c + 1], ys) for c in range(num_columns)), strict=True))
    cells: dict[Place, Place] = {}
    taken: set[Place] = set()
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
            cells[r, c] = stop_r - r, stop_c - c
            taken.update(_places((r, c), cells[r, c]))
    return cells


def _ruled_sides(rules: list[Rule], at: float, stops: list[float]) -> list[bool]:
    """Of each two neighbours of ``stops``, whether rules at ``at`` cover most of what lies between them."""
    near = [rule for rule in rules if abs(rule.at - at) <= _SNAP_PT]
    return [_is_ruled(near, *sides) for sides in pairwise(stops)]


def _is_ruled(rules: list[Rule], start: float, stop: float) -> bool:
    """Whether ``rules``, all at one height, cover most of [start, stop]."""
    parts = sorted(
        (max(rule.start, start), min(rule.stop, stop)) for rule in rules if rule.stop > start and rule.start < stop
    )
    covered, reached = 0.0, start
    for part_start, part_stop in parts:
        covered += max(0.0, part_stop - max(part_start, reached))
        reached = max(reached, part_stop)
    return covered >= _COVERED * (stop - start)


def _places(cell: Place, spans: Place) -> Iterator[Place]:
    """What a cell covers of the grid."""
    return ((cell[0] + r, cell[1] + c) for r in range(spans[0]) for c in range(spans[1]))
