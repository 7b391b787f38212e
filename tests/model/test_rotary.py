"""Frequencies and axes at published sizes are those that transformers turns with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.models.glm4v.configuration_glm4v import Glm4vTextConfig
from transformers.models.glm4v.modeling_glm4v import Glm4vTextRotaryEmbedding
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLRotaryEmbedding
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextRotaryEmbedding

from glyph_core.errors import ModelError
from glyph_core.model.layer_ops import TorchOps
from glyph_core.model.rotary import rotary
from glyph_core.model.text_style import GLM, LLAMA, QWEN2_VL, QWEN3_VL, TextStyle

CPU, HEAD_DIM = torch.device("cpu"), 128
SIZES = {"hidden_size": 512, "num_attention_heads": 4, "head_dim": HEAD_DIM}
THETA = {"rope_type": "default", "rope_theta": 10_000.0}


@pytest.mark.parametrize(
    ("config", "embedding", "style"),
    [
        (LlamaConfig(**SIZES, rope_parameters=THETA), LlamaRotaryEmbedding, LLAMA),
        (
            Qwen2_5_VLTextConfig(**SIZES, rope_parameters=THETA | {"mrope_section": [16, 24, 24]}),
            Qwen2_5_VLRotaryEmbedding,
            QWEN2_VL,
        ),
        (
            Qwen3VLTextConfig(**SIZES, rope_parameters=THETA | {"mrope_section": [24, 20, 20]}),
            Qwen3VLTextRotaryEmbedding,
            QWEN3_VL,
        ),
        (
            Glm4vTextConfig(
                **SIZES, rope_parameters=THETA | {"mrope_section": [8, 12, 12], "partial_rotary_factor": 0.5}
            ),
            Glm4vTextRotaryEmbedding,
            GLM,
        ),
    ],
    ids=["llama", "qwen2_5_vl", "qwen3_vl", "glm4v"],
)
def test_angles_are_those_of_transformers(config: Any, embedding: Any, style: TextStyle) -> None:
    """Also where config.json names no sections."""
    positions = torch.randint(0, 5000, (3, 20), generator=torch.Generator().manual_seed(0))
    given = positions[:, None] if style.has_axes else positions[:1]
    expected = [x[0].reshape(20, -1) for x in embedding(config)(torch.zeros(1), given)]
    for has_sections in (True, False):
        if not has_sections:
            config.rope_parameters.pop("mrope_section", None)
        inv_freq, axes = rotary(config, style, HEAD_DIM, CPU)
        for got, wide in zip(TorchOps().rotary(positions, axes, inv_freq), expected, strict=True):
            pairs = wide[:, : len(inv_freq)] if style.pairs == "halves" else wide[:, ::2]
            torch.testing.assert_close(got, pairs, atol=1e-6, rtol=0)


def test_sections_that_do_not_add_up_are_refused() -> None:
    config = Qwen2_5_VLTextConfig(**SIZES, rope_parameters=THETA | {"mrope_section": [16, 24, 20]})
    with pytest.raises(ModelError, match=r"\[16, 24, 20\] does not add up to the 64 pairs"):
        rotary(config, QWEN2_VL, HEAD_DIM, CPU)
