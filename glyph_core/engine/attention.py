"""Attention over keys and values that lie in blocks: what a backend must do, and the reference that others must equal.

Shapes: T tokens of all sequences of a step, S sequences, B sequences that decode, n tokens of one chunk, L context
length, Hq query heads, Hk key/value heads, G = Hq / Hk, D head dim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from glyph_core.model.attention import PagedAttention
    from glyph_core.model.family import TextModel


class KVCache:
    """The memory of the block pool; which block is whose is the block manager's business."""

    def __init__(self, model: TextModel, num_blocks: int, block_size: int) -> None:
        shape = (model.num_layers, num_blocks, block_size, model.num_kv_heads, model.head_dim)
        # Zeros, not whatever memory held: what is masked out is still multiplied, and 0 × NaN is NaN.
        self.k = torch.zeros(shape, dtype=model.dtype, device=model.device)
        self.v = torch.zeros_like(self.k)
        self.block_size = block_size

    @staticmethod
    def num_block_bytes(model: TextModel, block_size: int) -> int:
        """Bytes of one block's keys and values in all layers."""
        return 2 * model.num_layers * block_size * model.num_kv_heads * model.head_dim * model.dtype.itemsize

    def store(self, layer_idx: int, slot_mapping: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> None:
        """Writes ``k`` and ``v`` (Hk, T, D) to the slots ``slot_mapping`` (T,) of a layer."""
        for cache, new in ((self.k, k), (self.v, v)):
            cache[layer_idx].flatten(0, 1).index_copy_(0, slot_mapping, new.transpose(0, 1))

    def gather(self, layer_idx: int, block_tables: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first ``length`` keys and values behind ``block_tables`` (S, blocks): twice (S, Hk, length, D)."""
        shape = (block_tables.shape[0], -1, *self.k.shape[3:])  # (S, blocks × block_size, Hk, D)
        k, v = (cache[layer_idx].index_select(0, block_tables.flatten()).view(shape) for cache in (self.k, self.v))
        return k[:, :length].transpose(1, 2), v[:, :length].transpose(1, 2)


@dataclass(frozen=True, slots=True)
class AttentionBatch:
    """Which tokens of a step belong to which sequence, and where their context lies."""

    slot_mapping: torch.Tensor  # (T,) int64: block × block_size + place in it, for each token of the step
    block_tables: torch.Tensor  # (S, max blocks) int64, rows filled up with 0
    query_lens: tuple[int, ...]  # tokens of each sequence in this step
    context_lens: tuple[int, ...]  # tokens of each sequence so far, this step's included


class AttentionBackend(Protocol):
    """Makes, for each step, the attention that the model's layers call."""

    def plan(self, batch: AttentionBatch) -> PagedAttention:
        """Does what is the same in all layers of a step."""
        ...


class SdpaBackend:
    """The reference, through PyTorch's ``scaled_dot_product_attention``; runs anywhere."""

    def __init__(self, cache: KVCache) -> None:
        self._cache = cache

    def plan(self, batch: AttentionBatch) -> PagedAttention:
        """Sequences that decode are batched with those of a like context length: the shorter are filled up, to less
        than twice their length. Each chunk of a prefill is attended to by itself."""
        starts = [stop - length for stop, length in zip(accumulate(batch.query_lens), batch.query_lens, strict=True)]
        parts: list[_Part] = []
        decodes = defaultdict(list)  # by the context length's number of binary digits
        for index, (query_len, context_len) in enumerate(zip(batch.query_lens, batch.context_lens, strict=True)):
            if query_len == 1:
                decodes[context_len.bit_length()].append(index)
            else:
                parts.append(_Prefill.plan(self._cache, batch, index, starts[index]))
        parts.extend(_Decode.plan(self._cache, batch, members, starts) for members in decodes.values())
        return _SdpaStep(self._cache, batch.slot_mapping, parts)


BACKENDS: dict[str, Callable[[KVCache], AttentionBackend]] = {
    "auto": SdpaBackend,  # the only one so far
    "sdpa": SdpaBackend,
}


class _Part(Protocol):
    @property
    def rows(self) -> torch.Tensor | slice:
        """Which of the step's tokens this part attends for, n of them."""
        ...

    def attend(self, layer_idx: int, q: torch.Tensor, scale: float) -> torch.Tensor:
        """``q`` (Hq, n, D) of those tokens → (n, Hq, D)."""
        ...


@dataclass(frozen=True, slots=True)
class _SdpaStep:
    """A :class:`glyph_core.model.attention.PagedAttention`."""

    cache: KVCache
    slot_mapping: torch.Tensor
    parts: list[_Part]

    def __call__(self, layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        self.cache.store(layer_idx, self.slot_mapping, k, v)
        attended = q.new_empty(q.shape[1], q.shape[0], q.shape[2])  # (T, Hq, D)
        for part in self.parts:
            attended[part.rows] = part.attend(layer_idx, q[:, part.rows], scale)
        return attended


@dataclass(frozen=True, slots=True)
class _Decode:
    """One token each of B sequences; contexts filled up to the longest, L."""

    cache: KVCache
    rows: torch.Tensor  # (B,)
    block_tables: torch.Tensor  # (B, blocks)
    length: int  # L
    mask: torch.Tensor | None  # (B, 1, 1, L) bool; None where all contexts have length L

    @classmethod
    def plan(cls, cache: KVCache, batch: AttentionBatch, members: list[int], starts: list[int]) -> _Decode:
        device = batch.block_tables.device
        lens = [batch.context_lens[index] for index in members]
        length = max(lens)
        mask = None
        if min(lens) < length:
            mask = torch.arange(length, device=device) < torch.tensor(lens, device=device)[:, None]
            mask = mask[:, None, None]
        tables = batch.block_tables[members, : -(-length // cache.block_size)]
        return cls(cache, torch.tensor([starts[index] for index in members], device=device), tables, length, mask)

    def attend(self, layer_idx: int, q: torch.Tensor, scale: float) -> torch.Tensor:
        k, v = self.cache.gather(layer_idx, self.block_tables, self.length)
        # The G query heads of a key/value head see the same context, like G tokens would: no key is repeated.
        grouped = q.transpose(0, 1).reshape(q.shape[1], k.shape[1], -1, q.shape[2])  # (B, Hk, G, D)
        return scaled_dot_product_attention(grouped, k, v, attn_mask=self.mask, scale=scale).flatten(1, 2)


@dataclass(frozen=True, slots=True)
class _Prefill:
    """n tokens of one sequence, the last of its L."""

    cache: KVCache
    rows: slice  # of length n
    block_table: torch.Tensor  # (1, blocks)
    length: int  # L
    mask: torch.Tensor | None  # (n, L) bool; None where the chunk is the whole context

    @classmethod
    def plan(cls, cache: KVCache, batch: AttentionBatch, index: int, start: int) -> _Prefill:
        device = batch.block_tables.device
        num_queries, length = batch.query_lens[index], batch.context_lens[index]
        mask = None
        if num_queries < length:
            last_seen = torch.arange(length - num_queries, length, device=device)
            mask = torch.arange(length, device=device) <= last_seen[:, None]
        table = batch.block_tables[index : index + 1, : -(-length // cache.block_size)]
        return cls(cache, slice(start, start + num_queries), table, length, mask)

    def attend(self, layer_idx: int, q: torch.Tensor, scale: float) -> torch.Tensor:
        k, v = self.cache.gather(layer_idx, self.block_table, self.length)
        attended = scaled_dot_product_attention(
            q[None], k, v, attn_mask=self.mask, is_causal=self.mask is None, scale=scale, enable_gqa=True
        )
        return attended[0].transpose(0, 1)
