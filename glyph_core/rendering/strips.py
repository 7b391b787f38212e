"""The inner loop's machinery: glyphs of one line gathered in vector registers.

A strip is a window over a line of text, 32 px wide and as many rows high as the font needs, that holds ink. Glyphs are
added to it where they stand; when the pen has left its first 16 px these are subtracted from the page, and the window
moves on. So a page is read and written once for 16 px of a line, instead of once for each glyph.

A cell's picture is kept in rows of 16 px of ink and 16 empty ones. Reading 32 bytes from ``shift`` bytes before a row's
start gives the row moved to the right by ``shift``: the empty px of the row before come first.

``Strip`` is a numba type of its own, an array of LLVM vectors, so that compiled code keeps it in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from glyph_core.rendering.table import Table

LANES = 16  # px of a row of ink; what the window moves by
WINDOW = 2 * LANES
NUM_ROWS = (12, 16, 20, 24)  # a compiled loop for each that is used; more rows than these need more registers than are
NO_STRIP = np.iinfo(np.int16).max  # as a width: ends beyond any page, so that the cell goes the general way

REACH = np.dtype([("left", np.int16), ("width", np.int16)], align=True)  # px, as in CELL; width may be NO_STRIP


class Strips(NamedTuple):
    """The cells as strips take them, as they were at one moment."""

    rows: tuple[int, ...]  # zeros, as many as a strip has rows: their number is known to the compiler
    top: int  # px from a line's top to the strip's first row
    reach: np.ndarray  # (num_cells,) of REACH
    ink: np.ndarray  # (num_cells × len(rows) × WINDOW + WINDOW,) uint8


class StripTable:
    """The cells as strips take them; one is appended for each cell of the atlas."""

    def __init__(self, num_rows: int, top: int) -> None:
        """``num_rows`` of :data:`NUM_ROWS`, the first of them ``top`` px below a line's top."""
        self._rows, self._top = (0,) * num_rows, top
        self._reach, self._ink = Table(REACH, 2048), Table(np.dtype(np.uint8), 1 << 20)
        self._ink.append(np.zeros(LANES, dtype=np.uint8))

    def append(self, coverage: np.ndarray, left: int, top: int) -> None:
        """coverage (rows, columns) uint8, ``left`` and ``top`` as in the atlas's CELL."""
        num_rows, width = coverage.shape
        first_row = top - self._top
        fits = first_row >= 0 and first_row + num_rows <= len(self._rows) and width <= LANES
        window = np.zeros((len(self._rows), WINDOW), dtype=np.uint8)
        if fits:
            window[first_row : first_row + num_rows, :width] = coverage
        self._reach.append(np.array([(left, width if fits else NO_STRIP)], dtype=REACH))
        self._ink.append(window.reshape(-1))

    @property
    def view(self) -> Strips:
        return Strips(self._rows, self._top, self._reach.view, self._ink.view)


def strip_rows(num_rows: int) -> int | None:
    """The height of a strip for a font whose common glyphs take ``num_rows``; None: too large for one."""
    return next((rows for rows in NUM_ROWS if rows >= num_rows), None)


class StripType(types.Type):  # type: ignore[misc]  # numba has no types of its own
    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows
        super().__init__(name=f"Strip({num_rows})")


_BYTE, _INDEX, _ADDRESS = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_HALF, _WHOLE = (ir.VectorType(_BYTE, num_lanes) for num_lanes in (LANES, WINDOW))


@register_model(StripType)
class _StripModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, strip: StripType) -> None:
        super().__init__(manager, strip, ir.ArrayType(_WHOLE, strip.num_rows))


def _saturating(builder: Any, name: str, lanes: ir.VectorType) -> Any:
    function = ir.FunctionType(lanes, [lanes, lanes])
    return cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.sat.v{lanes.count}i8")


def _pointer(builder: Any, address: Any, lanes: ir.VectorType) -> Any:
    return builder.inttoptr(address, lanes.as_pointer())


def _part(builder: Any, row: Any, start: int, num_lanes: int) -> Any:
    """Lanes ``[start, start + num_lanes)`` of a row, zeros after its end."""
    lanes = ir.Constant(ir.VectorType(_INDEX, num_lanes), list(range(start, start + num_lanes)))
    return builder.shuffle_vector(row, ir.Constant(_WHOLE, None), lanes)


def _empty_strip(_: Any, rows: types.UniTuple) -> Any:
    """rows, a tuple of as many integers as the strip has rows → a strip without ink."""
    strip = StripType(rows.count)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.ArrayType(_WHOLE, strip.num_rows), None)

    return strip(rows), emit


def _add_ink(_: Any, strip: StripType, ink: types.Integer) -> Any:
    """strip, address of WINDOW bytes a row → the strip with that ink added, black at most."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        filled, address = arguments
        add = _saturating(builder, "uadd", _WHOLE)
        for row in range(strip.num_rows):
            at = builder.add(address, ir.Constant(_ADDRESS, row * WINDOW))
            ink_of_row = builder.load(_pointer(builder, at, _WHOLE), align=1)
            added = builder.call(add, [builder.extract_value(filled, row), ink_of_row])
            filled = builder.insert_value(filled, added, row)
        return filled

    return strip(strip, types.int64), emit


def _move_on(_: Any, strip: StripType, page: types.Integer, width: types.Integer) -> Any:
    """strip, address of its left top pixel, the page's width → the strip LANES px further to the right.

    What it leaves is subtracted from the page.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        filled, address, stride = arguments
        subtract = _saturating(builder, "usub", _HALF)
        for row in range(strip.num_rows):
            ink = builder.extract_value(filled, row)
            pixels = _pointer(builder, address, _HALF)
            darker = builder.call(subtract, [builder.load(pixels, align=1), _part(builder, ink, 0, LANES)])
            builder.store(darker, pixels, align=1)
            filled = builder.insert_value(filled, _part(builder, ink, LANES, WINDOW), row)
            address = builder.add(address, stride)
        return filled

    return strip(strip, types.int64, types.int64), emit


empty_strip: Callable[[tuple[int, ...]], Any] = intrinsic(_empty_strip)
add_ink: Callable[[Any, int], Any] = intrinsic(_add_ink)
move_on: Callable[[Any, int, int], Any] = intrinsic(_move_on)
