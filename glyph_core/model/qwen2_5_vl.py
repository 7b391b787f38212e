"""Family ``qwen2_5_vl``: Qwen2.5-VL (Bai et al. 2025), ``Qwen2_5_VLForConditionalGeneration``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from glyph_core.model.patches import PatchGeometry, read_geometry
from glyph_core.model.shape import TowerShape
from glyph_core.model.text_style import QWEN2_VL
from glyph_core.model.tower_shape import qwen_shape
from glyph_core.model.transformers_family import PatchFamily

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import VisionModel


class Qwen25VLFamily(PatchFamily):
    architecture = "Qwen2_5_VLForConditionalGeneration"
    vision_parts = ("model.visual",)
    projector_parts = ("model.visual.merger", "model.visual.deepstack_merger_list")
    vision_names = ("visual.",)
    image_token_id = 151655
    text_style = QWEN2_VL
    text_defaults: ClassVar = {
        "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 29568, "num_hidden_layers": 80,
        "num_attention_heads": 64, "num_key_value_heads": 8, "max_position_embeddings": 32768,
    }  # fmt: skip
    vision_defaults: ClassVar = {
        "depth": 32, "hidden_size": 3584, "intermediate_size": 3420, "num_heads": 16, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 3584,
    }  # fmt: skip

    def read_geometry(self) -> PatchGeometry:
        return read_geometry(self.checkpoint.path, counts_frames=False)

    def vision_shape(self) -> TowerShape:
        return qwen_shape(self.vision_config, is_third=False)

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        del weights, kernels  # of the language model: the tower runs on transformers' modules, in its dtype
        return self.load_patch_vision(dtype, device)
