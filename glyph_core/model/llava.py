"""Family ``llava``, ``LlavaForConditionalGeneration``: LLaVA-1.5 (Liu et al. 2023), which is CLIP, a projector of two
layers, and Vicuna or another Llama. A page is several tiles, each a picture to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glyph_core.model.tiles import TileGeometry, read_tile_look
from glyph_core.model.transformers_family import TEXT_PARTS, TransformersFamily

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import PageGeometry, VisionModel


class LlavaFamily(TransformersFamily):
    architecture = "LlavaForConditionalGeneration"
    vision_parts = ("model.vision_tower", "model.multi_modal_projector")
    image_token_id = 32000
    has_axes = False

    def read_geometry(self) -> PageGeometry:
        return TileGeometry(read_tile_look(self.checkpoint))

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        from glyph_core.model.transformers_vision import TileVisionModel

        return TileVisionModel(
            *self.load_tower(dtype, device, weights=weights, kernels=kernels), drops_class=self.drops_class
        )

    def load_tower(self, dtype: torch.dtype, device: torch.device, *, weights: str, kernels: str) -> tuple[Any, Any]:
        """CLIP and the projector, and the layers whose hidden states are the features."""
        self.refuse(weights=weights, kernels=kernels)
        model = self.load_without(TEXT_PARTS, dtype, device, "sdpa")
        return model, model.config.vision_feature_layer

    @property
    def drops_class(self) -> bool:
        return bool(self.config.get("vision_feature_select_strategy", "default") == "default")
