"""Lines → placed glyphs → pixels.

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

from glyph_core.rendering.atlas import (
    ADVANCE,
    CLASS,
    FIRST_CELL,
    INK_START,
    LANES,
    LEFT,
    NUM_COLUMNS,
    NUM_ROWS,
    PHASES,
    TOP,
    WIDTH,
)
from glyph_core.rendering.characters import BreakClass
from glyph_core.rendering.jit import kernel

# Columns of ``placed`` (num_glyphs, 6) int32. X, Y: the cell's left top corner in px, PEN: 1/64 px from the page's left
CELL, X, Y, PEN, INDEX, LINE = range(6)
NUM_FIELDS = 6
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
    text_glyphs: np.ndarray,
    bounds: np.ndarray,
    glyphs: np.ndarray,
    cells: np.ndarray,
    margin_px: int,
    line_height_px: int,
    tab_width: int,
    page_width_px: int,
    page_height_px: int,
    placed: np.ndarray,
) -> int:
    """Places the lines ``bounds`` (n, 2) one under the other; returns how many rows of ``placed`` were filled.

    A cell that would reach over the page's edge (margins narrower than an overhang) is moved inside.
    """
    count = 0
    for line in range(len(bounds)):
        line_top = margin_px + line * line_height_px
        x = 0  # 1/64 px from the margin
        middle = 0  # of the last character, where combining marks go
        for index in range(bounds[line, 0], bounds[line, 1]):
            glyph = glyphs[text_glyphs[index]]
            kind, advance = glyph[CLASS], glyph[ADVANCE]
            if kind == _TAB:
                x += tab_width - x % tab_width
                continue
            if glyph[FIRST_CELL] >= 0:
                pen = margin_px * 64 + (middle if kind == _MARK else x)
                if glyph[PHASES] == 1:
                    cell, pixel = glyph[FIRST_CELL], (pen + 32) >> 6
                else:
                    cell, pixel = glyph[FIRST_CELL] + (((pen + 8) >> 4) & 3), (pen + 8) >> 6
                left, top = pixel + cells[cell, LEFT], line_top + cells[cell, TOP]
                row = placed[count]
                row[CELL], row[PEN], row[INDEX], row[LINE] = cell, pen, index, line
                row[X] = max(0, min(left, page_width_px - cells[cell, WIDTH]))
                row[Y] = max(0, min(top, page_height_px - cells[cell, NUM_ROWS]))
                count += 1
            if kind != _MARK:
                middle = x + advance // 2
            x += advance
    return count


@kernel
def draw(placed: np.ndarray, cells: np.ndarray, ink: np.ndarray, page: np.ndarray) -> None:
    """Subtracts every placed cell from ``page`` (height, width) uint8, C-contiguous."""
    height, width = page.shape
    page_at, ink_at = page.ctypes.data, ink.ctypes.data
    for i in range(len(placed)):
        cell = cells[placed[i, CELL]]
        num_columns, num_rows, start = cell[NUM_COLUMNS], cell[NUM_ROWS], cell[INK_START]
        offset = placed[i, Y] * width + placed[i, X]
        # The last lanes may lie beyond the glyph's ink and the row's end: they subtract 0, but must stay in the page
        if offset + (num_rows - 1) * width + num_columns * LANES <= height * width:
            for column in range(num_columns):
                target, source = page_at + offset + column * LANES, ink_at + start + column * num_rows * LANES
                for row in range(num_rows):
                    subtract_16(target + row * width, source + row * LANES)
        else:
            for column in range(num_columns):
                for row in range(num_rows):
                    for lane in range(LANES):
                        x, y = placed[i, X] + column * LANES + lane, placed[i, Y] + row
                        amount = ink[start + (column * num_rows + row) * LANES + lane]
                        if amount and x < width and y < height:
                            page[y, x] -= min(page[y, x], amount)
