"""A layer of the fused language model: its weights, joined as its products take them.

Shapes: H hidden size, I intermediate size, Hq query heads, Hk key/value heads, D head dim, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from glyph_core.model.attention import HeadNorms
from glyph_core.model.layer_ops import LayerOps
from glyph_core.model.linear import Linear, make_linear
from glyph_core.model.text_style import TextStyle
from glyph_core.model.weights import Weights

Sizes = tuple[int, int, int, int, int]  # H, I, Hq, Hk, D


@dataclass(frozen=True, slots=True)
class TextLayer:
    qkv: Linear  # (T, H) → (T, (Hq + 2 Hk) × D)
    out: Linear  # (T, Hq × D) → (T, H)
    gate_up: Linear  # (T, H) → (T, 2 I)
    down: Linear  # (T, I) → (T, H)
    input_norm: torch.Tensor  # (H,), as the other three
    mlp_norm: torch.Tensor
    post_attention_norm: torch.Tensor | None  # of what attention gives, before it is added
    post_mlp_norm: torch.Tensor | None
    head_norms: HeadNorms | None

    @property
    def num_bytes(self) -> int:
        norms = [self.input_norm, self.mlp_norm, self.post_attention_norm, self.post_mlp_norm]
        norms += [self.head_norms.q, self.head_norms.k] if self.head_norms else []
        linears = (self.qkv, self.out, self.gate_up, self.down)
        return sum(norm.nbytes for norm in norms if norm is not None) + sum(linear.num_bytes for linear in linears)


def read_layer(
    weights: Weights, index: int, sizes: Sizes, style: TextStyle, ops: LayerOps, eps: float, *, is_fp8: bool
) -> TextLayer:
    """Raises ModelError for a weight that is missing or of another shape."""
    size, inner, num_heads, num_kv_heads, head_dim = sizes
    prefix, q_size, kv_size = f"layers.{index}.", num_heads * head_dim, num_kv_heads * head_dim

    def take(name: str, *shape: int) -> torch.Tensor:
        return weights.take(prefix + name, shape)

    def linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Linear:
        return make_linear(weight, bias, ops, is_fp8=is_fp8)

    rows = {"q": q_size, "k": kv_size, "v": kv_size}
    qkv = torch.cat([take(f"self_attn.{name}_proj.weight", num, size) for name, num in rows.items()])
    bias = head_norms = None
    if style.has_qkv_bias:
        bias = torch.cat([take(f"self_attn.{name}_proj.bias", num) for name, num in rows.items()])
    if style.has_qk_norms:
        q_norm, k_norm = (take(f"self_attn.{name}_norm.weight", head_dim) for name in "qk")
        head_norms = HeadNorms(q_norm, k_norm, eps)
    if style.has_one_gate_up:
        gate_up = take("mlp.gate_up_proj.weight", 2 * inner, size)
    else:
        gate_up = torch.cat([take(f"mlp.{name}_proj.weight", inner, size) for name in ("gate", "up")])
    return TextLayer(
        qkv=linear(qkv, bias),
        out=linear(take("self_attn.o_proj.weight", size, q_size)),
        gate_up=linear(gate_up),
        down=linear(take("mlp.down_proj.weight", size, inner)),
        input_norm=take("input_layernorm.weight", size),
        mlp_norm=take("post_attention_layernorm.weight", size),
        post_attention_norm=take("post_self_attn_layernorm.weight", size) if style.has_post_norms else None,
        post_mlp_norm=take("post_mlp_layernorm.weight", size) if style.has_post_norms else None,
        head_norms=head_norms,
    )
