"""The pages of a PDF as they come, whose pictures together stay within bounds however many pages there are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from glyph_core.documents.blocks import FigureBlock

if TYPE_CHECKING:  # the parser stays in its own process
    from glyph_core.documents.pdf.pages import ReadPage

MAX_PICTURE_BYTES = 256 * 1024**2  # of one document


class Shelf:
    """``reduction``: what the sides of all its pictures are divided by; it doubles where they take too much."""

    def __init__(self, max_picture_bytes: int = MAX_PICTURE_BYTES) -> None:
        self.pages: list[ReadPage] = []
        self.reduction = 1
        self._max_bytes, self._num_bytes = max_picture_bytes, 0

    def add(self, page: ReadPage) -> None:
        if self.reduction > 1:
            _reduce(page, self.reduction)
        self.pages.append(page)
        self._num_bytes += _picture_bytes(page)
        while self._num_bytes > self._max_bytes:
            self.reduction *= 2
            for kept in self.pages:
                _reduce(kept, 2)
            self._num_bytes = sum(map(_picture_bytes, self.pages))


def _picture_bytes(page: ReadPage) -> int:
    return sum(part.pixels.nbytes for part in page.parts if isinstance(part, FigureBlock))


def _reduce(page: ReadPage, factor: int) -> None:
    page.parts = [
        replace(part, pixels=np.asarray(Image.fromarray(part.pixels).reduce(factor)))
        if isinstance(part, FigureBlock)
        else part
        for part in page.parts
    ]
