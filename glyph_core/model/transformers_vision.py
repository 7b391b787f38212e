"""Vision towers and projectors as transformers has them.

Shapes: N patches or tiles of a batch of pages, H the language model's hidden size, D deepstack layers.
"""

from __future__ import annotations

from typing import Any

import torch

from glyph_core.model.pixel_levels import PixelLevels
from glyph_core.model.tiles import MAX_TILES


class PatchVisionModel:
    """Towers that take patches of pages of any size, Qwen's and GLM's; a
    :class:`glyph_core.model.family.VisionModel`."""

    def __init__(self, model: Any, levels: PixelLevels) -> None:
        self._model, self._levels = model, levels
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device

    def encode(self, tiles: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        """(N, channels, p²) uint8 and (pages, 3) int64 → one (num_visual_tokens, H × (1 + D)) a page."""
        pixel_values = self._levels(tiles.to(self.device, non_blocking=True))
        output = self._model.model.get_image_features(pixel_values, grid_thw.to(self.device), return_dict=True)
        pages = list(output.pooler_output)
        deepstack = getattr(output, "deepstack_features", None) or []
        if not deepstack:
            return pages
        return [torch.cat(layers, dim=-1) for layers in zip(pages, *map(list, deepstack), strict=True)]


class TileVisionModel:
    """CLIP (Radford et al. 2021) and LLaVA's projector: every tile by itself."""

    def __init__(self, model: Any, layer: int | list[int], *, drops_class: bool) -> None:
        """``layer``: whose hidden states are the features, several side by side; ``drops_class``: without the class
        token's."""
        self._model = model
        self._layers = [layer] if isinstance(layer, int) else layer
        self._first = 1 if drops_class else 0
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device

    def encode(self, pixel_values: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, t, t) float32 and (pages, 3) int64 → one (num_visual_tokens, H) a page."""
        tiles = self.tile_features(pixel_values)
        return [page.flatten(0, 1) for page in torch.split(tiles, grid_thw[:, 0].tolist())]

    def tile_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """(N, 3, t, t) → (N, tokens of a tile, H)."""
        return torch.cat([self._forward(tiles) for tiles in torch.split(pixel_values, MAX_TILES)])

    def _forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        tower = self._model.model.vision_tower
        states = tower(pixel_values.to(self.device, self.dtype), output_hidden_states=True).hidden_states
        features = torch.cat([states[layer][:, self._first :] for layer in self._layers], dim=-1)
        projected: torch.Tensor = self._model.model.multi_modal_projector(features)
        return projected


class NextTileVisionModel(TileVisionModel):
    """LLaVA-NeXT: a page's tiles are put together, padding is left out, and rows end with a token of their own."""

    def encode(self, pixel_values: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        """As :meth:`TileVisionModel.encode`; a page's layout goes on with its rows and columns of tiles."""
        layouts = grid_thw.tolist()
        pages = torch.split(self.tile_features(pixel_values), [num_tiles for num_tiles, *_ in layouts])
        return [self._pack(page, layout) for page, layout in zip(pages, layouts, strict=True)]

    def _pack(self, tiles: torch.Tensor, layout: list[int]) -> torch.Tensor:
        """(1 + rows × columns of tiles, p², H) → (num_visual_tokens, H)."""
        _, rows, columns, tile_rows, tile_columns = layout
        side, width = int(tiles.shape[1] ** 0.5), tiles.shape[2]
        grid = tiles[1:].view(tile_rows, tile_columns, side, side, width).transpose(1, 2)
        grid = grid.reshape(tile_rows * side, tile_columns * side, width)
        top, left = (grid.shape[0] - rows) // 2, (grid.shape[1] - columns) // 2
        kept = grid[top : top + rows, left : left + columns]
        newline = self._model.model.image_newline.expand(rows, 1, -1).to(kept)
        return torch.cat([tiles[0], torch.cat([kept, newline], dim=1).flatten(0, 1)])
