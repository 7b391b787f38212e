"""Pages' pixels as a vision tower takes them, made where it runs: a page travels in its 256 levels."""

from __future__ import annotations

import torch

from glyph_core.model.patches import PatchGeometry


class PixelLevels:
    """What :meth:`PatchGeometry.patches` does, to the last bit, from the tiles that lie on a device."""

    def __init__(self, geometry: PatchGeometry, dtype: torch.dtype, device: torch.device) -> None:
        self._frames = geometry.temporal_patch_size
        self._levels = torch.from_numpy(geometry.levels()).to(device, dtype)  # (3, 256)

    def __call__(self, tiles: torch.Tensor) -> torch.Tensor:
        """uint8 (N, 1 or 3, p²) → (N, 3 * frames * p²): normalised, each frame the same."""
        num_patches = len(tiles)
        if tiles.shape[1] == 1:
            channels = self._levels[:, tiles[:, 0].int()].transpose(0, 1)  # (N, 3, p²)
        else:
            channels = torch.stack([self._levels[i][tiles[:, i].int()] for i in range(3)], dim=1)
        return channels[:, :, None].expand(-1, -1, self._frames, -1).reshape(num_patches, -1)
