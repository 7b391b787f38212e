"""Pages as a scanner or a camera might give them, made with Pillow: not by the code that degrades training's pages."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from glyph_core.training.material import Material


@dataclass(frozen=True)
class Scanner:
    """One treatment for all pages of a document. Lengths in px, brightness 0 (black) to 1."""

    zoom: float
    shift: tuple[float, float]  # right and down
    blur: float  # standard deviation of a Gaussian
    ink: float
    paper: float
    noise: float  # standard deviation
    quality: int  # of JPEG

    @classmethod
    def draw(cls, material: Material) -> Scanner:
        """Within what training covers: see ``curriculum``."""
        between = material.random.uniform
        return cls(
            zoom=1.0 if material.chance(0.6) else between(0.92, 1.12),
            shift=(between(-2, 2), between(-2, 2)),
            blur=between(0.2, 0.7),
            ink=between(0, 0.3),
            paper=between(0.85, 1),
            noise=between(0, 0.06),
            quality=material.number(35, 95),
        )

    def scan(self, pixels: np.ndarray, seed: int) -> bytes:
        """A JPEG of the page ``pixels`` (height, width) uint8; ``seed`` is of its noise."""
        page = Image.fromarray(pixels)
        size = tuple(round(side * self.zoom) for side in page.size)
        page = page.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        across, down = self.shift
        page = page.transform(
            page.size, Image.Transform.AFFINE, (1, 0, -across, 0, 1, -down), Image.Resampling.BICUBIC, fillcolor=255
        )
        levels = np.asarray(page.filter(ImageFilter.GaussianBlur(self.blur)), dtype=np.float32) / 255
        levels = self.ink + (self.paper - self.ink) * levels
        levels += np.random.default_rng(seed).normal(0, 1, levels.shape).astype(np.float32) * self.noise
        return as_jpeg((levels.clip(0, 1) * 255).round().astype(np.uint8), self.quality)


def as_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()


def as_png(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()
