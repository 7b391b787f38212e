"""Family ``qwen2_5_vl``: Qwen2.5-VL (Bai et al. 2025), ``Qwen2_5_VLForConditionalGeneration``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glyph_core.model.patches import PatchGeometry, read_geometry
from glyph_core.model.transformers_family import PatchFamily

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import VisionModel


class Qwen25VLFamily(PatchFamily):
    architecture = "Qwen2_5_VLForConditionalGeneration"
    vision_parts = ("model.visual",)
    image_token_id = 151655
    has_axes = True

    def read_geometry(self) -> PatchGeometry:
        return read_geometry(self.checkpoint.path, counts_frames=False)

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        self.refuse(weights=weights, kernels=kernels)
        return self.load_patch_vision(dtype, device)
