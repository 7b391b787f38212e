"""The frames of a TIFF. Runs in a worker: its decoders are C code of many hands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from glyph_core.documents.attempts import attempt_each
from glyph_core.documents.image import DECODE_ERRORS, on_paper
from glyph_core.errors import InvalidDocumentError
from glyph_core.types import DocumentSource, PageError

_MAX_PIXELS = 256_000_000  # of all frames together: larger ones are scaled down, pages need less


def num_frames(source: DocumentSource) -> Iterator[int]:
    """How many frames ``source`` has."""
    try:
        yield getattr(_opened(source), "n_frames", 1)
    except DECODE_ERRORS as error:
        raise InvalidDocumentError(f"picture {source.name!r} is damaged: {error}; export it again") from error


def read_frames(
    source: DocumentSource, frames: Sequence[int], max_pixels: int, num_frames: int
) -> Iterator[np.ndarray | PageError]:
    """Each of ``frames`` as (height, width) uint8 where it is gray and (height, width, 3) otherwise."""
    picture = _opened(source)

    def read(index: int) -> np.ndarray | PageError:
        picture.seek(index)
        if picture.width * picture.height > max_pixels:
            size = f"{picture.width}×{picture.height} px"
            return PageError(source.name, index, f"it has {size}, more than the {max_pixels} that a page may have")
        frame = on_paper(picture)
        scale = (frame.width * frame.height * num_frames / _MAX_PIXELS) ** 0.5
        return np.asarray(frame if scale <= 1 else frame.reduce(int(np.ceil(scale))))

    return attempt_each(source, frames, read, DECODE_ERRORS)


def _opened(source: DocumentSource) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None  # our own limit is asked before anything is decoded
    return Image.open(BytesIO(source.content), formats=("TIFF",))
