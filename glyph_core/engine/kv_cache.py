"""The memory of the KV block pool; which block is whose is the block manager's business.

Shapes: T tokens of all sequences of a step, S sequences, L context length, Hk key/value heads, D head dim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from glyph_core.model.family import TextModel

KV_DTYPES = {"fp8": torch.float8_e4m3fn}  # "auto" is the model's own


class KVCache:
    """``k`` and ``v`` are (layers, blocks, block_size, Hk, D)."""

    def __init__(self, model: TextModel, num_blocks: int, block_size: int, kv_dtype: str = "auto") -> None:
        shape = (model.num_layers, num_blocks, block_size, model.num_kv_heads, model.head_dim)
        dtype = KV_DTYPES.get(kv_dtype, model.dtype)
        # Zeros, not whatever memory held: what is masked out is still multiplied, and 0 × NaN is NaN.
        self.k = torch.zeros(shape, dtype=dtype, device=model.device)
        self.v = torch.zeros_like(self.k)
        self.num_blocks, self.block_size = num_blocks, block_size
        self.num_kv_heads, self.head_dim = model.num_kv_heads, model.head_dim
        self.dtype = model.dtype  # that gather gives
        self.device = model.device

    def clear(self) -> None:
        """As it was made."""
        for cache in (self.k, self.v):
            (cache.view(torch.uint8) if cache.dtype.itemsize == 1 else cache).zero_()

    @staticmethod
    def num_block_bytes(model: TextModel, block_size: int, kv_dtype: str = "auto") -> int:
        """Bytes of one block's keys and values in all layers."""
        itemsize = KV_DTYPES.get(kv_dtype, model.dtype).itemsize
        return 2 * model.num_layers * block_size * model.num_kv_heads * model.head_dim * itemsize

    def store(self, layer_idx: int, slot_mapping: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
        """Writes ``k`` and ``v`` (Hk, T, D) to the slots ``slot_mapping`` (T,) of a layer."""
        for cache, new in ((self.k, k), (self.v, v)):
            slots, values = cache[layer_idx].flatten(0, 1), new.transpose(0, 1).to(cache.dtype)
            if cache.dtype.itemsize == 1:  # PyTorch indexes no float8: its bits are bytes
                slots, values = slots.view(torch.uint8), values.view(torch.uint8)
            slots.index_copy_(0, slot_mapping, values)

    def gather(self, layer_idx: int, block_tables: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first ``length`` keys and values behind ``block_tables`` (S, blocks): twice (S, Hk, length, D)."""
        shape = (block_tables.shape[0], -1, *self.k.shape[3:])  # (S, blocks × block_size, Hk, D)
        k, v = (self._blocks(cache[layer_idx], block_tables.flatten()).view(shape) for cache in (self.k, self.v))
        return k[:, :length].transpose(1, 2), v[:, :length].transpose(1, 2)

    def _blocks(self, cache: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        if cache.dtype.itemsize == 1:
            return cache.view(torch.uint8).index_select(0, blocks).view(cache.dtype).to(self.dtype)
        return cache.index_select(0, blocks)
