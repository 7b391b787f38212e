"""What a character is to the layout: where a line may break beside it, and how many cells it takes.

A small part of Unicode line breaking (UAX #14) and of the kinsoku rules of JIS X 4051: enough that no Latin word is
cut that fits a line, and that no Chinese or Japanese line begins with a closing mark or ends with an opening one.
"""

from __future__ import annotations

import unicodedata
from enum import IntEnum
from functools import lru_cache

import numpy as np


class BreakClass(IntEnum):
    """The numbers are compiled into cached machine code that doesn't see a change here: append, never renumber."""

    NEWLINE = 0  # ends the line, always
    IGNORED = 1  # neither drawn nor measured: controls and format characters
    MARK = 2  # combining: drawn over the character before it
    SPACE = 3  # hangs over the right edge; a break may follow
    TAB = 4
    LETTER = 5  # of a word; breaks only where words end
    OPEN = 6  # opening or closing punctuation of any script, bound to its neighbours like a letter
    CLOSE = 7
    IDEOGRAPH = 8  # breaks before and after
    WIDE_OPEN = 9  # full-width punctuation: as IDEOGRAPH, but bound on one side
    WIDE_CLOSE = 10


_NUM_KEPT = 1 << 16  # characters whose properties are looked up once

_NEWLINES = frozenset("\n\r\v\f\x85\u2028\u2029")  # UAX #14: BK, CR, LF, NL
_GLUE = frozenset("\u00a0\u2007\u202f")  # spaces that bind: letters without ink
ZERO_WIDTH_JOINER = "\u200d"  # of Indic letters and of emoji
ZERO_WIDTH_SPACE = "\u200b"  # where Thai, Khmer and long addresses may break
# Format characters (category Cf) that have a shape: Arabic and Kaithi signs that enclose a number
_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Default ignorable characters of other categories (DerivedCoreProperties.txt): joiners, fillers, variation selectors
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
# JIS X 4051: small kana, marks and signs that may not begin a line
_NO_START = frozenset(
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
    "、。，．：；！？・ーゝゞヽヾ々〻〜～％゛゜﹐﹑﹒﹔﹕﹖﹗"
    ",.;:!?%…‥—–·‰°′″℃"
)

_SHAPED_RANGES = (
    (0x0590, 0x109F),  # Hebrew, Arabic, Syriac, Thaana, N'Ko, Mandaic; Indic; Thai, Lao, Tibetan, Myanmar
    (0x1700, 0x18AF),  # Philippine scripts, Khmer, Mongolian
    (0x1900, 0x1CFF),  # Limbu to Vedic extensions, Buginese, Balinese, Batak, Lepcha
    (0xA800, 0xA82F), (0xA840, 0xA95F), (0xA980, 0xA9FF), (0xAA00, 0xAAFF), (0xABC0, 0xABFF),  # Brahmic
    (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC),  # presentation forms of Hebrew and Arabic
    (0x10800, 0x10FFF), (0x1E800, 0x1EFFF),  # from right to left
    (0x11000, 0x11FFF),  # Brahmic
    (0x1F1E6, 0x1F1FF), (0x1F3FB, 0x1F3FF),  # letters that pair to flags; skin tones
)  # fmt: skip


@lru_cache(_NUM_KEPT)
def is_ignored(character: str) -> bool:
    """Whether ``character`` has no shape by design (so that a font without it loses nothing)."""
    category = unicodedata.category(character)
    if category in ("Cc", "Cf"):
        return character not in _VISIBLE_FORMATS
    codepoint = ord(character)
    return character in _INVISIBLE or 0xFE00 <= codepoint <= 0xFE0F or 0xE0100 <= codepoint <= 0xE01EF


def is_wide(character: str) -> bool:
    """Whether ``character`` takes two cells (Unicode East_Asian_Width W or F)."""
    return unicodedata.east_asian_width(character) in "WF"


@lru_cache(_NUM_KEPT)
def needs_shaping(character: str) -> bool:
    """Whether ``character`` changes its form, its place or its direction by its neighbours, so that it can't be drawn
    alone: scripts from right to left, Indic scripts and their relatives, Thai, parts of composed emoji."""
    codepoint = ord(character)
    if character == ZERO_WIDTH_JOINER:
        return True
    if codepoint < _SHAPED_RANGES[0][0]:
        return False
    return any(start <= codepoint <= stop for start, stop in _SHAPED_RANGES)


@lru_cache(_NUM_KEPT)
def break_class(character: str) -> BreakClass:
    if character in _NEWLINES:
        return BreakClass.NEWLINE
    if character == "\t":
        return BreakClass.TAB
    category = unicodedata.category(character)
    if (category == "Zs" and character not in _GLUE) or character == ZERO_WIDTH_SPACE:
        return BreakClass.SPACE
    if is_ignored(character):
        return BreakClass.IGNORED
    if category in ("Mn", "Me"):
        return BreakClass.MARK
    return _visible_class(character, category)


def _visible_class(character: str, category: str) -> BreakClass:
    wide = is_wide(character)
    if category in ("Ps", "Pi"):
        return BreakClass.WIDE_OPEN if wide else BreakClass.OPEN
    if category in ("Pe", "Pf") or character in _NO_START:
        return BreakClass.WIDE_CLOSE if wide else BreakClass.CLOSE
    return BreakClass.IDEOGRAPH if wide else BreakClass.LETTER


def _break_table() -> np.ndarray:
    """(before, after) bool: may a line end between two visible characters of these classes?"""
    table = np.zeros((len(BreakClass), len(BreakClass)), dtype=np.bool_)
    wide = [BreakClass.IDEOGRAPH, BreakClass.WIDE_OPEN, BreakClass.WIDE_CLOSE]
    narrow = [BreakClass.LETTER, BreakClass.OPEN, BreakClass.CLOSE]
    table[np.ix_(wide, wide + narrow)] = True
    table[np.ix_(narrow, wide)] = True
    table[[BreakClass.OPEN, BreakClass.WIDE_OPEN], :] = False
    table[:, [BreakClass.CLOSE, BreakClass.WIDE_CLOSE]] = False
    table[np.ix_([BreakClass.SPACE, BreakClass.TAB], wide + narrow)] = True
    table.setflags(write=False)
    return table


BREAK_TABLE = _break_table()
