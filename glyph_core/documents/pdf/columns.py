"""Columns of a page, and the reading order that they give."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np

from glyph_core.documents.blocks import Box
from glyph_core.documents.pdf.lines import Line

_CROSSED = 0.3  # a gutter may be crossed by lines of this share of the text's height: titles, captions
_MIN_GUTTER_EM = 0.7
_MIN_LINES, _MIN_FILLED = 8, 0.5  # of a column of prose: lines, and their mean width in column widths
_MIN_WIDTH = 0.12  # of a column, in text widths
_EDGE = 0.12  # no gutter so near to the text's edge, in text widths
_OVERHANG_PT = 2.0


class Boxed(Protocol):
    @property
    def box(self) -> Box: ...


Thing = TypeVar("Thing", bound=Boxed)


def gutters_of(lines: Sequence[Line]) -> list[float]:
    """The middles x of the gaps between columns of prose, from left to right; none where the text is one column.

    Columns of figures are none: their lines don't fill them, and a table is read by rows.
    """
    if len(lines) < 2 * _MIN_LINES:
        return []
    left = int(min(line.box[0] for line in lines))
    width = int(max(line.box[2] for line in lines)) + 1 - left
    covered = np.zeros(width + 2)
    for line in lines:
        covered[int(line.box[0]) - left] += line.height
        covered[min(width, int(line.box[2]) - left) + 1] -= line.height
    covered = np.cumsum(covered)[:width]
    is_gap = covered <= _CROSSED * covered.max()
    is_gap[: int(_EDGE * width)] = is_gap[width - int(_EDGE * width) :] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([0], is_gap.astype(np.int8), [0]))))
    size = float(np.median([line.size for line in lines]))
    gutters = [
        left + (int(start) + int(stop)) / 2
        for start, stop in edges.reshape(-1, 2)
        if stop - start >= _MIN_GUTTER_EM * size
    ]
    bounds = [float(left), *gutters, float(left + width)]
    return gutters if all(_is_prose(lines, *sides, _MIN_WIDTH * width) for sides in pairwise(bounds)) else []


def _is_prose(lines: Sequence[Line], left: float, right: float, least: float) -> bool:
    inside = [line for line in lines if line.box[0] >= left - _OVERHANG_PT and line.box[2] <= right + _OVERHANG_PT]
    if len(inside) < _MIN_LINES:
        return False
    extent = max(line.box[2] for line in inside) - min(line.box[0] for line in inside)
    if extent < least:  # the markers of a list
        return False
    return float(np.mean([line.box[2] - line.box[0] for line in inside])) >= _MIN_FILLED * extent


def in_columns(things: Sequence[Thing], gutters: Sequence[float]) -> list[list[Thing]]:
    """``things`` in reading order, cut into stretches that stand one under the other in one column.

    What crosses a gutter divides the columns above it from those below it.
    """
    stretches: list[list[Thing]] = []
    columns: list[list[Thing]] = [[] for _ in range(len(gutters) + 1)]
    across: list[Thing] = []

    def flush() -> None:
        stretches.extend(column for column in columns if column)
        for index in range(len(columns)):
            columns[index] = []

    for thing in sorted(things, key=lambda thing: thing.box[1]):
        left, _, right, _ = thing.box
        if any(left < gutter - _OVERHANG_PT and right > gutter + _OVERHANG_PT for gutter in gutters):
            if any(columns):
                flush()
                across = []
            if not across:
                stretches.append(across)
            across.append(thing)
        else:
            across = []
            columns[sum((left + right) / 2 > gutter for gutter in gutters)].append(thing)
    flush()
    return stretches
