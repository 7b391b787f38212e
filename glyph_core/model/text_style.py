"""How a family's language model builds its layers: what config.json does not say. Imports no torch.

The fused language model runs every style that can be said here; what it cannot run is named by :func:`why_not_fused`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ROPE_TYPES = ("default", "mrope", "linear", "llama3")  # whose frequencies stay as they are, however long a sequence is


@dataclass(frozen=True, slots=True)
class TextStyle:
    """Llama's, unless said otherwise."""

    has_post_norms: bool = False  # attention's and the MLP's outputs are normed, too, before they are added (GLM-4)
    has_qkv_bias: bool = False
    has_qk_norms: bool = False  # queries and keys are normed by head before they turn (Qwen3)
    pairs: Literal["halves", "neighbours"] = "halves"  # which places of a head turn together: i and i + D/2, or i + 1
    axes: Literal["one", "sections", "interleaved"] = "one"  # of a position, that frequencies turn with
    sections: tuple[int, ...] = ()  # mrope_section where config.json names none: frequencies of each axis
    has_one_gate_up: bool = False  # gate and up are stored as one weight

    def __post_init__(self) -> None:
        if self.has_qk_norms and self.pairs == "neighbours":
            raise ValueError("no kernel norms heads whose neighbours turn together")

    @property
    def num_norms(self) -> int:
        """Of a layer, over the hidden size."""
        return 4 if self.has_post_norms else 2

    @property
    def has_axes(self) -> bool:
        """Positions have three axes (mrope)."""
        return self.axes != "one"


LLAMA = TextStyle()
QWEN2 = TextStyle(has_qkv_bias=True)
QWEN2_VL = TextStyle(has_qkv_bias=True, axes="sections", sections=(16, 24, 24))
QWEN3_VL = TextStyle(has_qk_norms=True, axes="interleaved", sections=(24, 20, 20))
GLM = TextStyle(
    has_post_norms=True, has_qkv_bias=True, pairs="neighbours", axes="sections", sections=(8, 12, 12),
    has_one_gate_up=True,
)  # fmt: skip


def why_not_fused(text: Mapping[str, Any], style: TextStyle) -> str | None:
    """What of the language model's part of config.json fused parts don't do; None where they run it."""
    activation = text.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        return f"hidden_act is {activation}"
    for name in ("attention_bias", "mlp_bias"):
        if text.get(name) and not (name == "attention_bias" and style.has_qkv_bias):
            return f"{name} is set"
    rope = {**(text.get("rope_scaling") or {}), **(text.get("rope_parameters") or {})}
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    if rope_type not in ROPE_TYPES:
        return f"rope_type is {rope_type}"
    if style.pairs == "halves" and rope.get("partial_rotary_factor", 1.0) != 1.0:
        return "partial_rotary_factor is set"
    return None
