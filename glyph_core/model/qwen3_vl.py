"""Family ``qwen3_vl``: Qwen3-VL (Bai et al. 2025), ``Qwen3VLForConditionalGeneration``.

As Qwen2.5-VL, and its vision tower's inner layers have features of a page for the language model's first layers, too
(DeepStack, Meng et al. 2024).
"""

from __future__ import annotations

from glyph_core.model.qwen2_5_vl import Qwen25VLFamily


class Qwen3VLFamily(Qwen25VLFamily):
    architecture = "Qwen3VLForConditionalGeneration"

    @property
    def num_deepstack(self) -> int:
        return len(self.config["vision_config"]["deepstack_visual_indexes"])
