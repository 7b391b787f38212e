"""A picture as a page."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from glyph_core.config import RenderConfig
from glyph_core.rendering.placed import PlacedGlyphs

MAX_AREA_PX = 28 * 28 * 6000  # 6,000 visual tokens: more than that and a model of 8k context has no room to answer
MAX_ASPECT = 100  # Glm4v's resize refuses over 200


@dataclass(frozen=True)
class ImagePages:
    """One page: the picture, scaled down if it is too large, with white paper up to the next multiple of snap_px.

    It is shown as it is, ``inverted`` or not.
    """

    pixels: np.ndarray = field(repr=False)  # (height, width) or (height, width, 3) uint8, C-contiguous

    warnings: tuple[str, ...] = ()
    num_chars: int = 0

    @classmethod
    def lay_out(cls, pixels: np.ndarray, config: RenderConfig) -> ImagePages:
        height, width = pixels.shape[:2]
        scale = math.sqrt(MAX_AREA_PX / (height * width))
        if scale < 1:
            size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
            pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
            height, width = pixels.shape[:2]
        paper_width = _snap(max(width, config.min_width_px, height // MAX_ASPECT), config.snap_px)
        paper_height = _snap(max(height, paper_width // MAX_ASPECT), config.snap_px)
        paper = np.full((paper_height, paper_width, *pixels.shape[2:]), 255, dtype=np.uint8)
        paper[:height, :width] = pixels
        return cls(paper)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        height, width = self.pixels.shape[:2]
        return ((width, height),)

    def draw(self, page_index: int) -> np.ndarray:
        return self.pixels.copy()

    def placed(self, page_index: int) -> PlacedGlyphs:
        return PlacedGlyphs.none()


def _snap(length_px: int, snap_px: int) -> int:
    return -(-length_px // snap_px) * snap_px
