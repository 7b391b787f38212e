"""The glyphs of a document one after another, and which characters of its text they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

NOT_OF_THE_TEXT = -1  # offset of a glyph that is drawn beside the text: a list's bullet, a header that is repeated

Offsets = int | np.ndarray | None  # of characters: from that one on; those, (n,) int32; of none


@dataclass(frozen=True)
class GlyphStream:
    """n glyphs in the order in which they are set."""

    glyphs: np.ndarray = field(repr=False)  # (n,) int32, indices into the atlas's glyphs
    offsets: np.ndarray | None = field(default=None, repr=False)  # (n,) int32 into the document's text; None: 0 … n - 1
    lengths: np.ndarray | None = field(default=None, repr=False)  # (n,) uint8, characters of each; None: one
    colours: np.ndarray | None = field(default=None, repr=False)  # (n,) uint8, see colours.PALETTE; None: all black

    @property
    def num_bytes(self) -> int:
        arrays = (self.glyphs, self.offsets, self.lengths, self.colours)
        return sum(array.nbytes for array in arrays if array is not None)

    def offsets_of(self, indices: np.ndarray) -> np.ndarray:
        """indices (m,) into the stream → (m,) int32 offsets into the document's text."""
        return indices.astype(np.int32) if self.offsets is None else self.offsets[indices]

    def lengths_of(self, indices: np.ndarray) -> np.ndarray:
        """indices (m,) into the stream → (m,) int32 numbers of characters."""
        return np.ones(len(indices), np.int32) if self.lengths is None else self.lengths[indices].astype(np.int32)


class StreamBuilder:
    """Collects the pieces of a stream; one piece that begins the text, as a plain text is, costs nothing."""

    def __init__(self) -> None:
        self._pieces: list[tuple[np.ndarray, Offsets]] = []
        self._size = 0
        self._lengths: list[tuple[int, np.ndarray]] = []  # where they begin in the stream
        self._colours: list[tuple[int, np.ndarray]] = []

    def append(
        self,
        glyphs: np.ndarray,
        offsets: Offsets,
        lengths: np.ndarray | None = None,
        colours: np.ndarray | None = None,
    ) -> int:
        """Appends ``glyphs``; returns the index of the first."""
        start = self._size
        self._pieces.append((glyphs, offsets))
        self._size += len(glyphs)
        if lengths is not None:
            self._lengths.append((start, lengths))
        if colours is not None:
            self._colours.append((start, colours))
        return start

    def build(self) -> GlyphStream:
        lengths, colours = self._spread(self._lengths, 1), self._spread(self._colours, 0)
        if len(self._pieces) == 1 and isinstance(self._pieces[0][1], int) and self._pieces[0][1] == 0:
            return GlyphStream(self._pieces[0][0], None, lengths, colours)
        glyphs = [np.zeros(0, np.int32), *(piece for piece, _ in self._pieces)]
        offsets = [np.zeros(0, np.int32), *(offsets_in(where, 0, len(piece)) for piece, where in self._pieces)]
        return GlyphStream(np.concatenate(glyphs), np.concatenate(offsets), lengths, colours)

    def _spread(self, pieces: list[tuple[int, np.ndarray]], rest: int) -> np.ndarray | None:
        if not pieces:
            return None
        spread = np.full(self._size, rest, dtype=np.uint8)
        for start, values in pieces:
            spread[start : start + len(values)] = values
        return spread


def offsets_in(offsets: Offsets, start: int, stop: int) -> np.ndarray:
    """(stop - start,) int32: the offsets of the characters [start, stop) of a text that has ``offsets``."""
    if offsets is None:
        return np.full(stop - start, NOT_OF_THE_TEXT, dtype=np.int32)
    if isinstance(offsets, np.ndarray):
        return offsets[start:stop].astype(np.int32)
    return np.arange(offsets + start, offsets + stop, dtype=np.int32)
