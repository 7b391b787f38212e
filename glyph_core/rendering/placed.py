"""What stands on a page, read back from the glyphs that were placed there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PlacedGlyphs:
    """The glyphs of a page in the order of the source; n glyphs with ink. Spaces are gaps between boxes.

    ``codepoints`` come from the face and glyph id that was drawn, not from the text: a character that no face has
    reads U+FFFD, and one that shares its glyph with another may read as that other.
    """

    codepoints: np.ndarray = field(repr=False)  # (n,) uint32
    offsets: np.ndarray = field(repr=False)  # (n,) int32: index into the document's text
    lines: np.ndarray = field(repr=False)  # (n,) int32: line of the page
    pens: np.ndarray = field(repr=False)  # (n, 2) float32: pen's x before and after the glyph, px
    boxes: np.ndarray = field(repr=False)  # (n, 4) int32: left, top, right, bottom of the ink's cell, px

    @classmethod
    def none(cls) -> PlacedGlyphs:
        empty = np.zeros(0, dtype=np.int32)
        return cls(
            empty.astype(np.uint32), empty, empty, np.zeros((0, 2), dtype=np.float32), np.zeros((0, 4), dtype=np.int32)
        )

    def __len__(self) -> int:
        return len(self.codepoints)
