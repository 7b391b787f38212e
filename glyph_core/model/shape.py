"""How much a model weighs, from its configuration alone: nothing is loaded, nothing is made.

Shapes: H hidden size, I intermediate size, V vocabulary, Hq query heads, Hk key/value heads, D head dim; of the vision
tower h hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from glyph_core.errors import ModelError
from glyph_core.model.text_style import GLM, TextStyle

SCALE_BYTES = 4  # of an FP8 weight's row
MAX_PAGE_PATCHES = 4 * 6000  # of 14 px, of the largest page that is drawn
USUAL_PAGE_PATCHES = 60 * 42  # of 842×595 px
Tower = TypeVar("Tower", bound="TowerShape", covariant=True)


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
    head_dim: int  # D
    num_norms: int = 4  # of a layer, over H
    has_qkv_bias: bool = True
    has_qk_norms: bool = False  # over D
    num_deepstack: int = 0  # layers that get features of a page of their own

    @property
    def qkv_size(self) -> int:
        return (self.num_heads + 2 * self.num_kv_heads) * self.head_dim

    @property
    def num_kept_weights(self) -> int:
        """Embeddings, lm_head, norms and biases: what stays in the model's dtype."""
        ends = (1 if self.tied else 2) * self.vocab_size * self.hidden_size
        layer = self.num_norms * self.hidden_size
        layer += (self.qkv_size if self.has_qkv_bias else 0) + (2 * self.head_dim if self.has_qk_norms else 0)
        return ends + self.num_layers * layer + self.hidden_size

    @property
    def num_linear_weights(self) -> int:
        """The layers' matrices: what FP8 halves."""
        rows = self.qkv_size + self.num_heads * self.head_dim + 3 * self.intermediate_size
        return self.num_layers * rows * self.hidden_size

    @property
    def num_weights(self) -> int:
        return self.num_kept_weights + self.num_linear_weights

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


class TowerShape(Protocol):
    """What a memory plan asks of a vision tower and its projector."""

    @property
    def num_weights(self) -> int: ...

    def weight_bytes(self, itemsize: int, *, is_fp8: bool) -> int: ...

    def activation_bytes(self, num_pages: int, itemsize: int) -> int:
        """The most that a forward holds at once: ``num_pages`` usual ones, or the largest page."""
        ...


@dataclass(frozen=True, slots=True)
class VisionShape:
    """GLM's tower."""

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
    def num_weights(self) -> int:
        return self.num_kept_weights + self.num_linear_weights

    @property
    def num_linear_rows(self) -> int:
        layer = 5 * self.hidden_size + 2 * self.out_hidden_size
        return self.num_layers * layer + 3 * self.out_hidden_size + 2 * self.intermediate_size

    def weight_bytes(self, itemsize: int, *, is_fp8: bool) -> int:
        if is_fp8:
            return self.num_kept_weights * itemsize + self.num_linear_weights + self.num_linear_rows * SCALE_BYTES
        return self.num_weights * itemsize

    def activation_bytes(self, num_pages: int, itemsize: int) -> int:
        patches = max(num_pages * USUAL_PAGE_PATCHES, MAX_PAGE_PATCHES)
        angles = patches * (self.hidden_size // self.num_heads) * 4  # cos and sin of half a head, in float32
        # The widest moment of a layer: the sum so far and its norm, gate and up, their product.
        layer = patches * (2 * self.hidden_size + 3 * self.out_hidden_size) * itemsize + angles
        tokens = patches // self.merge_size**2
        projector = tokens * (2 * self.out_hidden_size + 3 * self.intermediate_size) * itemsize
        return max(layer, projector + patches * self.hidden_size * itemsize)


@dataclass(frozen=True, slots=True)
class ModelShape(Generic[Tower]):
    text: TextShape
    vision: Tower
    runs_fp8: bool = True  # its layers' weights can be 8 bits

    @staticmethod
    def of(config: Mapping[str, Any]) -> ModelShape[VisionShape]:
        """A glm4v model's, from its config.json. Raises ModelError for a key that it lacks."""
        try:
            text = config["text_config"]
            tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
            return ModelShape(text_shape(text, GLM, tied=tied), _vision_shape(config["vision_config"]))
        except KeyError as error:
            raise ModelError(f"config.json lacks the key {error}, from which its memory would be planned") from error


AnyShape = ModelShape[TowerShape]


def text_shape(text: Mapping[str, Any], style: TextStyle, *, tied: bool, num_deepstack: int = 0) -> TextShape:
    """From the language model's part of config.json. Raises KeyError for what it lacks."""
    return TextShape(
        num_layers=text["num_hidden_layers"],
        hidden_size=text["hidden_size"],
        intermediate_size=text["intermediate_size"],
        num_heads=text["num_attention_heads"],
        num_kv_heads=text["num_key_value_heads"],
        vocab_size=text["vocab_size"],
        tied=tied,
        max_model_len=text["max_position_embeddings"],
        head_dim=text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"],
        num_norms=style.num_norms,
        has_qkv_bias=style.has_qkv_bias,
        has_qk_norms=style.has_qk_norms,
        num_deepstack=num_deepstack,
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
