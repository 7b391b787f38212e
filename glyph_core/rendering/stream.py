"""Glyphs of a stream straight to pixels: what :mod:`~glyph_core.rendering.compositor` draws, several times faster.

:func:`draw_stream` goes by the rules of :func:`~glyph_core.rendering.compositor.place` and writes nothing down. Most
glyphs go into strips; those that are too large for one, or stand at the page's edge or behind the strip, are drawn one
by one. All of it subtracts and stops at black, in whatever order: the pixels are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glyph_core.rendering.atlas import AtlasTables
from glyph_core.rendering.characters import BreakClass
from glyph_core.rendering.compositor import PLACED, draw, draw_cell, place
from glyph_core.rendering.fonts import NUM_PHASES
from glyph_core.rendering.jit import kernel
from glyph_core.rendering.strips import LANES, WINDOW, add_ink, empty_strip, move_on

_MARK, _TAB = int(BreakClass.MARK), int(BreakClass.TAB)
_LAST_PHASE = NUM_PHASES - 1
_WHITE = 255


def draw_stream(stream: np.ndarray, segments: np.ndarray, tables: AtlasTables, page: np.ndarray) -> None:
    """Draws a page's ``segments`` of ``stream`` over whatever ``page`` held, on white.

    ``page`` is (height, width) uint8, C-contiguous, at least 28 px wide.
    """
    glyphs, cells, ink, strips = tables
    page.fill(_WHITE)
    if strips is None:
        height, width = page.shape
        placed = np.empty((segments["stop"] - segments["start"]).sum(), dtype=PLACED)
        count = place(stream, segments, glyphs, cells, width, height, placed)
        draw(placed[:count], cells, ink, page)
    else:
        _draw_stream(
            stream, segments, glyphs, cells, ink, strips.reach, strips.ink, strips.top, strips.rows, page,
        )  # fmt: skip


@kernel
def _draw_stream(
    stream: np.ndarray,
    segments: np.ndarray,
    glyphs: np.ndarray,
    cells: np.ndarray,
    ink: np.ndarray,
    reach: np.ndarray,
    strip_ink: np.ndarray,
    strip_top: int,
    rows: tuple[int, ...],
    page: np.ndarray,
) -> None:
    height, width = page.shape
    num_rows = len(rows)
    longest = 0
    for line in range(len(segments)):
        longest = max(longest, segments[line].stop - segments[line].start)
    lefts, pictures = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    for line in range(len(segments)):
        start, stop, left, top = segments[line].start, segments[line].stop, segments[line].x, segments[line].top
        first_row = top + strip_top
        # Lanes may reach over the right edge into the next row, where they subtract 0: there must be one
        has_room = first_row >= 0 and first_row + num_rows < height
        count, right = _gather(
            stream, start, stop, left, top, glyphs, cells, ink, reach, width if has_room else -1, page, lefts, pictures
        )
        if count:
            strip_at = page.ctypes.data + first_row * width
            strip = empty_strip(rows)
            at = lefts[0] & -LANES  # of the strip's left edge, px
            for i in range(count):
                shift = lefts[i] - at
                if shift < 0:  # behind the strip, which doesn't go back
                    _draw_alone(cells[pictures[i]], ink, lefts[i], top, page)
                    continue
                while shift >= LANES:
                    strip = move_on(strip, strip_at + at, width)
                    at += LANES
                    shift -= LANES
                strip = add_ink(strip, strip_ink.ctypes.data + LANES + pictures[i] * num_rows * WINDOW - shift)
            while at < right:
                strip = move_on(strip, strip_at + at, width)
                at += LANES


@kernel
def _gather(
    stream: np.ndarray,
    start: int,
    stop: int,
    left: int,
    top: int,
    glyphs: np.ndarray,
    cells: np.ndarray,
    ink: np.ndarray,
    reach: np.ndarray,
    page_width_px: int,
    page: np.ndarray,
    lefts: np.ndarray,
    pictures: np.ndarray,
) -> tuple[int, int]:
    """Fills ``lefts`` (px) and ``pictures`` (cells) with what goes into strips, and draws what doesn't.

    Returns how many there are, and where the last one ends. With ``page_width_px`` -1 none goes into a strip. Short
    of branches: each character that is a space would be guessed wrong.
    """
    count = right = 0
    x = middle = left  # middle: of the character before, where combining marks go
    for index in range(np.uint32(start), np.uint32(stop)):
        glyph: Any = glyphs[np.uint32(stream[index])]
        if glyph.break_class == _TAB:
            x += glyph.advance - (x - left) % glyph.advance
            continue
        pen = x
        if glyph.break_class == _MARK:
            pen = middle
        else:
            middle = x + (glyph.advance >> 1)
        x += glyph.advance
        last_phase = int(glyph.num_phases // NUM_PHASES) * _LAST_PHASE  # 0 for a glyph at whole px
        pen += 32 - 8 * last_phase  # rounds to whole px, or to 1/4 px
        cell = np.uint32(max(glyph.first_cell, 0) + ((pen >> 4) & last_phase))
        at = (pen >> 6) + int(reach[cell].left)
        end = at + int(reach[cell].width)
        has_ink = glyph.first_cell >= 0
        if (at | (page_width_px - end)) < 0:
            if has_ink:
                _draw_alone(cells[cell], ink, at, top, page)
            continue
        lefts[np.uint64(count)], pictures[np.uint64(count)] = at, cell
        count += has_ink
        right = max(right, end)
    return count, right


@kernel
def _draw_alone(cell: Any, ink: np.ndarray, x: int, top: int, page: np.ndarray) -> None:
    height, width = page.shape
    x = max(0, min(x, width - cell.width))
    draw_cell(cell, ink, x, max(0, min(top + cell.top, height - cell.num_rows)), page)
