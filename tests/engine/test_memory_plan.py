"""The plan's arithmetic against the models themselves, and at the 9B's shape against figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, Glm4vForConditionalGeneration

import glyph_core.model
from glyph_core.config import CreditConfig, EngineConfig
from glyph_core.engine.attention.prefill import PREFIX_STEP
from glyph_core.engine.kv_cache import KVCache
from glyph_core.engine.memory_plan import GIB, PREFILL_FILL, MemoryPlan, plan_memory
from glyph_core.errors import ConfigError, ModelError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.family import family_of
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.glm4v_vision import FusedGlm4vVisionModel
from glyph_core.model.shape import ModelShape

CONFIG_9B = Path(glyph_core.model.__file__).parent / "configs" / "glyph_9b.json"
MINI = resolve_checkpoint("glyph-mini").path / "config.json"


def shape_of(path: Path) -> ModelShape:
    return ModelShape.of(json.loads(path.read_text()))


def plan_9b(budget_gb: float, *, is_fp8: bool = False, **fields: Any) -> MemoryPlan:
    engine = EngineConfig.model_validate(fields)
    return plan_memory(shape_of(CONFIG_9B), engine, CreditConfig(), budget_gb=budget_gb, is_fp8=is_fp8)


@pytest.mark.parametrize("path", [CONFIG_9B, MINI], ids=["9B", "mini"])
def test_every_weight_is_counted(path: Path) -> None:
    shape = shape_of(path)
    with torch.device("meta"):
        model = Glm4vForConditionalGeneration(AutoConfig.for_model(**json.loads(path.read_text())))
    vision = sum(weight.numel() for weight in model.model.visual.parameters())
    text = sum(weight.numel() for weight in model.parameters()) - vision
    assert shape.text.num_kept_weights + shape.text.num_linear_weights == text
    assert shape.vision.num_kept_weights + shape.vision.num_linear_weights == vision


def test_fp8_weights_and_blocks_as_they_are_made() -> None:
    shape, cpu = shape_of(MINI).text, torch.device("cpu")
    model = family_of(resolve_checkpoint("glyph-mini")).load_text(torch.bfloat16, cpu, weights="fp8")
    assert isinstance(model, FusedTextModel)
    assert model.num_bytes == shape.weight_bytes(2, is_fp8=True)
    tower = family_of(resolve_checkpoint("glyph-mini")).load_vision(torch.bfloat16, cpu, weights="fp8")
    assert isinstance(tower, FusedGlm4vVisionModel)
    assert tower.num_bytes == shape_of(MINI).vision.weight_bytes(2, is_fp8=True)
    assert KVCache.num_block_bytes(model, 16) == 16 * shape.kv_bytes(2)
    assert KVCache.num_block_bytes(model, 16, "fp8") == 16 * shape.kv_bytes(1)


def test_the_9b_on_24_gb() -> None:
    """Weights by hand: 2 × 151552 × 4096 at the ends; a layer 4096 × (4608 + 4096 + 3 × 13696) = 203.9 M."""
    bf16, fp8 = plan_9b(24), plan_9b(24, is_fp8=True)
    assert bf16.decoder.weights == pytest.approx(2 * (2 * 151552 * 4096 + 40 * 203.95e6), rel=0.001)
    assert fp8.decoder.weights == pytest.approx(2 * 2 * 151552 * 4096 + 40 * 203.95e6, rel=0.001)
    for plan in (bf16, fp8):
        assert plan.decoder.kv == plan.num_blocks * 16 * 40 * 1024  # 40 KiB a token
        assert 0 <= plan.unused < 16 * 40 * 1024
        assert plan.decoder.total + plan.encoder.total <= 24 * GIB
    assert fp8.num_documents > 2.5
    assert bf16.num_documents < fp8.num_documents / 2
    assert f"{fp8.num_blocks} blocks hold {fp8.num_kv_tokens} tokens" in str(fp8)


def test_fp8_keys_and_values_hold_twice_as_much() -> None:
    assert plan_9b(24, kv_dtype="fp8").num_blocks == pytest.approx(2 * plan_9b(24).num_blocks, rel=0.05)


def test_larger_steps_leave_less() -> None:
    assert plan_9b(24, max_num_batched_tokens=8192).num_blocks < plan_9b(24).num_blocks


def test_a_whole_document_in_what_the_seed_needs() -> None:
    """16.3 GB, which the seed article names for half precision."""
    assert plan_9b(16.3e9 / GIB, is_fp8=True, kv_dtype="fp8").num_documents > 1


def test_blocks_that_are_named_are_what_is_planned() -> None:
    plan = plan_9b(24, is_fp8=True, num_blocks=5000)
    assert plan.num_blocks == 5000
    assert plan.unused > 5 * GIB
    with pytest.raises(ConfigError, match="too small"):
        plan_9b(24, num_blocks=50_000)


def test_too_small_a_budget_says_what_would_fit() -> None:
    with pytest.raises(ConfigError, match=r"=16 is too small: 2\d\.\d+ GiB is the least.*with weights fp8 it"):
        plan_9b(16)
    with pytest.raises(ConfigError, match=r"with max_num_batched_tokens=256 it would fit"):
        plan_9b(19, is_fp8=True, max_num_batched_tokens=65536)
    with pytest.raises(ConfigError, match=r"the least that this model runs in is 1\d\.\d+ GiB, with weights fp8"):
        plan_9b(8)
    with pytest.raises(ConfigError, match=r"with weights fp8 and max_num_batched_tokens=256 it would fit"):
        plan_9b(16, max_num_batched_tokens=65536)


def test_a_configuration_without_a_key_is_refused() -> None:
    with pytest.raises(ModelError, match="vision_config"):
        ModelShape.of({"text_config": json.loads(CONFIG_9B.read_text())["text_config"]})


def test_what_a_chunk_is_filled_up_by_is_counted() -> None:
    assert PREFIX_STEP == PREFILL_FILL
