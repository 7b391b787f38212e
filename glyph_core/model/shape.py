"""How much a glm4v model weighs, from its configuration alone: nothing is loaded, nothing is made.

Shapes: H hidden size, I intermediate size, V vocabulary, Hq query heads, Hk key/value heads, D head dim; of the vision
tower h hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glyph_core.errors import ModelError

SCALE_BYTES = 4  # of an FP8 weight's row


@dataclass(frozen=True, slots=True)
class TextShape:
    num_layers: int
    hidden_size: int  # H
    intermediate_size: int  # I
    num_heads: int  # Hq
    num_kv_heads: int  # Hk
    vocab_size: int  # V
    tied: bool  # lm_head is the embeddings
    max_model_len: int

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def qkv_size(self) -> int:
        return (self.num_heads + 2 * self.num_kv_heads) * self.head_dim

    @property
    def num_kept_weights(self) -> int:
        """Embeddings, lm_head, norms and biases: what stays in the model's dtype."""
        ends = (1 if self.tied else 2) * self.vocab_size * self.hidden_size
        return ends + self.num_layers * (self.qkv_size + 4 * self.hidden_size) + self.hidden_size

    @property
    def num_linear_weights(self) -> int:
        """The layers' matrices: what FP8 halves."""
        rows = self.qkv_size + self.num_heads * self.head_dim + 3 * self.intermediate_size
        return self.num_layers * rows * self.hidden_size

    @property
    def num_linear_rows(self) -> int:
        return self.num_layers * (self.qkv_size + 2 * self.hidden_size + 2 * self.intermediate_size)

    def weight_bytes(self, itemsize: int, *, is_fp8: bool) -> int:
        if is_fp8:
            return self.num_kept_weights * itemsize + self.num_linear_weights + self.num_linear_rows * SCALE_BYTES
        return (self.num_kept_weights + self.num_linear_weights) * itemsize

    def kv_bytes(self, itemsize: int) -> int:
        """Of one token's keys and values in all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * itemsize


@dataclass(frozen=True, slots=True)
class VisionShape:
    num_layers: int
    hidden_size: int  # h
    num_heads: int
    intermediate_size: int  # of the projector
    out_hidden_size: int  # H; also the intermediate size of the tower's layers
    patch_numbers: int  # in one patch: channels × frames × height × width
    num_positions: int
    merge_size: int
    attention_bias: bool

    @property
    def num_kept_weights(self) -> int:
        """Embeddings of patches and places, norms and biases: what stays in the model's dtype."""
        h = self.hidden_size
        layer = (3 * h if self.attention_bias else 0) + 2 * h
        return self.num_layers * layer + h * (self.patch_numbers + self.num_positions + 3) + 3 * self.out_hidden_size

    @property
    def num_linear_weights(self) -> int:
        """The layers' and the projector's matrices: what FP8 halves."""
        h, out = self.hidden_size, self.out_hidden_size
        projector = out * h * self.merge_size**2 + out * out + 3 * out * self.intermediate_size
        return self.num_layers * (4 * h * h + 3 * h * out) + projector

    @property
    def num_linear_rows(self) -> int:
        layer = 5 * self.hidden_size + 2 * self.out_hidden_size
        return self.num_layers * layer + 3 * self.out_hidden_size + 2 * self.intermediate_size

    def weight_bytes(self, itemsize: int, *, is_fp8: bool) -> int:
        if is_fp8:
            return self.num_kept_weights * itemsize + self.num_linear_weights + self.num_linear_rows * SCALE_BYTES
        return (self.num_kept_weights + self.num_linear_weights) * itemsize


@dataclass(frozen=True, slots=True)
class ModelShape:
    text: TextShape
    vision: VisionShape

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ModelShape:
        """From a checkpoint's config.json. Raises ModelError for a key that it lacks."""
        try:
            return cls(_text_shape(config), _vision_shape(config["vision_config"]))
        except KeyError as error:
            raise ModelError(f"config.json lacks the key {error}, from which its memory would be planned") from error


def _text_shape(config: Mapping[str, Any]) -> TextShape:
    text = config["text_config"]
    return TextShape(
        num_layers=text["num_hidden_layers"],
        hidden_size=text["hidden_size"],
        intermediate_size=text["intermediate_size"],
        num_heads=text["num_attention_heads"],
        num_kv_heads=text["num_key_value_heads"],
        vocab_size=text["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
        max_model_len=text["max_position_embeddings"],
    )


def _vision_shape(vision: Mapping[str, Any]) -> VisionShape:
    patch = vision["patch_size"]
    return VisionShape(
        num_layers=vision["depth"],
        hidden_size=vision["hidden_size"],
        num_heads=vision["num_heads"],
        intermediate_size=vision["intermediate_size"],
        out_hidden_size=vision["out_hidden_size"],
        patch_numbers=vision.get("in_channels", 3) * vision.get("temporal_patch_size", 2) * patch * patch,
        num_positions=(vision["image_size"] // patch) ** 2,
        merge_size=vision.get("spatial_merge_size", 2),
        attention_bias=vision.get("attention_bias", False),
    )
