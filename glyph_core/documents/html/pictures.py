"""Pictures that a document carries in itself."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from glyph_core.documents.blocks import FigureBlock
from glyph_core.documents.image import FIGURE_FORMATS, read_image
from glyph_core.errors import InvalidInputError
from glyph_core.types import DocumentSource

_DATA_URL = re.compile(r"data:[^,;]*((?:;[^,;]*)*),", re.IGNORECASE)
_MIN_SIDE_PX = 32  # smaller ones are bullets and icons


def figure_of(address: str, alternative: str, max_pixels: int) -> FigureBlock | None:
    """The picture that the data URL ``address`` holds; None where it holds none that can be read."""
    match = _DATA_URL.match(address)
    if not match:
        return None
    data = address[match.end() :]
    try:
        is_base64 = match[1].lower().rstrip().endswith("base64")
        content = base64.b64decode(data) if is_base64 else unquote_to_bytes(data)
        pixels = read_image(DocumentSource("picture", content), max_pixels, FIGURE_FORMATS)
    except (binascii.Error, ValueError, InvalidInputError):
        return None
    return FigureBlock(pixels, alternative)


def is_small(figure: FigureBlock) -> bool:
    return bool(min(figure.pixels.shape[:2]) < _MIN_SIDE_PX)
