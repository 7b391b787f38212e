"""What stands on a page, read back from the glyphs that were placed there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from glyph_core.documents.blocks import SourcePlace
from glyph_core.types import PageError


@dataclass(frozen=True)
class PlacedGlyphs:
    """The glyphs of a page in the order of the source; n glyphs with ink. Spaces are gaps between boxes.

    ``codepoints`` come from the face and glyph id that was drawn, not from the text: a character that no face has
    reads U+FFFD, and one that shares its glyph with another may read as that other. A form that only shaping makes
    reads as the first character that it was made of; ``lengths`` says how many that were.
    """

    codepoints: np.ndarray = field(repr=False)  # (n,) uint32
    offsets: np.ndarray = field(repr=False)  # (n,) int32: index into the document's text; -1: beside the text
    lengths: np.ndarray = field(repr=False)  # (n,) int32: characters from there on; 0: part of the glyph before
    lines: np.ndarray = field(repr=False)  # (n,) int32: line of the page
    pens: np.ndarray = field(repr=False)  # (n, 2) float32: pen's x before and after the glyph, px
    boxes: np.ndarray = field(repr=False)  # (n, 4) int32: left, top, right, bottom of the ink's cell, px

    @classmethod
    def none(cls) -> PlacedGlyphs:
        empty = np.zeros(0, dtype=np.int32)
        pens, boxes = np.zeros((0, 2), dtype=np.float32), np.zeros((0, 4), dtype=np.int32)
        return cls(empty.astype(np.uint32), empty, empty, empty, pens, boxes)

    def __len__(self) -> int:
        return len(self.codepoints)


@dataclass(frozen=True, slots=True)
class Span:
    """Where characters [start, stop) of the document's text stand: a line, or a table cell's part of one, or a word
    of a page that is shown as the file draws it."""

    start: int
    stop: int
    page_index: int
    box: tuple[int, int, int, int]  # left, top, right, bottom px; holds their ink
    place: SourcePlace | None = None  # where the block stands in the file


class DrawnPage(NamedTuple):
    """A page's pixels, (height, width) or (height, width, 3) uint8; where it could not be drawn they say so."""

    pixels: np.ndarray
    error: PageError | None = None
