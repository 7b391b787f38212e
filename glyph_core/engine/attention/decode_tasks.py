"""A step's tasks of the decode kernel on the device.

Shapes: T tokens of all sequences of a step, Q queries (sequences that decode), P parts, Hq query heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from glyph_core.engine.attention.decode_plan import DecodePlan, max_own_tasks, max_shared_tasks
from glyph_core.engine.kernels import paged
from glyph_core.engine.kv_cache import KVCache


@dataclass(frozen=True, slots=True)
class TaskSizes:
    """How much room the tasks of a step take."""

    num_queries: int
    num_own: int
    num_shared: int
    num_members: int
    num_parts: int

    @classmethod
    def of(cls, plan: DecodePlan) -> TaskSizes:
        """What ``plan`` takes."""
        num_queries = len(plan.part_starts) - 1
        return cls(num_queries, len(plan.own), len(plan.shared), len(plan.members), plan.num_parts)

    @classmethod
    def most(cls, num_queries: int, num_tasks: int, max_members: int) -> TaskSizes:
        """What any plan for up to ``num_queries`` queries takes."""
        num_own = max_own_tasks(num_queries, num_tasks)
        num_shared = max_shared_tasks(num_queries, num_tasks, max_members)
        num_parts = num_own + num_shared * max_members
        return cls(num_queries, num_own, num_shared, 2 * num_queries, num_parts)


class DecodeTasks:
    """One buffer that :meth:`load` fills and the kernels read, and the memory for the parts. They stay where they are,
    as a CUDA graph needs them."""

    def __init__(self, cache: KVCache, num_heads: int, block_tables: torch.Tensor, sizes: TaskSizes) -> None:
        """``block_tables`` is (R, max blocks) int32, on the cache's device."""
        self._cache, self._tables, self._sizes = cache, block_tables, sizes
        self._max_members = paged.max_members(num_heads // cache.num_kv_heads)
        lengths = [
            sizes.num_own * paged.TASK_FIELDS,
            sizes.num_shared * paged.TASK_FIELDS,
            sizes.num_members,
            sizes.num_queries + 1,
            sizes.num_queries,
        ]
        pinned = cache.device.type == "cuda"
        # Two, in turn: while one is on its way to the device the next step is planned.
        self._hosts = [torch.zeros(sum(lengths), dtype=torch.int32, pin_memory=pinned) for _ in range(2)]
        self._sections = [[section.numpy() for section in torch.split(host, lengths)] for host in self._hosts]
        self._turn = 0
        self._device = torch.zeros_like(self._hosts[0], device=cache.device)
        own, shared, self._members, self._part_starts, self._rows = torch.split(self._device, lengths)
        self._own, self._shared = own.view(-1, paged.TASK_FIELDS), shared.view(-1, paged.TASK_FIELDS)
        self._parts = torch.empty(sizes.num_parts, num_heads, cache.head_dim, dtype=cache.dtype, device=cache.device)
        self._lse = torch.empty(sizes.num_parts, num_heads, device=cache.device)

    def load(self, plan: DecodePlan, rows: Sequence[int]) -> None:
        """Takes ``plan``; query i is the step's token ``rows[i]``. What the plan leaves of the room does nothing."""
        num_queries = len(plan.part_starts) - 1
        values: list[np.ndarray | Sequence[int]] = [
            plan.own.ravel(), plan.shared.ravel(), plan.members, plan.part_starts, rows
        ]  # fmt: skip
        # Padding queries have no parts, and rows of their own behind the others: the merge writes zeros there.
        rests = (0, 0, 0, plan.num_parts, np.arange(num_queries, self._sizes.num_queries))
        self._turn = 1 - self._turn
        for section, value, rest in zip(self._sections[self._turn], values, rests, strict=True):
            section[: len(value)] = value
            section[len(value) :] = rest
        self._device.copy_(self._hosts[self._turn], non_blocking=True)

    def attend(self, layer_idx: int, q: torch.Tensor, out: torch.Tensor, scale: float, *, is_shared: bool) -> None:
        """``q`` (Hq, T, D) of the queries' tokens → their rows of ``out`` (T, Hq, D)."""
        k, v = self._cache.k[layer_idx], self._cache.v[layer_idx]
        tasks = [(self._own, 1)] if self._sizes.num_own else []
        if is_shared:
            tasks.append((self._shared, self._max_members))
        for table, num_members in tasks:
            paged.attend(
                q, k, v, self._tables, table, self._members, self._rows, self._part_starts,
                self._parts, self._lse, scale, num_members,
            )  # fmt: skip
        paged.merge(self._parts, self._lse, self._rows, self._part_starts, out)
