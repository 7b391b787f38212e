"""glm4v's vision tower and projector from fused parts: what runs by default. The transformers model is what it must
equal.

Pages of any sizes lie end to end as one batch of patches; only attention and the places within a page know them apart.

Shapes: N patches of all pages, P of them in one page, h hidden size, D head dim, M visual tokens of all pages, H the
language model's hidden size, I the projector's inner size, m patches along a visual token's side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from glyph_core.model.layer_ops import LayerOps
from glyph_core.model.linear import DenseLinear, Linear, check_fp8, make_linear
from glyph_core.model.page_attention import AttendPages, PageAttention
from glyph_core.model.patch_places import by_token, patch_places, resized_table
from glyph_core.model.pixel_levels import PixelLevels
from glyph_core.model.weights import Weights

LAYER_NORM_EPS = 1e-5  # torch's own, which the projector's norm has


@dataclass(frozen=True, slots=True)
class _Block:
    qkv: Linear  # (N, h) → (N, 3 h)
    out: Linear  # (N, h) → (N, h)
    gate_up: Linear  # (N, h) → (N, 2 H)
    down: Linear  # (N, H) → (N, h)
    attention_norm: torch.Tensor  # (h,)
    mlp_norm: torch.Tensor  # (h,)


@dataclass(frozen=True, slots=True)
class _Projector:
    shrink: Linear  # (M, m² × h) → (M, H)
    proj: Linear  # (M, H) → (M, H)
    norm: torch.Tensor  # (H,), as the next
    norm_bias: torch.Tensor
    gate_up: Linear  # (M, H) → (M, 2 I)
    down: Linear  # (M, I) → (M, H)


class FusedGlm4vVisionModel:
    """A :class:`glyph_core.model.family.VisionModel`."""

    def __init__(
        self, config: Any, weights: Weights, ops: LayerOps, levels: PixelLevels, *, is_fp8: bool = False
    ) -> None:
        """``config`` is transformers'. Raises ModelError for weights or a device that it can't run with."""
        vision = config.vision_config
        if is_fp8:
            check_fp8(weights.device)
        self._ops, self._is_fp8, self._weights, self._levels = ops, is_fp8, weights, levels
        self._eps: float = vision.rms_norm_eps
        self._size: int = vision.hidden_size
        self._num_heads: int = vision.num_heads
        self._head_dim = vision.hidden_size // vision.num_heads
        self._merge: int = vision.spatial_merge_size
        self.hidden_size: int = vision.out_hidden_size
        self.dtype, self.device = weights.dtype, weights.device
        self._inv_freq = _frequencies(vision, self._head_dim).to(self.device)
        self._pages = PageAttention(self.device, self.dtype, self._head_dim**-0.5)
        self._patch_embed = self._patch_embedding(vision)
        self._embed_norm = self._take("post_conv_layernorm.weight", self._size)
        side = vision.image_size // vision.patch_size
        self._places = self._take("embeddings.position_embedding.weight", side**2, self._size).view(side, side, -1)
        self._blocks = [self._block(f"blocks.{index}.", vision.attention_bias) for index in range(vision.depth)]
        self._norm = self._take("post_layernorm.weight", self._size)
        self._projector = self._make_projector(vision.intermediate_size)
        del self._weights

    def encode(self, tiles: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        """(N, channels, p²) uint8 and (pages, 3) int64 → one (num_visual_tokens, H) a page."""
        grids = [(rows, columns) for frames, rows, columns in grid_thw.tolist() for _ in range(frames)]
        with torch.inference_mode():
            features = self._project(self._encode(self._embed(tiles.to(self.device, non_blocking=True), grids), grids))
        return list(torch.split(features, [math.prod(grid) // self._merge**2 for grid in grid_thw.tolist()]))

    @property
    def num_bytes(self) -> int:
        """Of the weights on the device."""
        projector = self._projector
        linears = [self._patch_embed, projector.shrink, projector.proj, projector.gate_up, projector.down]
        norms = [self._embed_norm, self._places, self._norm, projector.norm, projector.norm_bias]
        for block in self._blocks:
            linears += [block.qkv, block.out, block.gate_up, block.down]
            norms += [block.attention_norm, block.mlp_norm]
        return sum(linear.num_bytes for linear in linears) + sum(norm.nbytes for norm in norms)

    def _embed(self, tiles: torch.Tensor, grids: Sequence[tuple[int, int]]) -> torch.Tensor:
        """Tiles and each frame's rows and columns of patches → (N, h)."""
        embedded = self._ops.norm(self._patch_embed(self._levels(tiles)), self._embed_norm, self._eps)
        return embedded + self._place_embeddings(grids)

    def _encode(self, residual: torch.Tensor, grids: Sequence[tuple[int, int]]) -> torch.Tensor:
        """(N, h) → (N, h), normalised."""
        cos, sin = self._rotary(grids)
        attend = self._pages.attention([rows * columns for rows, columns in grids])
        hidden = self._ops.norm(residual, self._blocks[0].attention_norm, self._eps)
        next_norms = [block.attention_norm for block in self._blocks[1:]] + [self._norm]
        for block, next_norm in zip(self._blocks, next_norms, strict=True):
            attended = self._attention(block, hidden, cos, sin, attend)
            residual, hidden = self._ops.add_norm(residual, attended, block.mlp_norm, self._eps)
            del attended  # the next product is the widest
            mlp = block.down(self._ops.silu_mul(block.gate_up(hidden)))
            residual, hidden = self._ops.add_norm(residual, mlp, next_norm, self._eps)
            del mlp
        return hidden

    def _attention(
        self, block: _Block, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, attend: AttendPages
    ) -> torch.Tensor:
        """(N, h) → (N, h)."""
        qkv = block.qkv(hidden)
        self._ops.rotate_halves(qkv, cos, sin, 2 * self._num_heads, self._head_dim)
        q, k, v = qkv.view(len(qkv), 3, self._num_heads, self._head_dim).unbind(1)
        return block.out(attend(q, k, v).reshape(len(qkv), -1))

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        """(N, h), the patches of a visual token side by side → (M, H)."""
        projector = self._projector
        tokens = projector.proj(projector.shrink(hidden.view(-1, self._merge**2 * self._size)))
        normed = F.layer_norm(tokens, (self.hidden_size,), projector.norm, projector.norm_bias, LAYER_NORM_EPS)
        return projector.down(self._ops.silu_mul(projector.gate_up(F.gelu(normed))))

    def _place_embeddings(self, grids: Sequence[tuple[int, int]]) -> torch.Tensor:
        """(N, h): the table of learned places, stretched over each page."""
        table = self._places.float()
        made = {grid: by_token(resized_table(table, *grid), self._merge).to(self.dtype) for grid in set(grids)}
        return torch.cat([made[grid] for grid in grids])

    def _rotary(self, grids: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """cos and sin (N, D / 2) float32: half of them turn with a patch's row, half with its column."""
        made = {}
        for grid in set(grids):
            places = patch_places(*grid, self._merge, self.device)  # (P, 2)
            made[grid] = (places[..., None].float() * self._inv_freq).flatten(1)
        angles = torch.cat([made[grid] for grid in grids])
        return angles.cos(), angles.sin()

    def _patch_embedding(self, vision: Any) -> Linear:
        shape = (vision.in_channels, vision.temporal_patch_size, vision.patch_size, vision.patch_size)
        weight = self._take("patch_embed.proj.weight", self._size, *shape).flatten(1)
        return DenseLinear(weight, self._take("patch_embed.proj.bias", self._size))

    def _block(self, prefix: str, has_bias: bool) -> _Block:
        h, inner = self._size, self.hidden_size
        bias = self._take(f"{prefix}attn.qkv.bias", 3 * h) if has_bias else None
        return _Block(
            qkv=self._linear(self._take(f"{prefix}attn.qkv.weight", 3 * h, h), bias),
            out=self._linear(self._take(f"{prefix}attn.proj.weight", h, h)),
            gate_up=self._gate_up(f"{prefix}mlp.", inner, h),
            down=self._linear(self._take(f"{prefix}mlp.down_proj.weight", h, inner)),
            attention_norm=self._take(f"{prefix}norm1.weight", h),
            mlp_norm=self._take(f"{prefix}norm2.weight", h),
        )

    def _make_projector(self, inner: int) -> _Projector:
        size, m = self.hidden_size, self._merge
        # A patch of a token after the other rather than channel after channel: as the patches lie
        shrink = self._take("downsample.weight", size, self._size, m, m).permute(0, 2, 3, 1).flatten(1)
        return _Projector(
            shrink=self._linear(shrink, self._take("downsample.bias", size)),
            proj=self._linear(self._take("merger.proj.weight", size, size)),
            norm=self._take("merger.post_projection_norm.weight", size),
            norm_bias=self._take("merger.post_projection_norm.bias", size),
            gate_up=self._gate_up("merger.", inner, size),
            down=self._linear(self._take("merger.down_proj.weight", size, inner)),
        )

    def _gate_up(self, prefix: str, rows: int, columns: int) -> Linear:
        return self._linear(
            torch.cat([self._take(f"{prefix}{name}_proj.weight", rows, columns) for name in ("gate", "up")])
        )

    def _take(self, name: str, *shape: int) -> torch.Tensor:
        return self._weights.take(name, shape)

    def _linear(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Linear:
        return make_linear(weight, bias, self._ops, is_fp8=self._is_fp8)


def _frequencies(vision: Any, head_dim: int) -> torch.Tensor:
    """(D / 4,) float32: rows and columns turn with the same."""
    theta: float = (getattr(vision, "rope_parameters", None) or {}).get("rope_theta", 10_000.0)
    half = head_dim // 2
    return 1.0 / theta ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
