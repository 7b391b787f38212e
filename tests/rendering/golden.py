"""The golden pages of preset ``mini``: glyph-mini is trained on these very pixels.

``python -m tests.rendering.golden`` draws them anew. Do so only when the look of ``mini`` is meant to change: raise
``RENDERER_VERSION`` with it, and train glyph-mini again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from glyph_core.config import preset
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentSource

FOLDER = Path(__file__).parents[1] / "golden"
NAMES = ("prose", "form", "accents")


def draw(name: str) -> np.ndarray:
    """The one page of ``golden/{name}.txt``, (height, width) uint8."""
    renderer = PageRenderer(preset("mini"))
    source = DocumentSource(name, (FOLDER / f"{name}.txt").read_bytes())
    (page,) = renderer.render(source, 0, renderer.plan(source).num_pages)
    return page.pixels


def read(name: str) -> np.ndarray:
    return np.asarray(Image.open(FOLDER / f"{name}.png"))


if __name__ == "__main__":
    for name in NAMES:
        Image.fromarray(draw(name)).save(FOLDER / f"{name}.png", optimize=True)
