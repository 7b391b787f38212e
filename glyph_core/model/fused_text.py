"""A language model from fused parts, in any style that :class:`TextStyle` can say: what runs on a GPU. The transformers
model is what it must equal.

Shapes: T tokens of all sequences of a step, H hidden size, I intermediate size, V vocabulary, Hq query heads, Hk
key/value heads, D head dim, R rotated part of it, S parts that add up.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from glyph_core.model.attention import PagedAttention, RotatingAttention, Rotation
from glyph_core.model.fused_layer import TextLayer, read_layer
from glyph_core.model.layer_ops import LayerOps
from glyph_core.model.linear import DenseLinear, check_fp8
from glyph_core.model.rope_index import rope_index, sequential_index
from glyph_core.model.rotary import rotary
from glyph_core.model.text_sizes import TextSizes
from glyph_core.model.text_style import TextStyle
from glyph_core.model.weights import Weights
from glyph_core.types import Prompt


class FusedTextModel(TextSizes):
    """A :class:`glyph_core.model.family.TextModel`."""

    def __init__(
        self,
        config: Any,
        weights: Weights,
        ops: LayerOps,
        style: TextStyle,
        *,
        num_deepstack: int = 0,
        is_fp8: bool = False,
    ) -> None:
        """``config`` is transformers'. ``num_deepstack``: the first layers that get features of a page of their own.
        Raises ModelError for weights, a device or a configuration that it can't run with."""
        text = config.text_config
        super().__init__(text, num_deepstack)
        if is_fp8:
            check_fp8(weights.device)
        self._ops, self._style = ops, style
        self._eps: float = text.rms_norm_eps
        self.dtype, self.device = weights.dtype, weights.device
        self.is_static = True
        self._inv_freq, self._axes = rotary(text, style, self.head_dim, self.device)
        self._positions = _position_model(config) if style.has_axes else None
        self._embeddings = weights.take("embed_tokens.weight", (self.vocab_size, self.hidden_size))
        sizes = (self.hidden_size, text.intermediate_size, self.num_heads, self.num_kv_heads, self.head_dim)
        self._layers = [
            read_layer(weights, index, sizes, style, ops, self._eps, is_fp8=is_fp8) for index in range(self.num_layers)
        ]
        self._norm = weights.take("norm.weight", (self.hidden_size,))
        self._lm_head = self._embeddings
        if not config.tie_word_embeddings or "lm_head.weight" in weights:
            self._lm_head = weights.take("lm_head.weight", (self.vocab_size, self.hidden_size))

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(T,) int64 → (T, H)."""
        return F.embedding(token_ids, self._embeddings)

    def positions(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        """The transformers model's own ``get_rope_index``, where positions have three axes."""
        return sequential_index(prompt) if self._positions is None else rope_index(self._positions, prompt)

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        """(T, H), or as wide as features where pages are among the tokens, and (3, T) → last hidden states (T, H)."""
        rotation = Rotation(
            *self._ops.rotary(positions, self._axes, self._inv_freq), in_halves=self._style.pairs == "halves"
        )
        residual, *deepstack = torch.split(inputs_embeds, self.hidden_size, dim=1)
        residual = residual.contiguous()
        hidden = self._ops.norm(residual, self._layers[0].input_norm, self._eps)
        next_norms = [layer.input_norm for layer in self._layers[1:]] + [self._norm]
        for index, (layer, next_norm) in enumerate(zip(self._layers, next_norms, strict=True)):
            # Nothing in between has a name: it would live on, 128 MiB of a chunk of 8,192 tokens.
            residual, hidden = self._add(
                residual,
                layer.out.parts(self._attend(index, layer, hidden, rotation, attention)),
                layer.post_attention_norm,
                layer.mlp_norm,
            )
            if index < len(deepstack):  # to the layer's output, a sum that comes next
                residual += deepstack[index]
            residual, hidden = self._add(
                residual, layer.down.parts(layer.gate_up.gated(hidden, self._ops)), layer.post_mlp_norm, next_norm
            )
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, H) → (n, V) of the model's dtype."""
        return DenseLinear(self._lm_head, None, self._ops)(hidden)

    @property
    def num_bytes(self) -> int:
        """Of the weights on the device."""
        ends = {id(weight): weight.nbytes for weight in (self._embeddings, self._lm_head, self._norm)}
        return sum(ends.values()) + sum(layer.num_bytes for layer in self._layers)

    def _add(
        self, residual: torch.Tensor, x: torch.Tensor, post: torch.Tensor | None, following: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``residual`` + ``x`` (T, H), or parts of it (S, T, H), normed first where there is a norm for it; and that
        sum's norm by ``following``."""
        if post is None:
            return self._ops.add_norm(residual, x, following, self._eps)
        return self._ops.add_norms(residual, x, post, following, self._eps)

    def _attend(
        self, index: int, layer: TextLayer, hidden: torch.Tensor, rotation: Rotation, attention: PagedAttention
    ) -> torch.Tensor:
        """(T, H) → (T, Hq × D)."""
        num_tokens, scale = hidden.shape[0], self.head_dim**-0.5
        if isinstance(attention, RotatingAttention):
            parts = layer.qkv.parts(hidden)
            heads = parts.view(*parts.shape[:-1], -1, self.head_dim)  # (T, Hq + 2 Hk, D), or S of them
            attended = attention.attend_unrotated(index, heads, rotation, scale, layer.qkv.bias, layer.head_norms)
            return attended.reshape(num_tokens, -1)
        heads = layer.qkv(hidden).view(num_tokens, -1, self.head_dim)
        self._norm_heads(heads, layer)
        rotate = self._ops.rotate_halves if rotation.in_halves else self._ops.rotate
        rotate(
            heads.view(num_tokens, -1), rotation.cos, rotation.sin, self.num_heads + self.num_kv_heads, self.head_dim
        )
        q, k, v = torch.split(heads.transpose(0, 1), [self.num_heads, self.num_kv_heads, self.num_kv_heads])
        return attention(index, q, k, v, scale).reshape(num_tokens, -1)

    def _norm_heads(self, heads: torch.Tensor, layer: TextLayer) -> None:
        """The queries and keys of ``heads`` (T, Hq + 2 Hk, D), in place, where the layer has norms for them."""
        if layer.head_norms is None:
            return
        q, k, _ = torch.split(heads, [self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=1)
        for part, weight in ((q, layer.head_norms.q), (k, layer.head_norms.k)):
            part.copy_(self._ops.norm(part.reshape(-1, self.head_dim), weight, self._eps).view_as(part))


def _position_model(config: Any) -> Any:
    """A transformers model without weights and nearly without layers: ``get_rope_index`` reads its configuration."""
    small = deepcopy(config)
    small.text_config.num_hidden_layers = small.vision_config.depth = 1
    with torch.device("meta"):
        return MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[type(config)](small)
