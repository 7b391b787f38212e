"""Where pages are drawn: in memory of their own, or in a caller's."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Paper(Protocol):
    """Gives out sheets to draw on; what is on them does not matter."""

    def sheet(self, height: int, width: int) -> np.ndarray:
        """(height, width) uint8, C-contiguous."""
        ...


class FreshPaper:
    """Each page has memory of its own."""

    def sheet(self, height: int, width: int) -> np.ndarray:
        return np.empty((height, width), dtype=np.uint8)


class OwnedPaper:
    """Pages one after another in a buffer of the caller's, which may be used again when they are done with.

    Memory that was written to before is several times faster than fresh memory, whose every page the system has to find
    and clear. What does not fit is drawn on fresh paper.
    """

    def __init__(self, buffer: np.ndarray) -> None:
        """``buffer`` is (n,) uint8."""
        self._buffer, self._used = buffer, 0

    def sheet(self, height: int, width: int) -> np.ndarray:
        start, stop = self._used, self._used + height * width
        if stop > len(self._buffer):
            return FreshPaper().sheet(height, width)
        self._used = stop
        return self._buffer[start:stop].reshape(height, width)


FRESH = FreshPaper()
