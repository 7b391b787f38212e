"""Attention through the kernels of :mod:`glyph_core.engine.kernels.paged`: paged, split, and shared prefixes read once.

Shapes: T tokens of all sequences of a step, Q queries (sequences that decode), n tokens of one chunk, L context
length, Hq query heads, Hk key/value heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from glyph_core.engine.attention.decode_plan import plan_decode
from glyph_core.engine.attention.decode_tasks import DecodeTasks, TaskSizes
from glyph_core.engine.attention.prefill import PrefillAttention
from glyph_core.engine.attention.protocol import AttentionBatch, PrefixGroup
from glyph_core.engine.kernels import paged, store, turn
from glyph_core.engine.kv_cache import KVCache
from glyph_core.errors import ConfigError
from glyph_core.model.attention import HeadNorms, Rotation

NUM_TASKS = 16  # of a step off the GPU, where nothing runs side by side
HEAD_DIMS = (16, 32, 64, 128)


class TritonBackend:
    """A :class:`glyph_core.engine.attention.protocol.StaticAttentionBackend`."""

    def __init__(self, cache: KVCache, num_heads: int, prefill: PrefillAttention) -> None:
        if cache.head_dim not in HEAD_DIMS:
            raise ConfigError(
                f"the triton attention backend runs head dims {', '.join(map(str, HEAD_DIMS))}, and this model has "
                f"{cache.head_dim}; set engine.attention to sdpa"
            )
        self.cache, self.num_heads, self.prefill = cache, num_heads, prefill
        self.max_members = paged.max_members(num_heads // cache.num_kv_heads)
        self.num_tasks = NUM_TASKS
        if cache.device.type == "cuda":  # four programs a multiprocessor hide each other's waits
            processors = torch.cuda.get_device_properties(cache.device).multi_processor_count
            self.num_tasks = 4 * processors // cache.num_kv_heads

    def plan(self, batch: AttentionBatch) -> TritonStep:
        """Every sequence with one token in the step is a query of the decode kernel, every other a prefill chunk."""
        starts = [stop - length for stop, length in zip(accumulate(batch.query_lens), batch.query_lens, strict=True)]
        queries = [index for index, length in enumerate(batch.query_lens) if length == 1]
        chunks = [
            self._chunk(batch, index, starts[index]) for index, length in enumerate(batch.query_lens) if length > 1
        ]
        step = TritonStep(self.cache, self.prefill, batch.slot_mapping, chunks)
        if not queries:
            return step
        query_of = {index: query for query, index in enumerate(queries)}
        plan = plan_decode(
            [batch.table_rows[index] for index in queries],
            [batch.context_lens[index] for index in queries],
            [replace(group, members=tuple(query_of[index] for index in group.members)) for group in batch.groups],
            num_tasks=self.num_tasks,
            max_members=self.max_members,
        )
        tasks = DecodeTasks(self.cache, self.num_heads, batch.block_tables, TaskSizes.of(plan))
        tasks.load(plan, [starts[index] for index in queries])
        return replace(step, tasks=tasks, is_shared=len(plan.shared) > 0)

    def static_decode(self, num_queries: int, slot_mapping: torch.Tensor, block_tables: torch.Tensor) -> StaticDecode:
        """For steps in which each of up to ``num_queries`` sequences decodes, over buffers that stay where they are."""
        return StaticDecode(self, num_queries, slot_mapping, block_tables)

    def _chunk(self, batch: AttentionBatch, index: int, start: int) -> _Chunk:
        row, context_len = batch.table_rows[index], batch.context_lens[index]
        table = batch.block_tables[row : row + 1, : -(-context_len // self.cache.block_size)]
        return _Chunk(slice(start, start + batch.query_lens[index]), table, context_len)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A sequence's tokens of this step, the last of its context."""

    rows: slice
    block_table: torch.Tensor  # (1, blocks) int32
    context_len: int


