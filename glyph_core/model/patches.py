"""From a page's pixels to the patches that a vision tower takes, in numpy and PIL.

Follows transformers' ``Glm4vImageProcessorPil`` and ``Qwen2VLImageProcessorPil`` (smart resize of Qwen2-VL, Wang et al.
2024), to which the tests hold it equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glyph_core.errors import InvalidDocumentError, ModelError
from glyph_core.model.checkpoint import read_json

MAX_ASPECT_RATIO = 200
GridTHW = tuple[int, int, int]  # frames, rows and columns of patches


@dataclass(frozen=True, slots=True)
class PatchGeometry:
    """How a page is cut. A page is fed as ``temporal_patch_size`` equal frames, which make one frame of patches."""

    patch_size: int  # px
    merge_size: int  # a visual token is merge_size² patches
    temporal_patch_size: int
    min_pixels: int  # of the frames that count
    max_pixels: int
    mean: tuple[float, ...]  # of red, green and blue, in 0..1
    std: tuple[float, ...]
    rescale_factor: float
    resample: int  # PIL's number of the filter
    counts_frames: bool = True  # GLM: the limits are for all frames, and a page narrower than a token is enlarged first

    @property
    def token_size(self) -> int:
        """The side in pixels of the square that becomes one visual token."""
        return self.patch_size * self.merge_size

    def resized(self, width_px: int, height_px: int) -> tuple[int, int]:
        """The (width, height) that a page is resized to: multiples of ``token_size``, area within the limits.

        Raises InvalidDocumentError for a page more than 200 times as long as wide.
        """
        side, frames = self.token_size, self.temporal_patch_size if self.counts_frames else 1
        width, height = width_px, height_px
        if self.counts_frames and min(width, height) < side:
            scale = max(side / height, side / width)
            width, height = int(width * scale), int(height * scale)
        if max(width, height) / min(width, height) > MAX_ASPECT_RATIO:
            raise InvalidDocumentError(
                f"a page of {width_px}×{height_px} px is more than {MAX_ASPECT_RATIO} times as long as wide; crop it"
            )
        whole = round(width / side) * side, round(height / side) * side
        area = frames * whole[0] * whole[1]
        if area > self.max_pixels:
            shrink = math.sqrt(frames * width * height / self.max_pixels)
            return _floor(width / shrink, side), _floor(height / shrink, side)
        if area < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (frames * width * height))
            return math.ceil(width * grow / side) * side, math.ceil(height * grow / side) * side
        return whole

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        """The patches of a page of this size, after the resize."""
        width, height = self.resized(width_px, height_px)
        return 1, height // self.patch_size, width // self.patch_size

    def layout(self, width_px: int, height_px: int) -> tuple[int, ...]:
        """The grid is all that a vision tower asks of a page."""
        return self.grid_thw(width_px, height_px)

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        return math.prod(grid_thw) // self.merge_size**2

    def tiles(self, pixels: np.ndarray) -> np.ndarray:
        """A page's pixels, uint8 (height, width) or (height, width, 3) → its patches as they are, uint8 (rows *
        columns of patches, 1 or 3 channels, patch_size²), the patches of a visual token side by side."""
        resized = self._resize(pixels)
        return self._tiles(resized[..., None] if resized.ndim == 2 else resized)

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """As :meth:`tiles`, but normalised and repeated for each channel and frame: (rows * columns of patches,
        3 * temporal_patch_size * patch_size²) float32, as transformers' image processor gives them."""
        tiles, levels = self.tiles(pixels), self.levels()
        out = np.empty((len(tiles), 3, self.temporal_patch_size, self.patch_size**2), np.float32)
        for channel in range(3):
            out[:, channel] = levels[channel][tiles[:, channel % tiles.shape[1]]][:, None]
        return out.reshape(len(tiles), -1)

    def _resize(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        size = self.resized(width, height)
        if size == (width, height):
            return pixels
        return np.asarray(Image.fromarray(pixels).resize(size, self.resample))

    def levels(self) -> np.ndarray:
        """(3, 256) float32, see :func:`level_table`."""
        return level_table(self.mean, self.std, self.rescale_factor)

    def _tiles(self, channels: np.ndarray) -> np.ndarray:
        """(height, width, C) → (rows * columns of patches, C, patch_size²), in the order of the visual tokens."""
        height, width, num_channels = channels.shape
        p, m, side = self.patch_size, self.merge_size, self.token_size
        grid = channels.reshape(height // side, m, p, width // side, m, p, num_channels)
        return grid.transpose(0, 3, 1, 4, 6, 2, 5).reshape(-1, num_channels, p * p)


def level_table(mean: Sequence[float], std: Sequence[float], rescale_factor: float) -> np.ndarray:
    """What each of the 256 levels becomes in each channel, (3, 256) float32: a page has no other values."""
    level = (np.arange(256, dtype=np.float64) * rescale_factor).astype(np.float32)
    means, deviations = (np.asarray(values, np.float32)[:, None] for values in (mean, std))
    return (level[None] - means) / deviations


def _floor(length: float, side: int) -> int:
    return max(side, math.floor(length / side) * side)


def read_geometry(path: Path, *, counts_frames: bool = True) -> PatchGeometry:
    """From ``processor_config.json`` (transformers 5) or ``preprocessor_config.json`` in the folder ``path``.

    Raises ModelError where neither is there or a key is missing.
    """
    values = read_processor(path)
    try:
        size = values.get("size") or {}
        return PatchGeometry(
            patch_size=int(values["patch_size"]),
            merge_size=int(values["merge_size"]),
            temporal_patch_size=int(values["temporal_patch_size"]),
            min_pixels=int(values.get("min_pixels") or size["shortest_edge"]),  # the first is Qwen's older name
            max_pixels=int(values.get("max_pixels") or size["longest_edge"]),
            mean=tuple(values["image_mean"]),
            std=tuple(values["image_std"]),
            rescale_factor=float(values.get("rescale_factor", 1 / 255)),
            resample=int(values.get("resample", Image.Resampling.BICUBIC)),
            counts_frames=counts_frames,
        )
    except KeyError as error:
        raise ModelError(f"the image processor's configuration in {path} lacks the key {error}") from error


def read_processor(path: Path) -> Mapping[str, Any]:
    """The image processor's settings in the folder ``path``; raises ModelError where there are none."""
    values = read_json(path / "processor_config.json").get("image_processor")
    values = values or read_json(path / "preprocessor_config.json")
    if not values:
        raise ModelError(
            f"{path} has neither processor_config.json nor preprocessor_config.json; get the whole checkpoint"
        )
    return dict(values)
