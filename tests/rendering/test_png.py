"""Our PNG files against Pillow's reader."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from glyph_core.rendering.png import encode_png


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (842, 595), (28, 28, 3), (1, 7, 3)])
def test_pixels_come_back(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    pixels = np.where(random.random(shape) < 0.7, 255, random.integers(0, 256, shape)).astype(np.uint8)
    with Image.open(BytesIO(encode_png(pixels))) as image:
        image.verify()  # checksums
    with Image.open(BytesIO(encode_png(pixels))) as image:
        assert image.mode == ("L" if len(shape) == 2 else "RGB")
        assert np.array_equal(np.asarray(image), pixels)


def test_pixels_need_not_lie_side_by_side() -> None:
    pixels = np.arange(200, dtype=np.uint8).reshape(10, 20)[::2, ::3]
    with Image.open(BytesIO(encode_png(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)