@dataclass(frozen=True, slots=True)
class TritonStep:
    """A :class:`glyph_core.model.attention.RotatingAttention`."""

    cache: KVCache
    prefill: PrefillAttention
    slot_mapping: torch.Tensor
    chunks: Sequence[_Chunk] = ()
    tasks: DecodeTasks | None = None
    is_shared: bool = False

    def __call__(self, layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        store.write_kv(k, v, self.cache.k[layer_idx], self.cache.v[layer_idx], self.slot_mapping)
        return self._attend(layer_idx, q, scale)

    def attend_unrotated(
        self,
        layer_idx: int,
        heads: torch.Tensor,
        rotation: Rotation,
        scale: float,
        bias: torch.Tensor | None = None,
        norms: HeadNorms | None = None,
    ) -> torch.Tensor:
        k_cache, v_cache = self.cache.k[layer_idx], self.cache.v[layer_idx]
        cos, sin, slots, dtype = rotation.cos, rotation.sin, self.slot_mapping, self.cache.dtype
        if rotation.in_halves:
            q = turn.turn_write(heads, bias, rotation, norms, k_cache, v_cache, slots, dtype)
            return self._attend(layer_idx, q.transpose(0, 1), scale)
        if heads.ndim == 4:
            q = store.add_rotate_write(heads, bias, cos, sin, k_cache, v_cache, slots, dtype)
            return self._attend(layer_idx, q.transpose(0, 1), scale)
        store.rotate_write(heads, cos, sin, k_cache, v_cache, slots)
        num_heads = heads.shape[1] - 2 * self.cache.num_kv_heads
        return self._attend(layer_idx, heads[:, :num_heads].transpose(0, 1), scale)

    def _attend(self, layer_idx: int, q: torch.Tensor, scale: float) -> torch.Tensor:
        if self.tasks is None and len(self.chunks) == 1:
            return self._prefill(self.chunks[0], layer_idx, q, scale)
        attended = q.new_empty(q.shape[1], q.shape[0], q.shape[2])  # (T, Hq, D)
        for chunk in self.chunks:
            attended[chunk.rows] = self._prefill(chunk, layer_idx, q[:, chunk.rows], scale)
        if self.tasks is not None:
            self.tasks.attend(layer_idx, q, attended, scale, is_shared=self.is_shared)
        return attended

    def _prefill(self, chunk: _Chunk, layer_idx: int, q: torch.Tensor, scale: float) -> torch.Tensor:
        keys, values = self.cache.gather(layer_idx, chunk.block_table, chunk.context_len)
        return self.prefill(q, keys[0], values[0], scale)


class StaticDecode:
    """The attention of decode steps of one size, step after step the same memory."""

    def __init__(
        self, backend: TritonBackend, num_queries: int, slot_mapping: torch.Tensor, block_tables: torch.Tensor
    ) -> None:
        self._backend = backend
        cache, num_heads, prefill = backend.cache, backend.num_heads, backend.prefill
        sizes = TaskSizes.most(num_queries, backend.num_tasks, backend.max_members)
        self._tasks = DecodeTasks(cache, num_heads, block_tables, sizes)
        alone = TritonStep(cache, prefill, slot_mapping, tasks=self._tasks)
        self._steps = {False: alone, True: replace(alone, is_shared=True)}

    def load(self, table_rows: Sequence[int], context_lens: Sequence[int], groups: Sequence[PrefixGroup]) -> bool:
        """Takes a step's sequences; the rest of the ``num_queries`` is padding. Returns whether some share a prefix,
        which is what :meth:`attention` must be told."""
        plan = plan_decode(
            table_rows,
            context_lens,
            groups,
            num_tasks=self._backend.num_tasks,
            max_members=self._backend.max_members,
        )
        self._tasks.load(plan, range(len(table_rows)))
        return len(plan.shared) > 0

    def attention(self, *, is_shared: bool) -> TritonStep:
        return self._steps[is_shared]
