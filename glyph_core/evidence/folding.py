"""Texts made comparable: what a page break, a hyphen, a font or a model's taste may change is folded away.

Two foldings. **Loose** finds passages: compatibility forms, case, accents, quotation marks, dashes, Markdown's marks
and all white space are gone, so that a line break, a hyphenated word or a table's columns make no difference.
**Strict** compares values: only white space, invisible characters and the shapes of dashes and quotes are gone.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

_SINGLE_QUOTES, _DOUBLE_QUOTES = "'‘’‚‛′`´", '"“”„‟″«»'
_LOOSELY_DROPPED = frozenset(_SINGLE_QUOTES + _DOUBLE_QUOTES + "*_#|•·")
_HYPHENATED = re.compile(r"(?<=\w)[-\u2010\u00ad]\s*\n\s*(?=\w)")
EAST_ASIAN = r"\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
_EAST_ASIAN = re.compile(f"[{EAST_ASIAN}]")


@dataclass(frozen=True)
class Folded:
    """n characters after folding."""

    text: str = field(repr=False)
    origins: np.ndarray = field(repr=False)  # (n + 1,) int32: where each came from, and the length of the original

    def index_of(self, offset: int) -> int:
        """The first folded character that came from ``offset`` of the original or later."""
        return int(np.searchsorted(self.origins[:-1], offset))

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Where folded characters ``[start, stop)`` stand in the original; at least one."""
        return int(self.origins[start]), int(self.origins[stop - 1]) + 1


def fold_loosely(text: str) -> Folded:
    return _fold(text, loose=True)


def fold_strictly(text: str) -> Folded:
    return _fold(text, loose=False)


def loosely(text: str) -> str:
    return "".join(_folded_character(character, loose=True) for character in text)


def strictly(text: str) -> str:
    return "".join(_folded_character(character, loose=False) for character in text)


def without_hyphenation(text: str) -> str:
    """``text`` with the words joined that a line's end parts."""
    return _HYPHENATED.sub("", text)


def is_inside_word(text: str, at: int) -> bool:
    """Whether a word runs on over the place before the character at ``at``. East Asian scripts don't part words."""
    return 0 < at < len(text) and _is_of_word(text[at - 1]) and _is_of_word(text[at])


def _is_of_word(character: str) -> bool:
    return character.isalnum() and not _EAST_ASIAN.match(character)


@lru_cache(maxsize=65536)
def _folded_character(character: str, *, loose: bool) -> str:
    folded = unicodedata.normalize("NFKD", character)
    return "".join(map(_loose if loose else _strict, folded.casefold() if loose else folded))


def _loose(character: str) -> str:
    category = unicodedata.category(character)
    dropped = character.isspace() or category in ("Mn", "Cf", "Cc", "Pd") or character in _LOOSELY_DROPPED
    return "" if dropped or character == "\u2212" else character


def _strict(character: str) -> str:
    category = unicodedata.category(character)
    if character.isspace() or category in ("Cf", "Cc"):
        return ""
    if category == "Pd" or character == "\u2212":
        return "-"
    return "'" if character in _SINGLE_QUOTES else '"' if character in _DOUBLE_QUOTES else character


def _fold(text: str, *, loose: bool) -> Folded:
    if not text:
        return Folded("", np.zeros(1, np.int32))
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    folded_of = {ord(character): _folded_character(character, loose=loose) for character in set(text)}
    counts_of = np.zeros(max(folded_of) + 1, dtype=np.int64)
    counts_of[list(folded_of)] = [len(folded) for folded in folded_of.values()]
    width = max(1, int(counts_of.max()))
    codes_of = np.zeros((len(counts_of), width), dtype="<u4")
    for code, folded in folded_of.items():
        codes_of[code, : len(folded)] = [ord(character) for character in folded]
    counts = counts_of[codes]
    origins = np.repeat(np.arange(len(text), dtype=np.int32), counts)
    nth = np.arange(len(origins)) - np.repeat(np.cumsum(counts) - counts, counts)  # of its character's folded ones
    result = codes_of[codes[origins], nth].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return Folded(result, np.append(origins, np.int32(len(text))))
