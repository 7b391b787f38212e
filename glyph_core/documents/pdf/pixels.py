"""Pages drawn by MuPDF. Runs in a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pymupdf
from pymupdf import mupdf

from glyph_core.documents.attempts import attempt_each
from glyph_core.documents.pdf.opening import MUPDF_ERRORS, opened
from glyph_core.types import DocumentSource, PageError

_SAMPLED_ROWS = 16
_COLOUR_THRESHOLD = 0.02  # how far from gray a colour must be to count, of 1


def draw_pages(
    source: DocumentSource, pages: Sequence[int], dpi: float, max_pixels: int
) -> Iterator[np.ndarray | PageError]:
    """Each of ``pages`` as :func:`pixels_of` has it, or why it could not be drawn."""
    document = opened(source)

    def draw(index: int) -> np.ndarray | PageError:
        page = document.load_page(index)
        num_pixels = page.rect.width * page.rect.height * (dpi / 72) ** 2
        if num_pixels > max_pixels:
            reason = f"at {dpi:g} dpi it has {num_pixels:.0f} px, more than the {max_pixels} that a page may have"
            return PageError(source.name, index, reason)
        return pixels_of(page, dpi)

    return attempt_each(source, pages, draw, MUPDF_ERRORS)


def pixels_of(page: pymupdf.Page, dpi: float, clip: pymupdf.Rect | None = None) -> np.ndarray:
    """``page``, or the part ``clip`` of it (in points), drawn on white paper.

    (height, width) uint8 where it is gray, (height, width, 3) where it has colour.
    """
    scale = dpi / 72
    matrix = mupdf.FzMatrix(scale, 0, 0, scale, 0, 0)
    rect = mupdf.fz_transform_rect(mupdf.FzRect(*(clip or page.rect)), matrix)
    bounds = mupdf.fz_round_rect(rect)
    has_colour = _has_colour(page)
    space = mupdf.fz_device_rgb() if has_colour else mupdf.fz_device_gray()
    pixmap = mupdf.fz_new_pixmap_with_bbox(space, bounds, mupdf.FzSeparations(), 0)
    mupdf.fz_clear_pixmap_with_value(pixmap, 255)
    device = mupdf.fz_new_draw_device(matrix, pixmap)
    mupdf.fz_run_page(page.this, device, mupdf.FzMatrix(), mupdf.FzCookie())
    mupdf.fz_close_device(device)
    return _array(pixmap)


def _array(pixmap: mupdf.FzPixmap) -> np.ndarray:
    shape = (pixmap.h(), pixmap.w(), pixmap.n())
    pixels = np.frombuffer(mupdf.fz_pixmap_samples_memoryview(pixmap), np.uint8).reshape(shape).copy()
    if pixmap.n() == 1:
        return pixels[:, :, 0]
    # A picture in colours that is gray all the same, as scans are: told by a few rows where it is not
    is_gray = all((rows[:, :, 1:] == rows[:, :, :1]).all() for rows in (pixels[::_SAMPLED_ROWS], pixels))
    return np.ascontiguousarray(pixels[:, :, 0]) if is_gray else pixels


def _has_colour(page: pymupdf.Page) -> bool:
    """Whether ``page`` sets a colour or shows a picture that has any; nothing is drawn to find out."""
    found = mupdf.ll_fz_new_test_device_outparams()
    device = mupdf.FzDevice(mupdf.ll_fz_new_test_device_outparams_fn(_COLOUR_THRESHOLD, 0, None, found))
    mupdf.fz_run_page(page.this, device, mupdf.FzMatrix(), mupdf.FzCookie())
    mupdf.fz_close_device(device)
    return bool(found.is_color > 0)
