"""The frequencies that a language model's heads turn with, and the axis of the position that each turns with.

Shapes: R rotated part of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from glyph_core.errors import ModelError
from glyph_core.model.text_style import TextStyle


def rotary(text: Any, style: TextStyle, head_dim: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Frequencies (R / 2,) float32 and axes (R / 2,) int64, from transformers' configuration of the language model.
    Raises ModelError for what it says of them that we cannot run."""
    inv_freq = _frequencies(text, head_dim)
    return inv_freq.to(device), _axes(text.rope_parameters, style, len(inv_freq)).to(device)


def _frequencies(text: Any, head_dim: int) -> torch.Tensor:
    rope = text.rope_parameters
    rope_type = rope.get("rope_type", "default")
    if rope_type == "default":
        size = int(head_dim * rope.get("partial_rotary_factor", 1.0))
        return 1.0 / float(rope["rope_theta"]) ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    inv_freq: torch.Tensor
    inv_freq, scaling = ROPE_INIT_FUNCTIONS[rope_type](text, torch.device("cpu"))
    if scaling != 1.0:
        raise ModelError(f"rope_type {rope_type!r} runs with model.kernels set to transformers only")
    return inv_freq.float()


def _axes(rope: dict[str, Any], style: TextStyle, num_pairs: int) -> torch.Tensor:
    sections = rope.get("mrope_section", style.sections)
    if style.axes == "sections":
        if sum(sections) != num_pairs:
            raise ModelError(f"mrope_section {sections} does not add up to the {num_pairs} pairs of a head that turn")
        return torch.repeat_interleave(torch.arange(len(sections)) % 3, torch.tensor(sections))
    axes = torch.zeros(num_pairs, dtype=torch.int64)
    if style.axes == "interleaved":  # in turns, as long as an axis has some left; the rest are the first one's
        for axis in (1, 2):
            axes[axis : 3 * sections[axis] : 3] = axis
    return axes
