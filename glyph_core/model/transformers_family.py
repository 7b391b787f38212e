"""What the adapters of families that run on transformers' modules have in common. Imports torch only to load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import Checkpoint, read_json
from glyph_core.model.patches import GridTHW, PatchGeometry, read_geometry

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import PageGeometry, TextModel, VisionModel

TEXT_PARTS = ("model.language_model", "lm_head")


class TransformersFamily(ABC):
    """A :class:`glyph_core.model.family.Family`; an adapter says the rest."""

    architecture: ClassVar[str]  # transformers' class
    vision_parts: ClassVar[tuple[str, ...]]  # its children that are not the language model's
    image_token_id: ClassVar[int]  # where config.json does not name it
    has_axes: ClassVar[bool]  # rotary positions have three axes (mrope)

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises ModelError for small files that are missing or damaged."""
        self.checkpoint = checkpoint
        self.config = read_json(checkpoint.path / "config.json", required=True)
        ids = (self.config.get(key) for key in ("image_token_id", "image_token_index"))
        self.placeholder_token_id = next((int(i) for i in ids if i is not None), self.image_token_id)
        self.geometry = self.read_geometry()

    @abstractmethod
    def read_geometry(self) -> PageGeometry: ...

    @abstractmethod
    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel: ...

    @property
    def num_deepstack(self) -> int:
        """The language model's first layers that get features of a page of their own."""
        return 0

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        return self.geometry.grid_thw(width_px, height_px)

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        return self.geometry.num_visual_tokens(grid_thw)

    def preprocess(self, pages: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 pages → pixel_values (patches or tiles of all pages, …) float32 and layouts (pages, 3 or more)."""
        import torch

        pixel_values = np.concatenate([self.geometry.patches(page) for page in pages])
        layouts = [self.geometry.layout(width_px=page.shape[1], height_px=page.shape[0]) for page in pages]
        return torch.from_numpy(pixel_values), torch.tensor(layouts)

    def load_text(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> TextModel:
        from glyph_core.model.attention import ATTENTION_NAME
        from glyph_core.model.transformers_text import TransformersTextModel

        self.refuse(weights=weights, kernels=kernels)
        model = self.load_without(self.vision_parts, dtype, device, ATTENTION_NAME)
        return TransformersTextModel(model, has_axes=self.has_axes, num_deepstack=self.num_deepstack)

    def load_without(self, dropped: Sequence[str], dtype: torch.dtype, device: torch.device, attention: str) -> Any:
        """The transformers model without the children ``dropped``. Raises ModelError naming a missing weight."""
        import transformers

        from glyph_core.model.loading import load_part, make_random_part

        return (make_random_part if self.checkpoint.is_random else load_part)(
            getattr(transformers, self.architecture),
            self.checkpoint.path,
            dropped=dropped,
            dtype=dtype,
            device=device,
            attention=attention,
        )

    def refuse(self, *, weights: str, kernels: str) -> None:
        """Raises ConfigError for what only fused parts can do."""
        for option, value, other in (("weights", weights, "fp8"), ("kernels", kernels, "fused")):
            if value == other:
                raise ConfigError(
                    f"model.{option} is {value}, and the family {self.checkpoint.family} runs on transformers' modules "
                    f"only; set model.{option} to auto"
                )


class PatchFamily(TransformersFamily):
    """Whose tower takes patches of pages of any size, GLM's and Qwen's."""

    geometry: PatchGeometry

    def read_geometry(self) -> PatchGeometry:
        return read_geometry(self.checkpoint.path)

    def preprocess(self, pages: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 pages → tiles (N, channels, patch_size²) uint8, one channel where all pages are gray, and grid_thw
        (pages, 3) int64. The device makes levels of them: as float32 they would be 24 times as many bytes."""
        import torch

        tiles = [self.geometry.tiles(page) for page in pages]
        num_channels = max(page.shape[1] for page in tiles)
        tiles = [np.broadcast_to(page, (page.shape[0], num_channels, page.shape[2])) for page in tiles]
        grids = [self.grid_thw(width_px=page.shape[1], height_px=page.shape[0]) for page in pages]
        return torch.from_numpy(np.concatenate(tiles)), torch.tensor(grids)

    def load_patch_vision(self, dtype: torch.dtype, device: torch.device) -> VisionModel:
        from glyph_core.model.pixel_levels import PixelLevels
        from glyph_core.model.transformers_vision import PatchVisionModel
        from glyph_core.model.whole_kernels import replace_whole_kernels

        model = self.load_without(TEXT_PARTS, dtype, device, "sdpa")
        replace_whole_kernels(model)
        return PatchVisionModel(model, PixelLevels(self.geometry, dtype, device))
