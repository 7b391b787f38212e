"""Rotary positions of a prompt: by the transformers model's own ``get_rope_index``, or one after the other."""

from __future__ import annotations

from typing import Any

import torch

from glyph_core.types import Prompt

IMAGE_TOKEN = 1  # get_rope_index's mark of an image's token; 0 is text


def rope_index(model: Any, prompt: Prompt) -> tuple[torch.Tensor, int]:
    """(3, T) int64 on the host, and what later tokens add to their index."""
    token_ids = torch.tensor([prompt.token_ids])
    token_types = torch.zeros_like(token_ids)
    for page in prompt.pages:
        token_types[0, page.start : page.stop] = IMAGE_TOKEN
    grids = torch.tensor([page.grid_thw for page in prompt.pages]) if prompt.pages else None
    positions, deltas = model.model.get_rope_index(token_ids, token_types, image_grid_thw=grids)
    return positions[:, 0], int(deltas.item())


def sequential_index(prompt: Prompt) -> tuple[torch.Tensor, int]:
    """As :func:`rope_index`, for models that count tokens: all axes are the token's index."""
    return torch.arange(len(prompt.token_ids)).expand(3, -1), 0
