"""The reference that the other attention backends must equal.

Shapes: T tokens of all sequences of a step, S sequences, B sequences that decode, n tokens of one chunk, L context
length, Hq query heads, Hk key/value heads, G = Hq / Hk, D head dim.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention

from glyph_core.engine.attention.protocol import AttentionBatch
from glyph_core.engine.kv_cache import KVCache

if TYPE_CHECKING:
    from glyph_core.model.attention import PagedAttention


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
        rows = torch.tensor([batch.table_rows[index] for index in members], device=device)
        tables = batch.block_tables[:, : -(-length // cache.block_size)].index_select(0, rows)
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
        row = batch.table_rows[index]
        table = batch.block_tables[row : row + 1, : -(-length // cache.block_size)]
        return cls(cache, slice(start, start + num_queries), table, length, mask)

    def attend(self, layer_idx: int, q: torch.Tensor, scale: float) -> torch.Tensor:
        k, v = self.cache.gather(layer_idx, self.block_table, self.length)
        attended = scaled_dot_product_attention(
            q[None], k, v, attn_mask=self.mask, is_causal=self.mask is None, scale=scale, enable_gqa=True
        )
        return attended[0].transpose(0, 1)
