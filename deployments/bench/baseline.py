"""transformers as it stands, at a shape with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, Glm4vForConditionalGeneration

from deployments.bench.limits import least_s

if TYPE_CHECKING:
    from deployments.bench.bench_plan import BenchPlan

NUM_NEW_TOKENS = 8


def hf_figures(config: dict[str, Any], plan: BenchPlan, num: int, context: int) -> dict[str, Any]:
    """``generate`` greedily: prefill, and tokens a second of all sequences together after it."""
    model = _random_model(config, plan)
    model.model.visual = None
    model.generation_config.eos_token_id = None
    ids = torch.randint(10, 250, (num, context), device=plan.device)
    mask = torch.ones_like(ids)

    def generate(num_tokens: int) -> None:
        model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=num_tokens, do_sample=False)

    with torch.inference_mode():
        first_s = least_s(lambda: generate(1), plan.device, times=1)
        all_s = least_s(lambda: generate(1 + NUM_NEW_TOKENS), plan.device, times=1)
    step_s = max(all_s - first_s, 1e-9) / NUM_NEW_TOKENS
    return {"num_sequences": num, "context": context, "prefill_s": first_s, "tokens_s": num / step_s}


def _random_model(config: dict[str, Any], plan: BenchPlan) -> Any:
    """Made on the device, in the plan's dtype; weights drawn there."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(plan.dtype)
    try:
        with torch.device(plan.device):
            model = Glm4vForConditionalGeneration(AutoConfig.for_model(**config))
    finally:
        torch.set_default_dtype(before)
    return model.eval().requires_grad_(False)
