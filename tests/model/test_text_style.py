"""What fused parts don't run is told before anything is loaded, and runs on transformers' modules."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MistralConfig, Qwen2Config

from glyph_core.errors import ConfigError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import Family, family_of
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.text_style import GLM, LLAMA, QWEN2, QWEN3_VL, TextStyle, why_not_fused
from glyph_core.model.transformers_text import TransformersTextModel
from tests.model.test_fused import hidden_of
from tests.tiny_families import FAMILIES, make_tiny

CPU = torch.device("cpu")


def changed(folder: Path, name: str, **text: Any) -> Family:
    make_tiny(folder, name)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= text
    (folder / "config.json").write_text(json.dumps(config))
    return family_of(resolve_checkpoint(str(folder)))


@pytest.mark.parametrize(
    ("text", "style", "says"),
    [
        ({}, LLAMA, None),
        ({"attention_bias": True}, LLAMA, "attention_bias is set"),
        ({"attention_bias": True}, QWEN2, None),
        ({"mlp_bias": True}, LLAMA, "mlp_bias is set"),
        ({"hidden_act": "gelu"}, QWEN2, "hidden_act is gelu"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}, QWEN3_VL, None),
        ({"rope_parameters": {"rope_type": "llama3"}}, LLAMA, None),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, LLAMA, "rope_type is yarn"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, GLM, "rope_type is dynamic"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, GLM, None),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, LLAMA, "partial_rotary_factor is set"),
    ],
)
def test_what_fused_parts_do_not_run(text: dict[str, Any], style: TextStyle, says: str | None) -> None:
    assert why_not_fused(text, style) == says


def test_it_runs_on_transformers_modules_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    family = changed(tmp_path, "llava", rope_parameters={"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0})
    assert not family.shape().runs_fp8
    with caplog.at_level(logging.WARNING):
        assert isinstance(family.load_text(torch.float32, CPU), TransformersTextModel)
    [told] = caplog.messages
    assert told.endswith("slower: rope_type is dynamic")
    with pytest.raises(ConfigError, match=r"model\.weights is fp8.*rope_type is dynamic; set model\.weights to auto"):
        family.load_text(torch.float32, CPU, weights="fp8")
    with pytest.raises(ConfigError, match=r"model\.kernels is fused.*set model\.kernels to auto"):
        family.load_text(torch.float32, CPU, kernels="fused")
    assert isinstance(family.load_text(torch.float32, CPU, kernels="transformers"), TransformersTextModel)


def test_llavas_of_another_language_model(tmp_path: Path) -> None:
    assert changed(tmp_path / "a", "llava").why_not_fused is None
    assert "its model_type is gemma" in str(changed(tmp_path / "b", "llava", model_type="gemma").why_not_fused)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "linear", "factor": 4.0},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ],
    ids=["linear", "llama3"],
)
def test_frequencies_that_are_scaled(tmp_path: Path, rope: dict[str, Any]) -> None:
    family = changed(tmp_path, "llava", rope_parameters={"rope_theta": 100.0, **rope})
    fused, reference = (family.load_text(torch.float32, CPU, kernels=kernels) for kernels in ("auto", "transformers"))
    assert isinstance(fused, FusedTextModel)
    torch.testing.assert_close(hidden_of(fused), hidden_of(reference), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "kind", [Qwen2Config(), MistralConfig(head_dim=32, sliding_window=None)], ids=["qwen2", "mistral"]
)
def test_a_language_model_of_another_kind_in_llava(tmp_path: Path, kind: Any) -> None:
    """Qwen2 has biases; Mistral's head dim stands by itself."""
    text = FAMILIES["llava"].config(4096)["text_config"].to_dict() | {"model_type": kind.model_type}
    text |= {"head_dim": getattr(kind, "head_dim", 16), "sliding_window": None}
    make_tiny(tmp_path, "llava", text_config=type(kind)(**text))
    family = family_of(resolve_checkpoint(str(tmp_path)))
    fused, reference = (family.load_text(torch.float32, CPU, kernels=kernels) for kernels in ("auto", "transformers"))
    assert isinstance(fused, FusedTextModel)
    torch.testing.assert_close(hidden_of(fused), hidden_of(reference), atol=2e-5, rtol=1e-4)
