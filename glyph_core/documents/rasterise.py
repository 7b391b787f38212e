"""Native pages as pixels, drawn in workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glyph_core.config import LimitConfig
from glyph_core.documents.paged import each_page
from glyph_core.types import DocumentSource, PageError

if TYPE_CHECKING:
    import numpy as np


def rasterise(
    source: DocumentSource, pages: Sequence[int], dpi: float, limits: LimitConfig
) -> list[np.ndarray | PageError]:
    """Each of the PDF's ``pages`` (from 0) at ``dpi``: (height, width) uint8 if it is gray, else (height, width, 3).

    A page that cannot be drawn, or not within ``limits`` (time, memory, pixels), is a PageError in its place. Raises
    the errors of :func:`~glyph_core.documents.parse.parse` for a file that cannot be opened at all.
    """
    function = "glyph_core.documents.pdf.pixels:draw_pages"
    return list(each_page(function, source, pages, dpi, limits.max_image_pixels, limits=limits))
