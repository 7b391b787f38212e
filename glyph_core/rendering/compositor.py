"""Segments → placed glyphs → pixels.

:func:`place` writes down where every glyph of a page goes, and :func:`draw` copies exactly that: what is read back
from the placement is what is on the page. Drawing is a saturating subtraction of coverage from white paper, 16 bytes
at a time, so that overlapping glyphs darken each other and never wrap round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from glyph_core.rendering.characters import BreakClass
from glyph_core.rendering.jit import kernel
from glyph_core.rendering.strips import LANES

SEGMENT = np.dtype(  # glyphs that stand side by side: a line, or a table cell's part of one
    [
        ("start", np.int32),  # [start, stop) in the stream
        ("stop", np.int32),
        ("x", np.int32),  # 1/64 px from the page's left edge to the first pen; tab stops count from here
        ("top", np.int32),  # px from the page's top to the line's
    ],
    align=True,
)
PLACED = np.dtype(
    [
        ("cell", np.int32),
        ("index", np.int32),  # in the stream
        ("pen", np.int32),  # 1/64 px from the page's left edge
        ("x", np.int16),  # px: where the cell's left top corner goes
        ("y", np.int16),
        ("line", np.int16),  # the segment, of the page's
    ],
    align=True,
)
_MARK, _TAB = int(BreakClass.MARK), int(BreakClass.TAB)


def _subtract_16(typing_context: Any, target: Any, amount: Any) -> Any:
    """LLVM's ``usub.sat`` on 16 bytes at the address ``target``, in place: a third of a plain loop's time."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = ir.VectorType(ir.IntType(8), LANES)
        target_at, amount_at = (builder.inttoptr(address, lanes.as_pointer()) for address in arguments)
        operands = [builder.load(pointer, align=1) for pointer in (target_at, amount_at)]
        subtract = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(lanes, [lanes, lanes]), f"llvm.usub.sat.v{LANES}i8"
        )
        builder.store(builder.call(subtract, operands), target_at, align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


subtract_16: Callable[[int, int], None] = intrinsic(_subtract_16)


@kernel
def place(
    stream: np.ndarray,
    segments: np.ndarray,
    glyphs: np.ndarray,
    cells: np.ndarray,
    page_width_px: int,
    page_height_px: int,
    placed: np.ndarray,
) -> int:
    """Places a page's ``segments`` of ``stream`` (n,) int32, indices into ``glyphs``; returns how many are placed.

    A cell that would reach over the page's edge (margins narrower than an overhang) is moved inside.
    """
    count = 0
    for line in range(len(segments)):
        left, top = segments[line].x, segments[line].top
        x = 0  # 1/64 px from the segment's left
        middle = 0  # of the character before, where combining marks go
        for index in range(segments[line].start, segments[line].stop):
            glyph = glyphs[stream[index]]
            if glyph.break_class == _TAB:
                x += glyph.advance - x % glyph.advance
                continue
            cell = glyph.first_cell
            if cell >= 0:
                pen = left + (middle if glyph.break_class == _MARK else x)
                if glyph.num_phases == 1:
                    pixel = (pen + 32) >> 6
                else:
                    cell, pixel = cell + (((pen + 8) >> 4) & 3), (pen + 8) >> 6
                placed[count].cell = cell
                placed[count].index = index
                placed[count].pen = pen
                placed[count].x = max(0, min(pixel + cells[cell].left, page_width_px - cells[cell].width))
                placed[count].y = max(0, min(top + cells[cell].top, page_height_px - cells[cell].num_rows))
                placed[count].line = line
                count += 1
            if glyph.break_class != _MARK:
                middle = x + glyph.advance // 2
            x += glyph.advance
    return count


@kernel
def draw(placed: np.ndarray, cells: np.ndarray, ink: np.ndarray, page: np.ndarray) -> None:
    """Subtracts every placed cell from ``page`` (height, width) uint8, C-contiguous."""
    for i in range(len(placed)):
        draw_cell(cells[placed[i].cell], ink, placed[i].x, placed[i].y, page)


@kernel
def draw_cell(cell: Any, ink: np.ndarray, x: int, y: int, page: np.ndarray) -> None:
    height, width = page.shape
    num_rows, num_columns = cell.num_rows, cell.num_columns
    start = y * width + x
    # The last lanes may lie beyond the glyph's ink and the row's end: they subtract 0, but must stay in the page
    if start + (num_rows - 1) * width + num_columns * LANES <= height * width:
        for column in range(num_columns):
            source = ink.ctypes.data + cell.ink_start + column * num_rows * LANES
            target = page.ctypes.data + start + column * LANES
            for row in range(num_rows):
                subtract_16(target + row * width, source + row * LANES)
    else:
        _draw_at_edge(ink[cell.ink_start :], num_rows, num_columns, x, y, page)


@kernel
def _draw_at_edge(ink: np.ndarray, num_rows: int, num_columns: int, x: int, y: int, page: np.ndarray) -> None:
    """One cell pixel by pixel, what lies outside the page left out: only a cell larger than the page has such."""
    height, width = page.shape
    for column in range(num_columns):
        for row in range(min(num_rows, height - y)):
            for lane in range(LANES):
                at = x + column * LANES + lane
                if at < width:
                    page[y + row, at] -= min(page[y + row, at], ink[(column * num_rows + row) * LANES + lane])
