"""Family ``qwen3_vl``: Qwen3-VL (Bai et al. 2025), ``Qwen3VLForConditionalGeneration``.

As Qwen2.5-VL, and its vision tower's inner layers have features of a page for the language model's first layers, too
(DeepStack, Meng et al. 2024).
"""

from __future__ import annotations

from typing import ClassVar

from glyph_core.model.qwen2_5_vl import Qwen25VLFamily
from glyph_core.model.shape import TowerShape
from glyph_core.model.text_style import QWEN3_VL
from glyph_core.model.tower_shape import qwen_shape


class Qwen3VLFamily(Qwen25VLFamily):
    architecture = "Qwen3VLForConditionalGeneration"
    text_style = QWEN3_VL
    text_defaults: ClassVar = {
        "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 128000,
    }  # fmt: skip
    vision_defaults: ClassVar = {
        "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 3584, "num_position_embeddings": 2304,
        "deepstack_visual_indexes": (8, 16, 24),
    }  # fmt: skip

    def vision_shape(self) -> TowerShape:
        return qwen_shape(self.vision_config, is_third=True)

    @property
    def num_deepstack(self) -> int:
        return len(self.vision_config["deepstack_visual_indexes"])
