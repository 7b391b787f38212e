"""Arrays that grow."""

from __future__ import annotations

import numpy as np


class Table:
    """A one-dimensional array that is appended to; what was handed out before stays valid."""

    def __init__(self, dtype: np.dtype, capacity: int) -> None:
        self._rows = np.zeros(capacity, dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, rows: np.ndarray) -> int:
        """Appends ``rows`` (n,); returns the index of the first."""
        start, stop = self._size, self._size + len(rows)
        if stop > len(self._rows):
            grown = np.zeros(max(stop, 2 * len(self._rows)), dtype=self._rows.dtype)
            grown[:start] = self._rows[:start]
            self._rows = grown
        self._rows[start:stop] = rows
        self._size = stop
        return start

    @property
    def view(self) -> np.ndarray:
        return self._rows[: self._size]
