"""Greedy line breaking: glyphs → lines.

A line takes what fits. It breaks where :data:`~glyph_core.rendering.characters.BREAK_TABLE` allows; a word that is
longer than a line is cut at the edge. Spaces hang over the edge. No character is lost: every index of the text is in
one line, or is the newline after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glyph_core.rendering.atlas import ADVANCE, CLASS
from glyph_core.rendering.characters import BREAK_TABLE, BreakClass
from glyph_core.rendering.jit import kernel

_NEWLINE, _IGNORED, _MARK = int(BreakClass.NEWLINE), int(BreakClass.IGNORED), int(BreakClass.MARK)
_SPACE, _TAB = int(BreakClass.SPACE), int(BreakClass.TAB)


@dataclass(frozen=True, slots=True)
class Lines:
    """Where each line begins and ends in the text, and how far to the right the longest one reaches."""

    bounds: np.ndarray = field(repr=False)  # (num_lines, 2) int32: [start, stop), without the newline
    right: int  # 1/64 px from the left margin, trailing spaces not counted

    @property
    def num_lines(self) -> int:
        return len(self.bounds)


def break_lines(text_glyphs: np.ndarray, glyphs: np.ndarray, max_width: int, tab_width: int) -> Lines:
    """text_glyphs (n,) int32, rows of ``glyphs``; widths in 1/64 px. White space after the last ink makes no line."""
    bounds = np.empty((len(text_glyphs) + 1, 2), dtype=np.int32)
    num_lines, right = _wrap(text_glyphs, glyphs, BREAK_TABLE, max_width, tab_width, bounds)
    return Lines(bounds[:num_lines].copy(), right)


@kernel
def _wrap(
    text_glyphs: np.ndarray,
    glyphs: np.ndarray,
    break_table: np.ndarray,
    max_width: int,
    tab_width: int,
    bounds: np.ndarray,
) -> tuple[int, int]:
    """Fills ``bounds``; returns (number of lines up to the last one with ink, right edge)."""
    num_lines = num_inked_lines = right = 0
    start = x = inked_x = 0  # of the line; inked_x: right edge of its last visible character
    break_at, break_x = -1, 0  # the last place where it may end, and inked_x there
    before = _NEWLINE  # class of the last visible character or space of the line
    i = 0
    while i < len(text_glyphs):
        glyph = glyphs[text_glyphs[i]]
        kind, advance = glyph[CLASS], glyph[ADVANCE]
        if kind == _NEWLINE:
            bounds[num_lines, 0], bounds[num_lines, 1] = start, i
            num_lines += 1
            right = max(right, inked_x)
            i += 1
            start, x, inked_x, break_at, before = i, 0, 0, -1, _NEWLINE
            continue
        if kind > _TAB:  # visible
            may_break = break_table[before, kind]
            if x + advance > max_width and before != _NEWLINE:
                stop, stop_x = (i, inked_x) if may_break or break_at < 0 else (break_at, break_x)
                bounds[num_lines, 0], bounds[num_lines, 1] = start, stop
                num_lines += 1
                right = max(right, stop_x)
                start = i = stop
                x, inked_x, break_at, before = 0, 0, -1, _NEWLINE
                continue
            if may_break:
                break_at, break_x = i, inked_x
            x += advance
            inked_x = x
            before = kind
            num_inked_lines = num_lines + 1
        elif kind == _TAB:
            x += tab_width - x % tab_width
            before = kind
        elif kind == _SPACE:
            x += advance
            before = kind
        elif kind == _MARK:
            num_inked_lines = num_lines + 1
        i += 1
    if start < len(text_glyphs):
        bounds[num_lines, 0], bounds[num_lines, 1] = start, i
        num_lines += 1
        right = max(right, inked_x)
    return num_inked_lines, right
