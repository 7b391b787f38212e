"""Family ``llava``, ``LlavaForConditionalGeneration``: LLaVA-1.5 (Liu et al. 2023), which is CLIP, a projector of two
layers, and Vicuna or another Llama. A page is several tiles, each a picture to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.shape import TowerShape
from glyph_core.model.text_style import LLAMA, QWEN2
from glyph_core.model.tiles import TileGeometry, TileLook, read_tile_look
from glyph_core.model.tower_shape import clip_shape
from glyph_core.model.transformers_family import TransformersFamily

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import PageGeometry, VisionModel


class LlavaFamily(TransformersFamily):
    architecture = "LlavaForConditionalGeneration"
    vision_parts = ("model.vision_tower", "model.multi_modal_projector")
    projector_parts = ("model.multi_modal_projector", "model.image_newline")
    vision_names = ("vision_tower.", "multi_modal_projector.")
    image_token_id = 32000
    text_defaults: ClassVar = {  # Llama's
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 2048,
    }  # fmt: skip
    vision_defaults: ClassVar = {  # CLIP's
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 224, "patch_size": 32,
    }  # fmt: skip
    text_styles: ClassVar = {"llama": LLAMA, "mistral": LLAMA, "qwen2": QWEN2}  # of the models that it is built on
    has_newline: ClassVar = False  # rows of patches end with a learnt one

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.text_type = str(self.text_config.get("model_type", "llama"))
        self.text_style = self.text_styles.get(self.text_type, LLAMA)

    @property
    def why_not_fused(self) -> str | None:
        if self.text_type not in self.text_styles:
            return f"its model_type is {self.text_type}, and there are fused parts for {', '.join(self.text_styles)}"
        return super().why_not_fused

    def read_geometry(self) -> PageGeometry:
        return TileGeometry(self.read_look())

    def read_look(self) -> TileLook:
        return read_tile_look(self.checkpoint, self.vision_config, drops_class=self.drops_class)

    def vision_shape(self) -> TowerShape:
        layer = self.config.get("vision_feature_layer", -2)
        num_layers = 1 if isinstance(layer, int) else len(layer)
        out = self.text_config["hidden_size"]
        return clip_shape(self.vision_config, out, num_feature_layers=num_layers, has_newline=self.has_newline)

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        del weights, kernels  # of the language model: the tower runs on transformers' modules, in its dtype
        return self.vision_of(self.load_part("vision", dtype, device, "sdpa"), dtype, device)

    def vision_of(self, model: Any, dtype: torch.dtype, device: torch.device) -> VisionModel:
        from glyph_core.model.transformers_vision import TileVisionModel

        return TileVisionModel(model, model.config.vision_feature_layer, drops_class=self.drops_class)

    @property
    def drops_class(self) -> bool:
        return bool(self.config.get("vision_feature_select_strategy", "default") == "default")
