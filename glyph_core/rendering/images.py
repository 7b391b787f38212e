"""Pictures that are pages of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from glyph_core.config import MAX_PAGE_PIXELS, RenderConfig
from glyph_core.rendering.paper import FRESH, Paper
from glyph_core.rendering.placed import DrawnPage, PlacedGlyphs, Span

MAX_ASPECT = 100  # Glm4v's resize refuses over 200


@dataclass(frozen=True)
class ImagePages:
    """A page for each picture, scaled as the configuration says (and down if it is too large), with white paper up to
    the next multiple of snap_px.

    It is shown as it is, ``inverted`` or not.
    """

    pages: tuple[np.ndarray, ...] = field(repr=False)  # (height, width) or (height, width, 3) uint8, C-contiguous
    warnings: tuple[str, ...] = ()

    @classmethod
    def lay_out(cls, pictures: Sequence[np.ndarray], config: RenderConfig) -> ImagePages:
        return cls(tuple(_page_of(pixels, config) for pixels in pictures))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple((page.shape[1], page.shape[0]) for page in self.pages)

    @property
    def num_picture_pages(self) -> int:
        return len(self.pages)

    @property
    def num_bytes(self) -> int:
        return sum(page.nbytes for page in self.pages)

    def draw(self, start: int, stop: int, paper: Paper = FRESH) -> list[DrawnPage]:
        return [DrawnPage(page.copy()) for page in self.pages[start:stop]]

    def placed(self, page_index: int) -> PlacedGlyphs:
        return PlacedGlyphs.none()

    def spans(self, page_index: int) -> list[Span]:
        return []

    def text_ranges(self) -> np.ndarray:
        return np.zeros((len(self.pages), 2), np.int32)


def paper_size(width: int, height: int, config: RenderConfig) -> tuple[int, int]:
    """(width, height) px of the page that shows a picture of so many px: multiples of snap_px, and no sliver."""
    paper_width = _snap(max(width, config.min_width_px, height // MAX_ASPECT), config.snap_px)
    return paper_width, _snap(max(height, paper_width // MAX_ASPECT), config.snap_px)


def on_paper(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``pixels`` in the left top corner of a white page of ``size`` (width, height); what is too large is cut."""
    width, height = size
    paper = np.full((height, width, *pixels.shape[2:]), 255, dtype=np.uint8)
    shown = pixels[:height, :width]
    paper[: shown.shape[0], : shown.shape[1]] = shown
    return paper


def _page_of(pixels: np.ndarray, config: RenderConfig) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = min(config.picture_scale, math.sqrt(MAX_PAGE_PIXELS / (height * width)))
    if scale != 1:
        size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        height, width = pixels.shape[:2]
    return on_paper(pixels, paper_size(width, height, config))


def _snap(length_px: int, snap_px: int) -> int:
    return -(-length_px // snap_px) * snap_px
