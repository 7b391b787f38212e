"""How far dtype, backend and eight bits move the logits, against the same random weights in float32.

Tokens are given (teacher forcing), a prefill and then one by one: greedy decoding would part at the first tie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig

from glyph_core.config import EngineConfig
from glyph_core.engine.attention.choice import choose_attention, make_backend
from glyph_core.engine.attention.protocol import AttentionBatch
from glyph_core.engine.kv_cache import KVCache
from glyph_core.model.family import TextModel
from glyph_core.model.fused_text import FusedTextModel
from glyph_core.model.layer_ops import TorchOps, pick_ops
from glyph_core.model.text_style import GLM
from glyph_core.model.weights import RandomWeights

if TYPE_CHECKING:
    from deployments.bench.bench_plan import BenchPlan

NUM_PREFILL, NUM_SINGLE, BLOCK_SIZE = 96, 16, 16


def accuracy_figures(config: dict[str, Any], plan: BenchPlan) -> list[dict[str, Any]]:
    """Of each way: the logits' error relative to their norm, and how often the likeliest token is the same."""
    hf_config = AutoConfig.for_model(**config)
    exact = teacher_forced_logits(
        FusedTextModel(hf_config, RandomWeights(torch.float32, plan.device), TorchOps(), GLM), "sdpa", "auto", "auto"
    )
    is_cuda = plan.device.type == "cuda"
    ways = [
        ("sdpa", "auto", "auto"),
        ("triton", "varlen", "auto"),
        ("triton", "split", "auto"),
        ("triton", "varlen", "fp8"),
    ]
    figures = []
    for weights in ("auto", "fp8"):
        source = RandomWeights(plan.dtype, plan.device)
        model = FusedTextModel(hf_config, source, pick_ops(plan.device), GLM, is_fp8=weights == "fp8")
        for attention, prefill, kv_dtype in ways if is_cuda else ways[:1]:
            logits = teacher_forced_logits(model, attention, prefill, kv_dtype)
            way = {"weights": weights, "attention": attention, "prefill": prefill, "kv": kv_dtype}
            figures.append(way | logit_error(logits, exact))
    return figures


def logit_error(logits: torch.Tensor, exact: torch.Tensor) -> dict[str, float]:
    """Of (n, V): relative to the norm, and how often the likeliest token is the same."""
    return {
        "relative_error": ((logits - exact).norm() / exact.norm()).item(),
        "same_token": (logits.argmax(-1) == exact.argmax(-1)).float().mean().item(),
    }


@torch.inference_mode()
def teacher_forced_logits(model: TextModel, attention: str, prefill: str, kv_dtype: str) -> torch.Tensor:
    """(NUM_SINGLE + 1, V) float32 on the host."""
    num_tokens = NUM_PREFILL + NUM_SINGLE
    num_blocks = num_tokens // BLOCK_SIZE
    engine = EngineConfig.model_validate({"attention": attention, "prefill": prefill, "kv_dtype": kv_dtype})
    cache = KVCache(model, num_blocks, BLOCK_SIZE, kv_dtype)
    backend = make_backend(choose_attention(engine, model.device, model.dtype), cache, model.num_heads)
    tables = torch.arange(num_blocks, dtype=torch.int32, device=model.device)[None]
    ids = torch.arange(num_tokens, device=model.device) * 37 % (model.vocab_size - 1)
    rows = []
    for start, stop in [(0, NUM_PREFILL), *((at, at + 1) for at in range(NUM_PREFILL, num_tokens))]:
        places = torch.arange(start, stop, device=model.device)
        batch = AttentionBatch(places, tables, (0,), (stop - start,), (stop,))
        hidden = model.forward(model.embed(ids[start:stop]), places.expand(3, -1), backend.plan(batch))
        rows.append(model.logits(hidden[-1:]).float().cpu())
    return torch.cat(rows)
