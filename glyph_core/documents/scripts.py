"""Which scripts a text is written in: what decides whether a model has learnt its letters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

import numpy as np

LATIN = "Latin"  # ASCII and the Western and Central European letters of Latin-1 and Latin Extended-A
_LAST_LATIN = 0x17F
# First words of Unicode names that are not the script's own name (Unicode Standard, UAX #24)
_SCRIPT_NAMES = {"CJK": "Han", "IDEOGRAPHIC": "Han", "KATAKANA-HIRAGANA": "Katakana", "HALFWIDTH": "Katakana"}

ScriptCounts = tuple[tuple[str, int], ...]  # script and number of letters, the most frequent first


def count_scripts(text: str) -> ScriptCounts:
    """The letters of ``text`` by script; digits, punctuation and signs belong to none."""
    if text.isascii():  # the usual case, and most of a large text's time
        num_letters = _num_ascii_letters(np.frombuffer(text.encode(), dtype=np.uint8))
        return ((LATIN, num_letters),) if num_letters else ()
    codepoints = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    is_ascii = codepoints < 0x80
    counts: Counter[str] = Counter({LATIN: _num_ascii_letters(codepoints[is_ascii].astype(np.uint8))})
    occurrences = np.bincount(codepoints[~is_ascii])
    for codepoint in np.flatnonzero(occurrences).tolist():
        if script := script_of(chr(codepoint)):
            counts[script] += int(occurrences[codepoint])
    return tuple((script, count) for script, count in counts.most_common() if count)


def _num_ascii_letters(characters: np.ndarray) -> int:
    """characters (n,) uint8, all of them ASCII."""
    return int(np.count_nonzero((characters | 0x20) - np.uint8(ord("a")) < 26))  # upper case to lower; the rest wraps


@lru_cache(maxsize=65_536)
def script_of(character: str) -> str | None:
    """The script of a letter, by its Unicode name; None for what is no letter.

    Latin letters beyond Latin Extended-A (Vietnamese, phonetic) are told apart, as "Latin Extended".
    """
    if not unicodedata.category(character).startswith("L"):
        return None
    if ord(character) <= _LAST_LATIN:
        return LATIN
    first = unicodedata.name(character, "UNKNOWN").split(" ")[0]
    return "Latin Extended" if first == "LATIN" else _SCRIPT_NAMES.get(first, first.title())
