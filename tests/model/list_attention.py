"""A paged attention simple enough to trust: every sequence's keys and values in plain lists."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


class ListAttention:
    """A step's tokens are ``lengths[i]`` of sequence i, one sequence after the other; set ``lengths`` before a step."""

    def __init__(self, num_sequences: int, num_layers: int) -> None:
        self.lengths: list[int] = []
        self._seen: list[list[list[tuple[torch.Tensor, torch.Tensor]]]] = [
            [[] for _ in range(num_layers)] for _ in range(num_sequences)
        ]

    def __call__(self, layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        outputs = []
        parts = zip(self._seen, *(x.split(self.lengths, dim=1) for x in (q, k, v)), strict=True)
        for layers, q_i, k_i, v_i in parts:
            layers[layer_idx].append((k_i, v_i))
            keys, values = (torch.cat(pieces, dim=1) for pieces in zip(*layers[layer_idx], strict=True))
            num_new, num_all = q_i.shape[1], keys.shape[1]
            sees = torch.ones(num_new, num_all, dtype=torch.bool).tril(num_all - num_new)
            attended = F.scaled_dot_product_attention(
                q_i[None], keys[None], values[None], attn_mask=sees, scale=scale, enable_gqa=True
            )
            outputs.append(attended[0])
        return torch.cat(outputs, dim=1).transpose(0, 1)
