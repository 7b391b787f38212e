"""The vision tower at a shape with random weights: ours beside transformers' own, by pages at once.

Both have the same weights, so the features that come out are compared, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, Glm4vForConditionalGeneration

from deployments.bench.limits import least_s
from deployments.bench.report import Json
from glyph_core.model.glm4v_vision import FusedGlm4vVisionModel
from glyph_core.model.layer_ops import TorchOps, pick_ops
from glyph_core.model.patches import PatchGeometry
from glyph_core.model.pixel_levels import PixelLevels
from glyph_core.model.shape import ModelShape, VisionShape
from glyph_core.model.transformers_vision import PatchVisionModel
from glyph_core.model.weights import RandomWeights

PATCH_GRID = (60, 42)  # of 842×595 px
ACCURACY_GRIDS = ((60, 42), (12, 42), (30, 20))
PATCH_SIDE = 14  # px
GEOMETRY = PatchGeometry(
    PATCH_SIDE, 2, 2, 12_544, 11_760_000, mean=(0.481, 0.458, 0.408), std=(0.269, 0.261, 0.276),
    rescale_factor=1 / 255, resample=3,
)  # fmt: skip
PREFIX = "model.visual."


@dataclass(slots=True)
class GivenWeights:
    """A transformers model's own, for ours to be made of; a :class:`glyph_core.model.weights.Weights`."""

    state: dict[str, torch.Tensor]
    dtype: torch.dtype
    device: torch.device

    def take(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        weight = self.state[PREFIX + name]
        if tuple(weight.shape) != tuple(shape):
            raise ValueError(f"{name} is {tuple(weight.shape)}, not {tuple(shape)}")
        return weight.to(self.device, self.dtype)

    def __contains__(self, name: str) -> bool:
        return PREFIX + name in self.state


def vision_figures(
    config: Json, dtype: torch.dtype, device: torch.device, matmul_flops_s: float, batches: Sequence[int]
) -> list[Json]:
    """Milliseconds a page of 595×842 px, and what part of the device's rate of products that is."""
    model = _random_tower(config, dtype, device)
    shape, figures = ModelShape.of(config).vision, []
    for way in ("transformers", "ours", "ours fp8"):
        tower = _tower(way, model, config, dtype, device)
        measured = (_speed(tower, shape, num_pages, device, matmul_flops_s) for num_pages in batches)
        figures += [{"way": way, **speed} for speed in measured]
        del tower
    return figures


def vision_accuracy(config: Json, dtype: torch.dtype, device: torch.device) -> list[Json]:
    """How far the features are from transformers' in float32, relative to their norm; pages of three sizes at once."""
    model = _random_tower(config, torch.float32, device)
    tiles, grids = _pages(ACCURACY_GRIDS, device)
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):  # its convolutions would use it
        exact = torch.cat(_tower("transformers", model, config, torch.float32, device).encode(tiles, grids))
        figures = []
        for way, precision in (("ours", torch.float32), ("ours", dtype), ("ours fp8", dtype), ("transformers", dtype)):
            tower = _tower(way, model, config, precision, device)
            got = torch.cat(tower.encode(tiles, grids)).float()
            error = ((got - exact).norm() / exact.norm()).item()
            name = str(precision).removeprefix("torch.")
            figures.append({"way": way, "dtype": name, "relative_error": error})
    return figures


def vision_flops(shape: VisionShape, num_patches: int) -> int:
    """Of one page: the layers, attention within the page, downsampling and projector."""
    h, out = shape.hidden_size, shape.out_hidden_size
    layers = shape.num_layers * (2 * num_patches * (4 * h * h + 3 * h * out) + 4 * num_patches**2 * h)
    projector = out * h * shape.merge_size**2 + out * out + 3 * out * shape.intermediate_size
    return layers + 2 * num_patches * h * shape.patch_numbers + 2 * num_patches // shape.merge_size**2 * projector


def _speed(tower: Any, shape: VisionShape, num_pages: int, device: torch.device, matmul_flops_s: float) -> Json:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    tiles, grids = _pages([PATCH_GRID] * num_pages, device)
    with torch.inference_mode():
        encode_s = least_s(lambda: tower.encode(tiles, grids), device, times=5)
    flops = num_pages * vision_flops(shape, PATCH_GRID[0] * PATCH_GRID[1])
    peak = torch.cuda.max_memory_allocated(device) - before if device.type == "cuda" else None
    return {
        "num_pages": num_pages, "page_ms": 1e3 * encode_s / num_pages,
        "of_matmul": flops / encode_s / matmul_flops_s, "activation_bytes": peak,
    }  # fmt: skip


def _pages(grids: Sequence[tuple[int, int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, already on the device: what is measured is the tower."""
    num_patches = sum(rows * columns for rows, columns in grids)
    random = torch.Generator(device).manual_seed(0)
    tiles = torch.randint(256, (num_patches, 1, PATCH_SIDE**2), generator=random, device=device, dtype=torch.uint8)
    return tiles, torch.tensor([[1, *grid] for grid in grids])


def _tower(way: str, model: Any, config: Json, dtype: torch.dtype, device: torch.device) -> Any:
    if way == "transformers":
        return PatchVisionModel(model.to(dtype), PixelLevels(GEOMETRY, dtype, device))
    weights = GivenWeights(model.state_dict(), dtype, device)
    ops = TorchOps() if dtype == torch.float32 else pick_ops(device)
    levels = PixelLevels(GEOMETRY, dtype, device)
    return FusedGlm4vVisionModel(AutoConfig.for_model(**config), weights, ops, levels, is_fp8=way == "ours fp8")


def _random_tower(config: Json, dtype: torch.dtype, device: torch.device) -> Any:
    """transformers' model without its language half; matrices of variance 1 / columns, drawn on the device."""
    hf_config = AutoConfig.for_model(**config)
    hf_config.text_config.num_hidden_layers = 1
    with torch.device("meta"):
        model = Glm4vForConditionalGeneration(hf_config)
    model.model.language_model = model.lm_head = None
    visual = model.model.visual.to_empty(device=device).to(dtype)
    random = RandomWeights(dtype, device)
    for name, weight in visual.named_parameters():
        weight.data.copy_(random.take(name, weight.shape))
    rotary = type(visual.rotary_pos_emb)(hf_config.vision_config)  # its frequencies were on the meta device, too
    visual.rotary_pos_emb = rotary.to(device)
    return model.eval().requires_grad_(False)
