"""The colours that glyphs can have. Pages are gray until one of them is used."""

from __future__ import annotations

import numpy as np

BLACK, RED, GREEN, BLUE, PURPLE, BROWN, GRAY = range(7)
PALETTE = np.array(  # (num_colours, 3) RGB, each dark enough to be read at 9 px
    [(0, 0, 0), (255, 0, 0), (0, 105, 0), (0, 0, 190), (120, 0, 140), (150, 70, 0), (105, 105, 105)], dtype=np.uint8
)
