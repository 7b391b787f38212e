"""glm4v's language model from fused parts: what runs on a GPU. The transformers model is what it must equal.

Shapes: T tokens of all sequences of a step, H hidden size, I intermediate size, V vocabulary, Hq query heads, Hk
key/value heads, D head dim, R rotated part of it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import Glm4vForConditionalGeneration

from glyph_core.errors import ModelError
from glyph_core.model.attention import PagedAttention, RotatingAttention
from glyph_core.model.layer_ops import LayerOps
from glyph_core.model.linear import DenseLinear, Linear, check_fp8, make_linear
from glyph_core.model.rope_index import rope_index
from glyph_core.model.weights import Weights
from glyph_core.types import Prompt


@dataclass(frozen=True, slots=True)
class _Layer:
    qkv: Linear  # (T, H) → (T, (Hq + 2 Hk) × D)
    out: Linear  # (T, Hq × D) → (T, H)
    gate_up: Linear  # (T, H) → (T, 2 I)
    down: Linear  # (T, I) → (T, H)
    input_norm: torch.Tensor  # (H,), as the other three
    post_attention_norm: torch.Tensor
    mlp_norm: torch.Tensor
    post_mlp_norm: torch.Tensor


class FusedGlm4vTextModel:
    """A :class:`glyph_core.model.family.TextModel`."""

    def __init__(self, config: Any, weights: Weights, ops: LayerOps, *, is_fp8: bool = False) -> None:
        """``config`` is transformers'. Raises ModelError for weights or a device that it can't run with."""
        text = config.text_config
        if is_fp8:
            check_fp8(weights.device)
        self._ops, self._is_fp8, self._weights = ops, is_fp8, weights
        self._eps: float = text.rms_norm_eps
        self.num_layers: int = text.num_hidden_layers
        self.num_heads: int = text.num_attention_heads
        self.num_kv_heads: int = text.num_key_value_heads
        self.head_dim: int = text.hidden_size // text.num_attention_heads
        self.hidden_size: int = text.hidden_size
        self.feature_size: int = text.hidden_size
        self.vocab_size: int = text.vocab_size
        self.dtype, self.device = weights.dtype, weights.device
        self.is_static = True
        self._inv_freq, self._axes = _rotary(text, self.head_dim, self.device)
        self._positions = _position_model(config)
        self._embeddings = weights.take("embed_tokens.weight", (self.vocab_size, self.hidden_size))
        self._layers = [self._layer(f"layers.{index}.", text.intermediate_size) for index in range(self.num_layers)]
        self._norm = weights.take("norm.weight", (self.hidden_size,))
        self._lm_head = self._embeddings
        if not config.tie_word_embeddings or "lm_head.weight" in weights:
            self._lm_head = weights.take("lm_head.weight", (self.vocab_size, self.hidden_size))
        del self._weights

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(T,) int64 → (T, H)."""
        return F.embedding(token_ids, self._embeddings)

    def positions(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        """The transformers model's own ``get_rope_index``."""
        return rope_index(self._positions, prompt)

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        """(T, H) and (3, T) → last hidden states (T, H)."""
        cos, sin = self._ops.rotary(positions, self._axes, self._inv_freq)
        residual, hidden = inputs_embeds, self._ops.norm(inputs_embeds, self._layers[0].input_norm, self._eps)
        next_norms = [layer.input_norm for layer in self._layers[1:]] + [self._norm]
        for index, (layer, next_norm) in enumerate(zip(self._layers, next_norms, strict=True)):
            # Nothing in between has a name: it would live on, 128 MiB of a chunk of 8,192 tokens.
            residual, hidden = self._ops.add_norms(
                residual,
                layer.out.parts(self._attend(index, layer.qkv, hidden, cos, sin, attention)),
                layer.post_attention_norm,
                layer.mlp_norm,
                self._eps,
            )
            residual, hidden = self._ops.add_norms(
                residual,
                layer.down.parts(layer.gate_up.gated(hidden, self._ops)),
                layer.post_mlp_norm,
                next_norm,
                self._eps,
            )
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, H) → (n, V) of the model's dtype."""
        return DenseLinear(self._lm_head, None, self._ops)(hidden)

    @property
    def num_bytes(self) -> int:
        """Of the weights on the device."""
        norms = (4 * self.num_layers + 1) * self.hidden_size * self.dtype.itemsize
        linears = (linear for layer in self._layers for linear in (layer.qkv, layer.out, layer.gate_up, layer.down))
        ends = {id(weight): weight.nbytes for weight in (self._embeddings, self._lm_head)}
        return norms + sum(ends.values()) + sum(linear.num_bytes for linear in linears)

    def _attend(
        self,
        layer_idx: int,
        linear: Linear,
        hidden: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        attention: PagedAttention,
    ) -> torch.Tensor:
        """(T, H) → (T, Hq × D)."""
        num_tokens, scale = hidden.shape[0], self.head_dim**-0.5
        if isinstance(attention, RotatingAttention):
            parts = linear.parts(hidden)
            heads = parts.view(*parts.shape[:-1], -1, self.head_dim)  # (T, Hq + 2 Hk, D), or S of them
            attended = attention.attend_unrotated(layer_idx, heads, cos, sin, scale, linear.bias)
            return attended.reshape(num_tokens, -1)
        qkv = linear(hidden)
        self._ops.rotate(qkv, cos, sin, self.num_heads + self.num_kv_heads, self.head_dim)
        heads = qkv.view(num_tokens, -1, self.head_dim).transpose(0, 1)
        q, k, v = torch.split(heads, [self.num_heads, self.num_kv_heads, self.num_kv_heads])
        return attention(layer_idx, q, k, v, scale).reshape(num_tokens, -1)

    def _layer(self, prefix: str, intermediate_size: int) -> _Layer:
        size, q_size, kv_size = self.hidden_size, self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        sizes = {"q": q_size, "k": kv_size, "v": kv_size}
        attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
        qkv = torch.cat([self._take(f"{attention}{name}_proj.weight", rows, size) for name, rows in sizes.items()])
        bias = torch.cat([self._take(f"{attention}{name}_proj.bias", rows) for name, rows in sizes.items()])
        return _Layer(
            qkv=self._linear(qkv, bias),
            out=self._linear(self._take(f"{attention}o_proj.weight", size, q_size)),
            gate_up=self._linear(self._take(f"{mlp}gate_up_proj.weight", 2 * intermediate_size, size)),
            down=self._linear(self._take(f"{mlp}down_proj.weight", size, intermediate_size)),
            input_norm=self._take(f"{prefix}input_layernorm.weight", size),
            post_attention_norm=self._take(f"{prefix}post_self_attn_layernorm.weight", size),
            mlp_norm=self._take(f"{prefix}post_attention_layernorm.weight", size),
            post_mlp_norm=self._take(f"{prefix}post_mlp_layernorm.weight", size),
        )

    def _take(self, name: str, *shape: int) -> torch.Tensor:
        return self._weights.take(name, shape)

    def _linear(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Linear:
        return make_linear(weight, bias, self._ops, is_fp8=self._is_fp8)


def _rotary(text: Any, head_dim: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Frequencies (R / 2,) float32, and the axis of the position that each turns with."""
    rope = text.rope_parameters
    if rope.get("rope_type", "default") != "default":
        raise ModelError(f"rope_type {rope['rope_type']!r} runs with model.kernels set to transformers only")
    size = int(head_dim * rope.get("partial_rotary_factor", 1.0))
    inv_freq = 1.0 / rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    sections = rope.get("mrope_section", [8, 12, 12])
    if sum(sections) != len(inv_freq):
        raise ModelError(f"mrope_section {sections} does not add up to half of the {size} rotated places of a head")
    axes = torch.repeat_interleave(torch.arange(len(sections)) % 3, torch.tensor(sections))
    return inv_freq.to(device), axes.to(device)


def _position_model(config: Any) -> Any:
    """A transformers model without weights and nearly without layers: ``get_rope_index`` reads its configuration."""
    small = deepcopy(config)
    small.text_config.num_hidden_layers = small.vision_config.depth = 1
    with torch.device("meta"):
        return Glm4vForConditionalGeneration(small)
