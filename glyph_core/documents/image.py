"""PNG and JPEG pictures as arrays."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from glyph_core.errors import DocumentTooLargeError, InvalidDocumentError
from glyph_core.types import DocumentSource

# What Pillow's decoders raise on damaged files, beside its own UnidentifiedImageError, which is an OSError
DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError)


# Formats whose Pillow decoders are kept up; those that come alone as a document, and those inside of one
DOCUMENT_FORMATS = ("PNG", "JPEG")
FIGURE_FORMATS = (*DOCUMENT_FORMATS, "GIF", "BMP", "TIFF", "WEBP")


def read_image(source: DocumentSource, max_pixels: int, formats: tuple[str, ...] = DOCUMENT_FORMATS) -> np.ndarray:
    """The picture upright, (height, width) uint8 if it is gray and (height, width, 3) otherwise.

    What is transparent shows white paper. Raises DocumentTooLargeError before any pixel is decoded, and
    InvalidDocumentError where the decoder gives up.
    """
    try:
        picture = Image.open(BytesIO(source.content), formats=formats)
        if picture.width * picture.height > max_pixels:
            raise DocumentTooLargeError(
                f"picture {source.name!r} has {picture.width}×{picture.height} px, more than the {max_pixels} that "
                "this service takes; scale it down"
            )
        picture.load()
        return np.asarray(on_paper(ImageOps.exif_transpose(picture)))
    except Image.DecompressionBombError as error:
        raise DocumentTooLargeError(f"picture {source.name!r} is too large: {error}; scale it down") from error
    except DECODE_ERRORS as error:
        raise InvalidDocumentError(f"picture {source.name!r} is damaged: {error}; export it again") from error


def on_paper(picture: Image.Image) -> Image.Image:
    """``picture`` in mode L or RGB, its transparent parts over white."""
    if picture.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion to L clips instead of scaling
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8))
    is_gray = picture.mode in ("1", "L", "LA")
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return picture.convert("L" if is_gray else "RGB")
