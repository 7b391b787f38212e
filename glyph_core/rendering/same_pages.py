"""Which pages show the same when a document is drawn in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from glyph_core.types import DocumentSource


class TextOnPages(Protocol):
    """What is needed of a PageRenderer."""

    def text_ranges(self, source: DocumentSource) -> np.ndarray: ...  # (num_pages, 2): characters [start, stop)


def same_pages(
    first: TextOnPages, second: TextOnPages, source: DocumentSource, pages: Sequence[int]
) -> tuple[int, ...]:
    """The pages of ``second`` that show what ``pages`` show as ``first`` draws them: the same text, and of pages
    without text those at the same place among such pages."""
    ranges, others = first.text_ranges(source), second.text_ranges(source)
    bare, other_bare = (np.flatnonzero(r[:, 0] >= r[:, 1]).tolist() for r in (ranges, others))
    found: set[int] = set()
    for page in pages:
        start, stop = ranges[page].tolist()
        if start < stop:
            found.update(np.flatnonzero((others[:, 0] < stop) & (others[:, 1] > start)).tolist())
        elif (place := bare.index(page)) < len(other_bare):
            found.add(other_bare[place])
    return tuple(sorted(found))
