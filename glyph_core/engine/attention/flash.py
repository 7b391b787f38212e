"""Attention through the flash-attn package (FlashAttention-2, Dao-AILab), where it is installed.

Its paged kernels want blocks of a multiple of 256 tokens, and its padding-free ones take any mixture of sequences, so
a whole step is one call.

Shapes: T tokens of all sequences of a step, S sequences, Hq query heads, Hk key/value heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from typing import Any

import torch

from glyph_core.engine.attention.protocol import AttentionBatch
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError

BLOCK_MULTIPLE = 256


class FlashBackend:
    """A :class:`glyph_core.engine.attention.protocol.AttentionBackend`."""

    def __init__(self, cache: KVCache) -> None:
        if cache.block_size % BLOCK_MULTIPLE:
            raise ConfigError(
                f"flash-attn's paged kernels want blocks of a multiple of {BLOCK_MULTIPLE} tokens, and block_size is "
                f"{cache.block_size}; set engine.block_size to {BLOCK_MULTIPLE}, or engine.attention to another"
            )
        if cache.k.dtype != cache.dtype:
            raise ConfigError("flash-attn reads no fp8 keys and values; set engine.kv_dtype to auto")
        self._cache = cache
        self._attend: Callable[..., torch.Tensor] = import_module("flash_attn").flash_attn_varlen_func

    def plan(self, batch: AttentionBatch) -> FlashStep:
        """One call for all sequences: prefill chunks and decoding ones alike."""
        device = batch.block_tables.device
        rows = torch.tensor(batch.table_rows, device=device)
        width = -(-max(batch.context_lens) // self._cache.block_size)
        return FlashStep(
            self._cache,
            self._attend,
            batch.slot_mapping,
            {
                "block_table": batch.block_tables[:, :width].index_select(0, rows).contiguous(),
                "cu_seqlens_q": _bounds(batch.query_lens, device),
                "cu_seqlens_k": _bounds(batch.context_lens, device),
                "max_seqlen_q": max(batch.query_lens),
                "max_seqlen_k": max(batch.context_lens),
            },
        )


@dataclass(frozen=True, slots=True)
class FlashStep:
    """A :class:`glyph_core.model.attention.PagedAttention`."""

    cache: KVCache
    attend: Callable[..., torch.Tensor]
    slot_mapping: torch.Tensor
    options: dict[str, Any]

    def __call__(self, layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        self.cache.store(layer_idx, self.slot_mapping, k, v)
        return self.attend(
            q.transpose(0, 1),
            self.cache.k[layer_idx],
            self.cache.v[layer_idx],
            softmax_scale=scale,
            causal=True,  # its mask ends at the last key
            **self.options,
        )


def _bounds(lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
