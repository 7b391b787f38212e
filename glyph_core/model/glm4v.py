"""Family ``glm4v``, ``Glm4vForConditionalGeneration``: GLM-4.1V and what grew from it, zai-org/Glyph and glyph-mini."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glyph_core.model.shape import ModelShape, VisionShape
from glyph_core.model.text_style import GLM
from glyph_core.model.transformers_family import PatchFamily

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import VisionModel


class Glm4vFamily(PatchFamily):
    """Its tower runs on our fused parts, too."""

    architecture = "Glm4vForConditionalGeneration"
    vision_parts = ("model.visual",)
    projector_parts = ("model.visual.merger", "model.visual.downsample", "model.visual.post_layernorm")
    vision_names = ("visual.",)
    image_token_id = 151343
    text_style = GLM

    def vision_shape(self) -> VisionShape:
        return ModelShape.of(self.config).vision

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        from glyph_core.model.glm4v_vision import FusedGlm4vVisionModel
        from glyph_core.model.layer_ops import pick_ops
        from glyph_core.model.loading import is_fused, load_config
        from glyph_core.model.pixel_levels import PixelLevels

        if is_fused(weights=weights, kernels=kernels):
            config, source = load_config(self.checkpoint.path), self.read_weights("vision", dtype, device)
            levels = PixelLevels(self.geometry, dtype, device)
            return FusedGlm4vVisionModel(config, source, pick_ops(device), levels, is_fp8=weights == "fp8")
        return self.load_patch_vision(dtype, device)
