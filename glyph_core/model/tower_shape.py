"""How much the vision towers that run on transformers' modules weigh, and hold at once, from their configuration alone.

Shapes: h hidden size, I intermediate size, H the language model's hidden size, p a patch's side in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glyph_core.model.shape import MAX_PAGE_PATCHES, USUAL_PAGE_PATCHES
from glyph_core.model.tiles import MAX_TILES

CHANNELS = 3
MAX_PAGE_PX, USUAL_PAGE_PX = (patches * 14 * 14 for patches in (MAX_PAGE_PATCHES, USUAL_PAGE_PATCHES))


@dataclass(frozen=True, slots=True)
class TransformersTower:
    """A :class:`glyph_core.model.shape.TowerShape`."""

    num_weights: int
    row_numbers: int  # that the widest moment of a forward holds for each patch
    px_per_patch: int
    most_patches: int | None  # of a forward; None: as many as its pages have
    page_numbers: int  # of the features of a page of usual size

    def weight_bytes(self, itemsize: int, *, is_fp8: bool) -> int:
        """They stay in the model's dtype."""
        del is_fp8
        return self.num_weights * itemsize

    def activation_bytes(self, num_pages: int, itemsize: int) -> int:
        """The most that a forward holds at once: ``num_pages`` usual ones, or the largest page."""
        patches = max(num_pages * USUAL_PAGE_PX, MAX_PAGE_PX) // self.px_per_patch
        if self.most_patches is not None:
            patches = min(patches, self.most_patches)
        return patches * self.row_numbers * itemsize + num_pages * self.page_numbers * itemsize


def clip_shape(vision: Mapping[str, Any], out: int, *, num_feature_layers: int, has_newline: bool) -> TransformersTower:
    """CLIP and LLaVA's projector to ``out`` = H. Raises KeyError for what the configuration lacks."""
    h, inner, p, layers = (
        vision[key] for key in ("hidden_size", "intermediate_size", "patch_size", "num_hidden_layers")
    )
    tokens = (vision["image_size"] // p) ** 2
    layer = 4 * (h * h + h) + 2 * h * inner + inner + h + 4 * h
    ends = CHANNELS * p * p * h + h + (tokens + 1) * h + 4 * h
    projector = num_feature_layers * h * out + out + out * out + out
    return TransformersTower(
        num_weights=layers * layer + ends + projector + (out if has_newline else 0),
        # All layers' outputs are kept, and beside them stand a layer's own, or the projector's.
        row_numbers=(layers + 1) * h + max(4 * h + 2 * inner, 2 * out) + CHANNELS * p * p,
        px_per_patch=p * p,
        most_patches=MAX_TILES * (tokens + 1),
        page_numbers=2 * out * 4 * tokens,
    )


def qwen_shape(vision: Mapping[str, Any], *, is_third: bool) -> TransformersTower:
    """Qwen2.5-VL's tower and merger, or Qwen3-VL's with a merger for each deepstack layer. Raises KeyError."""
    h, inner, p, out = (vision[key] for key in ("hidden_size", "intermediate_size", "patch_size", "out_hidden_size"))
    patch = CHANNELS * vision["temporal_patch_size"] * p * p
    merged = vision["spatial_merge_size"] ** 2 * h
    attention = 4 * (h * h + h)
    merger = merged * merged + merged + merged * out + out
    if is_third:
        deepstack = len(vision["deepstack_visual_indexes"])
        layer = attention + 2 * h * inner + inner + h + 4 * h
        ends = (
            patch * h + h + vision["num_position_embeddings"] * h + merger + 2 * h + deepstack * (merger + 2 * merged)
        )
    else:
        deepstack = 0
        layer = attention + 3 * h * inner + 2 * inner + h + 2 * h
        ends = patch * h + merger + h
    tokens = USUAL_PAGE_PX // (p * p * vision["spatial_merge_size"] ** 2)
    return TransformersTower(
        num_weights=vision["depth"] * layer + ends,
        # In float32 queries, keys and their rotation; then the layer's own; the kept deepstack features.
        row_numbers=patch * 3 + 4 * h * 2 + max(8 * h, 4 * h + 3 * inner) + (1 + deepstack) * out,
        px_per_patch=p * p,
        most_patches=None,
        page_numbers=(1 + deepstack) * out * tokens,
    )
