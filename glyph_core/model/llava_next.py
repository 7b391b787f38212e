"""Family ``llava_next``, ``LlavaNextForConditionalGeneration``: LLaVA-NeXT (Liu et al. 2024), as LLaVA, with tiles of
its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glyph_core.errors import ModelError
from glyph_core.model.llava import LlavaFamily
from glyph_core.model.tiles import NextTileGeometry, read_pinpoints

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import PageGeometry, VisionModel


class LlavaNextFamily(LlavaFamily):
    architecture = "LlavaNextForConditionalGeneration"
    has_newline = True
    shared_names = ("image_newline",)  # transformers' initialisation wants it in the language model's half, too

    def read_geometry(self) -> PageGeometry:
        if not self.drops_class:
            raise ModelError(f"{self.checkpoint.path}: vision_feature_select_strategy has to be 'default' for tiles")
        return NextTileGeometry(self.read_look(), read_pinpoints(self.checkpoint.path))

    def vision_of(self, model: Any, dtype: torch.dtype, device: torch.device) -> VisionModel:
        from glyph_core.model.transformers_vision import NextTileVisionModel

        return NextTileVisionModel(model, model.config.vision_feature_layer, drops_class=True)
