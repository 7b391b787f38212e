"""transformers as it stands, and our vision tower, at a shape with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, Glm4vForConditionalGeneration

from deployments.bench.limits import least_s
from glyph_core.model.shape import ModelShape, VisionShape
from glyph_core.model.transformers_vision import PatchVisionModel

if TYPE_CHECKING:
    from deployments.bench.engine import BenchPlan

NUM_NEW_TOKENS = 8
PATCH_GRID = (60, 42)  # of 842×595 px


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


def vision_figures(config: dict[str, Any], plan: BenchPlan, matmul_flops_s: float) -> dict[str, Any]:
    """A batch of pages through the vision tower and projector."""
    model = _random_model(config, plan)
    model.model.language_model = model.lm_head = None
    tower, shape = PatchVisionModel(model), ModelShape.of(config).vision
    height, width = PATCH_GRID
    grids = torch.tensor([[1, height, width]] * plan.encode_pages)
    pixels = torch.randn(plan.encode_pages * height * width, shape.patch_numbers)
    with torch.inference_mode():
        encode_s = least_s(lambda: tower.encode(pixels, grids), plan.device, times=3)
    flops = plan.encode_pages * vision_flops(shape, height * width)
    return {
        "num_pages": plan.encode_pages,
        "page_ms": 1e3 * encode_s / plan.encode_pages,
        "of_matmul": flops / encode_s / matmul_flops_s,
    }


def vision_flops(shape: VisionShape, num_patches: int) -> int:
    """Of one page: the layers, attention within the page, downsampling and projector."""
    h, out = shape.hidden_size, shape.out_hidden_size
    layers = shape.num_layers * (2 * num_patches * (4 * h * h + 3 * h * out) + 4 * num_patches**2 * h)
    projector = out * h * shape.merge_size**2 + out * out + 3 * out * shape.intermediate_size
    return layers + 2 * num_patches * h * shape.patch_numbers + 2 * num_patches // shape.merge_size**2 * projector


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
