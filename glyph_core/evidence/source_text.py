"""A document's text as evidence is looked for in it: folded once, searched often, with what stands on which page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from glyph_core.evidence.folding import Folded, fold_loosely, fold_strictly, is_inside_word

MAX_OCCURRENCES = 2000  # of one text that are looked at
Bounds = Sequence[tuple[int, int]]  # ascending, of characters of the text


@dataclass(frozen=True)
class SourceText:
    text: str = field(repr=False)
    ranges: np.ndarray = field(repr=False)  # (num_pages, 2) int32: the characters on each page lie in [start, stop)

    @cached_property
    def loose(self) -> Folded:
        return fold_loosely(self.text)

    @cached_property
    def strict(self) -> Folded:
        return fold_strictly(self.text)

    def bounds_of(self, pages: Sequence[int] | None) -> Bounds:
        """What stands on ``pages``; None: everything."""
        if pages is None:
            return [(0, len(self.text))]
        bounds: list[tuple[int, int]] = []
        for start, stop in sorted((int(a), int(b)) for a, b in self.ranges[list(pages)] if a < b):
            if bounds and start <= bounds[-1][1] + 1:
                bounds[-1] = (bounds[-1][0], max(stop, bounds[-1][1]))
            else:
                bounds.append((start, stop))
        return bounds

    def pages_of(self, start: int, stop: int) -> list[int]:
        """Pages that may show some of the characters ``[start, stop)``, ascending."""
        starts, stops = self.ranges.T
        return np.flatnonzero((starts < stop) & (stops > start)).tolist()


def occurrences(folded: Folded, needle: str, bounds: Bounds) -> Iterator[int]:
    """Where ``needle`` (folded alike) begins in the folded text; at most MAX_OCCURRENCES."""
    if not needle:
        return
    num_left = MAX_OCCURRENCES
    for first, last in bounds:
        at, stop = folded.index_of(first), folded.index_of(last)
        while num_left and (at := folded.text.find(needle, at, stop)) >= 0:
            yield at
            at, num_left = at + 1, num_left - 1


def stands_alone(source: SourceText, start: int, stop: int) -> bool:
    """Whether neither end of characters ``[start, stop)`` lies inside a word or a number."""
    return not (is_inside_word(source.text, start) or is_inside_word(source.text, stop))
