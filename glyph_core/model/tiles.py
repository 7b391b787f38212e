"""From a page's pixels to the square tiles that CLIP takes, for LLaVA and LLaVA-NeXT.

A whole page in one square of 336 px cannot be read. So a page is cut into as many tiles as keep what is drawn on it at
``min_scale`` of its size or more, which is where an em has :data:`glyph_core.config.render.MIN_EM_PX` pixels.
LLaVA (Liu et al. 2023) has no tiles of its own: each is a picture to it, in reading order. LLaVA-NeXT's are those of
transformers' ``LlavaNextImageProcessorPil``, to which the tests hold them equal, and more where these are too small.

Shapes: N tiles of a page, t a tile's side in pixels, p a tile's side in patches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glyph_core.config import PRESETS
from glyph_core.config.render import MIN_EM_PX
from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import Checkpoint, read_json
from glyph_core.model.patches import GridTHW, level_table, read_processor

WHITE = 255
MAX_TILES = 16  # in one forward of CLIP: enough to fill a GPU, few enough to hold what all its layers give
Size = tuple[int, int]  # (height, width), as transformers has them
Grid = tuple[int, int]  # (rows, columns) of tiles


@dataclass(frozen=True, slots=True)
class TileLook:
    """What one tile is."""

    tile_size: int  # px, t
    patch_size: int  # px
    extra_tokens: int  # of a tile, beside those of its patches: 1 where the class token counts
    min_scale: float  # of a page, at the least
    mean: tuple[float, ...]  # of red, green and blue, in 0..1
    std: tuple[float, ...]
    rescale_factor: float
    resample: int  # PIL's number of the filter

    @property
    def side(self) -> int:
        """p."""
        return self.tile_size // self.patch_size

    def least_grid(self, width_px: int, height_px: int) -> Grid:
        """The fewest tiles on which a page has ``min_scale`` of its size."""
        rows, columns = (max(1, math.ceil(px * self.min_scale / self.tile_size)) for px in (height_px, width_px))
        return rows, columns

    def normalised(self, canvas: np.ndarray) -> np.ndarray:
        """uint8 (rows × t, columns × t) or with 3 channels → tiles (N, 3, t, t) float32, in reading order."""
        levels = level_table(self.mean, self.std, self.rescale_factor)
        t = self.tile_size
        channels = canvas[..., None] if canvas.ndim == 2 else canvas
        rows, columns = channels.shape[0] // t, channels.shape[1] // t
        tiles = channels.reshape(rows, t, columns, t, -1).transpose(0, 2, 4, 1, 3).reshape(rows * columns, -1, t, t)
        return np.stack([levels[channel][tiles[:, channel % tiles.shape[1]]] for channel in range(3)], axis=1)


@dataclass(frozen=True, slots=True)
class TileGeometry:
    """LLaVA: a page is as large as its tiles hold, from the upper left on; the rest of them is white."""

    look: TileLook

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        """Tiles, and the rows and columns of patches in each."""
        rows, columns = self.look.least_grid(width_px, height_px)
        return rows * columns, self.look.side, self.look.side

    def layout(self, width_px: int, height_px: int) -> tuple[int, ...]:
        return self.grid_thw(width_px, height_px)

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        return grid_thw[0] * (grid_thw[1] * grid_thw[2] + self.look.extra_tokens)

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (height, width) or (height, width, 3) → (N, 3, t, t) float32."""
        height, width = pixels.shape[:2]
        rows, columns = self.look.least_grid(width, height)
        canvas = np.full(
            (rows * self.look.tile_size, columns * self.look.tile_size, *pixels.shape[2:]), WHITE, np.uint8
        )
        fitted = fit(pixels, canvas.shape[:2], self.look.resample)
        canvas[: fitted.shape[0], : fitted.shape[1]] = fitted
        return self.look.normalised(canvas)


