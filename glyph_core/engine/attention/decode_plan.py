"""How the contexts of a step are cut into tasks for the decode kernel. Host arithmetic, vectorised: it is in the way of
every token.

Shapes: Q queries (sequences that decode), N tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from glyph_core.engine.attention.protocol import PrefixGroup

MIN_TASK_TOKENS = 128  # shorter ones would write about as much as they read
TILE = 64  # tasks begin and end at multiples of it, counted from their range's start


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """All int32. A task is (table row, start, stop, first member, number of members, part)."""

    own: np.ndarray  # (N, 6) ranges that one query attends to
    shared: np.ndarray  # (N, 6) ranges that several do
    members: np.ndarray  # queries, in runs; the first Q are 0 … Q - 1
    part_starts: np.ndarray  # (Q + 1,) where each query's parts begin

    @property
    def num_parts(self) -> int:
        return int(self.part_starts[-1])


def plan_decode(
    table_rows: Sequence[int],
    context_lens: Sequence[int],
    groups: Sequence[PrefixGroup],
    *,
    num_tasks: int,
    max_members: int,
) -> DecodePlan:
    """Cuts contexts into about ``num_tasks`` tasks of like length, and as many for what groups share.

    Members of ``groups`` are queries here. A group of more than ``max_members`` is read several times.
    """
    lens = np.asarray(context_lens, dtype=np.int32)
    num_shared = np.zeros_like(lens)
    part_counts = np.zeros_like(lens)
    members, shared = [np.arange(len(lens), dtype=np.int32)], []
    num_members = len(lens)
    shared_length = _shared_length(groups, num_shared_tasks(num_tasks), max_members)
    for group in groups:
        queries = np.asarray(group.members, dtype=np.int32)
        num_shared[queries] = group.num_tokens
        starts = np.arange(0, group.num_tokens, shared_length, dtype=np.int32)
        part_counts[queries] = len(starts)
        for first in range(0, len(queries), max_members):
            tasks = np.empty((len(starts), 6), dtype=np.int32)
            tasks[:, 0] = table_rows[group.members[0]]
            tasks[:, 1], tasks[:, 2] = starts, np.minimum(starts + shared_length, group.num_tokens)
            tasks[:, 3], tasks[:, 4] = num_members + first, min(max_members, len(queries) - first)
            tasks[:, 5] = np.arange(len(starts))
            shared.append(tasks)
        members.append(queries)
        num_members += len(queries)
    own = _own_tasks(table_rows, lens, num_shared, part_counts, num_tasks)
    part_starts = np.zeros(len(lens) + 1, dtype=np.int32)
    part_counts += np.bincount(own[:, 3], minlength=len(lens)).astype(np.int32)
    np.cumsum(part_counts, out=part_starts[1:])
    return DecodePlan(
        own,
        np.concatenate(shared) if shared else np.empty((0, 6), dtype=np.int32),
        np.concatenate(members),
        part_starts,
    )


def task_length(num_tokens: int, num_tasks: int) -> int:
    """Tokens of a task where ``num_tokens`` in all are cut into about ``num_tasks``."""
    return max(MIN_TASK_TOKENS, -(-num_tokens // (num_tasks * TILE)) * TILE)


def num_shared_tasks(num_tasks: int) -> int:
    """How many tasks of many queries run at once where ``num_tasks`` of one query do: each has a multiprocessor."""
    return max(1, num_tasks // 4)


def max_own_tasks(num_queries: int, num_tasks: int) -> int:
    """The most tasks that ``num_queries`` contexts of any length are cut into: each may leave one rest."""
    return num_tasks + num_queries


def max_shared_tasks(num_queries: int, num_tasks: int, max_members: int) -> int:
    """The most tasks for what groups share: each group may leave one rest, as often as it is read."""
    most_reads = num_queries // 2 + num_queries // max_members
    return num_shared_tasks(num_tasks) + most_reads if num_queries > 1 else 0


def _shared_length(groups: Sequence[PrefixGroup], num_tasks: int, max_members: int) -> int:
    """Tokens of a shared task, so that there are ``num_tasks`` at most, where that can be: they start at once, and one
    more than fit would take as long as all of them again."""
    reads = [(group.num_tokens, -(-len(group.members) // max_members)) for group in groups]
    length = task_length(sum(num_tokens * times for num_tokens, times in reads), num_tasks)
    longest = max((num_tokens for num_tokens, _ in reads), default=0)
    while length < longest and sum(-(-num_tokens // length) * times for num_tokens, times in reads) > num_tasks:
        length += max(TILE, length // (16 * TILE) * TILE)
    return length


def _own_tasks(
    table_rows: Sequence[int], lens: np.ndarray, num_shared: np.ndarray, first_parts: np.ndarray, num_tasks: int
) -> np.ndarray:
    own_lens = lens - num_shared
    length = task_length(int(own_lens.sum()), num_tasks)
    counts = -(-own_lens // length)
    query = np.repeat(np.arange(len(lens), dtype=np.int32), counts)
    place = np.arange(len(query), dtype=np.int32) - np.repeat(np.cumsum(counts) - counts, counts)
    tasks = np.empty((len(query), 6), dtype=np.int32)
    tasks[:, 0] = np.asarray(table_rows, dtype=np.int32)[query]
    tasks[:, 1] = num_shared[query] + place * length
    tasks[:, 2] = np.minimum(tasks[:, 1] + length, lens[query])
    tasks[:, 3], tasks[:, 4] = query, 1
    tasks[:, 5] = first_parts[query] + place
    return tasks


def shared_prefixes(
    tables: np.ndarray, num_blocks: Sequence[int], block_size: int, min_tokens: int
) -> list[PrefixGroup]:
    """Groups of rows of ``tables`` (Q, max blocks) that begin with the same blocks, so chosen that most is saved.

    ``num_blocks`` of each row may be shared. Groups that would save fewer than ``min_tokens`` are left out.
    """
    if len(tables) < 2:
        return []
    width = max(num_blocks)
    order = sorted(range(len(tables)), key=lambda row: tables[row, :width].tolist())
    common = [_num_common(tables, num_blocks, *pair) for pair in pairwise(order)]
    _, spans = _best_groups(common, 0, len(order) - 1)
    found = [
        PrefixGroup(tuple(sorted(order[first : last + 1])), min(common[first:last]) * block_size)
        for first, last in spans
    ]
    return [group for group in found if group.num_tokens * (len(group.members) - 1) >= min_tokens]


def _num_common(tables: np.ndarray, num_blocks: Sequence[int], row: int, other: int) -> int:
    width = min(num_blocks[row], num_blocks[other])
    differs = tables[row, :width] != tables[other, :width]
    return int(differs.argmax()) if differs.any() else width


def _best_groups(common: list[int], first: int, last: int) -> tuple[int, list[tuple[int, int]]]:
    """Of the rows ``first`` … ``last`` in order, whose neighbours have ``common`` blocks: the blocks saved at most, and
    the groups that save them. One group of all saves the shortest common prefix for each row but one; else the rows
    are parted where that prefix ends."""
    if first == last:
        return 0, []
    least = min(common[first:last])
    parts, start = [], first
    for row in range(first, last):
        if common[row] == least:
            parts.append((start, row))
            start = row + 1
    parts.append((start, last))
    found = [_best_groups(common, *part) for part in parts]
    saved = sum(blocks for blocks, _ in found)
    if least * (last - first) >= max(saved, 1):
        return least * (last - first), [(first, last)]
    return saved, [group for _, groups in found for group in groups]
