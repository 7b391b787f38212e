"""Family ``glm4v``, ``Glm4vForConditionalGeneration``: GLM-4.1V and what grew from it, zai-org/Glyph and glyph-mini."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glyph_core.model.shape import ModelShape, VisionShape
from glyph_core.model.transformers_family import PatchFamily

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import TextModel, VisionModel
    from glyph_core.model.shards import Part
    from glyph_core.model.weights import Weights


class Glm4vFamily(PatchFamily):
    """Runs on our fused parts, unless told otherwise."""

    architecture = "Glm4vForConditionalGeneration"
    vision_parts = ("model.visual",)
    projector_parts = ("model.visual.merger", "model.visual.downsample", "model.visual.post_layernorm")
    vision_names = ("visual.",)
    image_token_id = 151343
    has_axes = True
    runs_fp8 = True

    def vision_shape(self) -> VisionShape:
        return ModelShape.of(self.config).vision

    def load_text(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> TextModel:
        from glyph_core.model.glm4v_fused import FusedGlm4vTextModel
        from glyph_core.model.layer_ops import pick_ops
        from glyph_core.model.loading import is_fused, load_config

        if is_fused(weights=weights, kernels=kernels):
            config, source = load_config(self.checkpoint.path), self._weights("text", dtype, device)
            return FusedGlm4vTextModel(config, source, pick_ops(device), is_fp8=weights == "fp8")
        return super().load_text(dtype, device, weights=weights, kernels=kernels)

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        from glyph_core.model.glm4v_vision import FusedGlm4vVisionModel
        from glyph_core.model.layer_ops import pick_ops
        from glyph_core.model.loading import is_fused, load_config
        from glyph_core.model.pixel_levels import PixelLevels

        if is_fused(weights=weights, kernels=kernels):
            config, source = load_config(self.checkpoint.path), self._weights("vision", dtype, device)
            levels = PixelLevels(self.geometry, dtype, device)
            return FusedGlm4vVisionModel(config, source, pick_ops(device), levels, is_fp8=weights == "fp8")
        return self.load_patch_vision(dtype, device)

    def _weights(self, part: Part, dtype: torch.dtype, device: torch.device) -> Weights:
        from glyph_core.model.weights import CheckpointWeights, RandomWeights

        if self.checkpoint.is_random:
            return RandomWeights(dtype, device)
        self.fetch(part)
        return CheckpointWeights(self.checkpoint.path, dtype, device, part)
