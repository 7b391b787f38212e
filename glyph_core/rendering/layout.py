"""Greedy line breaking: glyphs → lines.

A line takes what fits. It breaks where :data:`~glyph_core.rendering.characters.BREAK_TABLE` allows; a word that is
longer than a line is cut at the edge. Spaces hang over the edge. No character is lost: every index of the text is in
one line, or is the newline after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from glyph_core.rendering.characters import BREAK_TABLE, BreakClass
from glyph_core.rendering.jit import kernel

_NEWLINE, _MARK = int(BreakClass.NEWLINE), int(BreakClass.MARK)
_SPACE, _TAB = int(BreakClass.SPACE), int(BreakClass.TAB)


@dataclass(frozen=True, slots=True)
class Lines:
    """Where each line begins and ends in the text, and how far to the right the longest one reaches."""

    bounds: np.ndarray = field(repr=False)  # (num_lines, 2) int32: [start, stop), without the newline
    right: int  # 1/64 px from the left margin to the last visible character's end

    def __len__(self) -> int:
        return len(self.bounds)


def break_lines(text: np.ndarray, glyphs: np.ndarray, max_width: int) -> Lines:
    """text (n,) int32, indices into ``glyphs``; width in 1/64 px. What follows the last visible character makes no
    line of its own."""
    bounds = np.empty((len(text) + 1, 2), dtype=np.int32)
    num_lines, right = _break_lines(text, glyphs, BREAK_TABLE, max_width, bounds)
    return Lines(bounds[:num_lines].copy(), right)


@kernel
def _break_lines(
    text: np.ndarray, glyphs: np.ndarray, break_table: np.ndarray, max_width: int, bounds: np.ndarray
) -> tuple[int, int]:
    """Fills ``bounds``; returns the number of lines up to the last visible character, and the right edge."""
    num_lines = num_visible_lines = right = 0
    start = x = visible_x = 0  # of the line; visible_x: where its last visible character ends
    break_at, break_x = -1, 0  # the last index before which the line may end, and visible_x there
    before = _NEWLINE  # class of the character before; NEWLINE: none in this line
    i = 0
    while i < len(text):
        kind, advance = glyphs[text[i]].break_class, glyphs[text[i]].advance
        stop = -1  # the line ends before this index
        if kind == _NEWLINE:
            stop, next_start = i, i + 1
        elif kind > _TAB:  # visible
            may_break = break_table[before, kind]
            if x + advance > max_width and before != _NEWLINE:
                if not may_break and break_at >= 0:
                    stop, visible_x = break_at, break_x
                else:
                    stop = i
                next_start = stop
            elif may_break:
                break_at, break_x = i, visible_x
        if stop >= 0:
            bounds[num_lines, 0], bounds[num_lines, 1] = start, stop
            num_lines += 1
            right = max(right, visible_x)
            start = i = next_start
            x, visible_x, break_at, before = 0, 0, -1, _NEWLINE
            continue
        if kind == _TAB:
            x += advance - x % advance
        else:
            x += advance
        if kind >= _SPACE:
            before = kind
        if kind > _TAB:
            visible_x = x
        if kind > _TAB or kind == _MARK:
            num_visible_lines = num_lines + 1
        i += 1
    bounds[num_lines, 0], bounds[num_lines, 1] = start, i
    return num_visible_lines, max(right, visible_x)


def longest_word(text: np.ndarray, glyphs: np.ndarray) -> int:
    """The narrowest width in 1/64 px at which no word of ``text`` (n,) int32 is cut."""
    return int(_longest_word(text, glyphs, BREAK_TABLE))


@kernel
def _longest_word(text: np.ndarray, glyphs: np.ndarray, break_table: np.ndarray) -> int:
    longest = width = 0
    before = _NEWLINE
    for i in range(len(text)):
        kind = glyphs[text[i]].break_class
        if kind in (_NEWLINE, _SPACE, _TAB):
            width = 0
            before = kind
        elif kind > _TAB:
            if before > _NEWLINE and break_table[before, kind]:
                width = 0
            width += glyphs[text[i]].advance
            longest = max(longest, width)
            before = kind
    return longest