@dataclass(frozen=True, slots=True)
class NextTileGeometry:
    """LLaVA-NeXT: the whole page squeezed into one tile, then the tiles, of which the padding's tokens are left out and
    each row of patches ends with a token of its own."""

    look: TileLook
    pinpoints: tuple[Size, ...]  # the sizes, in px, that pages are brought to

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        """Tiles with the squeezed page's, and the rows and columns of patches that are left of the others."""
        tiles, rows, columns, *_ = self.layout(width_px, height_px)
        return tiles, rows, columns

    def layout(self, width_px: int, height_px: int) -> tuple[int, ...]:
        """The grid, then the rows and columns of tiles."""
        tile_rows, tile_columns = self.tile_grid(width_px, height_px)
        rows, columns = unpadded((tile_rows * self.look.side, tile_columns * self.look.side), (height_px, width_px))
        return 1 + tile_rows * tile_columns, rows, columns, tile_rows, tile_columns

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        _, rows, columns = grid_thw
        return self.look.side**2 + rows * (columns + 1)

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (height, width) or (height, width, 3) → (1 + N, 3, t, t) float32."""
        height, width = pixels.shape[:2]
        t = self.look.tile_size
        rows, columns = self.tile_grid(width, height)
        canvas = np.zeros((rows * t, columns * t, *pixels.shape[2:]), np.uint8)
        fitted = fit(pixels, canvas.shape[:2], self.look.resample)
        top, left = (canvas.shape[0] - fitted.shape[0]) // 2, (canvas.shape[1] - fitted.shape[1]) // 2
        canvas[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
        squeezed = np.asarray(Image.fromarray(pixels).resize((t, t), self.look.resample))
        return np.concatenate([self.look.normalised(squeezed), self.look.normalised(canvas)])

    def tile_grid(self, width_px: int, height_px: int) -> Grid:
        """As transformers chooses among ``pinpoints``; where that leaves too small an em, the fewest that will do."""
        size = best_resolution((height_px, width_px), self.pinpoints)
        if min(size[0] / height_px, size[1] / width_px) < self.look.min_scale:
            return self.look.least_grid(width_px, height_px)
        return size[0] // self.look.tile_size, size[1] // self.look.tile_size


def best_resolution(original: Size, pinpoints: tuple[Size, ...]) -> Size:
    """Of ``pinpoints`` the one that keeps most of a page's pixels, and of equals the one with the least padding:
    transformers' ``select_best_resolution``."""

    def merit(size: Size) -> tuple[int, int]:
        scale = min(size[1] / original[1], size[0] / original[0])
        kept = min(int(original[1] * scale) * int(original[0] * scale), original[0] * original[1])
        return kept, kept - size[0] * size[1]

    return max(pinpoints, key=merit)


def fit(pixels: np.ndarray, within: tuple[int, ...], resample: int) -> np.ndarray:
    """``pixels`` as large as ``within`` (height, width) holds: transformers' ``get_patch_output_size``."""
    height, width = pixels.shape[:2]
    scale_height, scale_width = within[0] / height, within[1] / width
    if scale_width < scale_height:
        size = within[1], min(math.ceil(height * scale_width), within[0])
    else:
        size = min(math.ceil(width * scale_height), within[1]), within[0]
    return pixels if size == (width, height) else np.asarray(Image.fromarray(pixels).resize(size, resample))


def unpadded(grid: tuple[int, int], original: Size) -> tuple[int, int]:
    """Rows and columns of patches that are left of ``grid`` without the padding of a page of size ``original``:
    transformers' ``unpad_image``."""
    rows, columns = grid
    height, width = original
    if width / height > columns / rows:
        padding = (rows - int(round(height * (columns / width), 7))) // 2
        return rows - 2 * padding, columns
    padding = (columns - int(round(width * (rows / height), 7))) // 2
    return rows, columns - 2 * padding


def read_tile_look(checkpoint: Checkpoint, vision: Mapping[str, Any], *, drops_class: bool) -> TileLook:
    """From the image processor's settings and the vision tower's configuration. Raises ModelError for a missing key."""
    path = checkpoint.path
    values = read_processor(path)
    try:
        tile = _side(values.get("crop_size") or values["size"])
        if tile != vision["image_size"]:
            raise ModelError(
                f"{path}: the image processor makes squares of {tile} px, and the vision tower takes "
                f"{vision['image_size']} px"
            )
        return TileLook(
            tile_size=tile,
            patch_size=int(vision["patch_size"]),
            extra_tokens=0 if drops_class else 1,
            min_scale=MIN_EM_PX / PRESETS[checkpoint.preset].font_size_px,
            mean=tuple(values["image_mean"]),
            std=tuple(values["image_std"]),
            rescale_factor=float(values.get("rescale_factor", 1 / 255)),
            resample=int(values.get("resample", Image.Resampling.BICUBIC)),
        )
    except KeyError as error:
        raise ModelError(f"{path}: config.json or the image processor's settings lack the key {error}") from error


def read_pinpoints(path: Path) -> tuple[Size, ...]:
    """Raises ModelError where neither the image processor's settings nor config.json name them."""
    config = read_json(path / "config.json", required=True)
    pinpoints = read_processor(path).get("image_grid_pinpoints") or config.get("image_grid_pinpoints")
    if not pinpoints:
        raise ModelError(f"{path} names no image_grid_pinpoints, the sizes that pages are brought to")
    return tuple((int(height), int(width)) for height, width in pinpoints)


def _side(size: object) -> int:
    """Of a square, as any version of the settings writes it."""
    if isinstance(size, dict):
        return int(size.get("shortest_edge") or size["height"])
    return int(str(size))
