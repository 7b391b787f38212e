"""Pictures in the flow of the text: as large as in the source, never larger than the column or than they are."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from glyph_core.config import RenderConfig


def fit_figure(pixels: np.ndarray, width_pt: float | None, config: RenderConfig) -> np.ndarray:
    """``pixels`` (height, width) or (height, width, 3) uint8, scaled down to what the page has room for."""
    height, width = pixels.shape[:2]
    widest = config.page_width_px - 2 * config.margin_px
    # whole lines: what stands on the page takes a multiple of the line height
    line = config.line_height_px
    highest = math.floor((config.page_height_px - 2 * config.margin_px) / line) * line
    wanted = width if width_pt is None else width_pt * config.dpi / 72
    scale = min(1.0, wanted / width, widest / width, highest / height)
    if scale == 1:
        return pixels
    size = max(1, math.floor(width * scale)), max(1, math.floor(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
