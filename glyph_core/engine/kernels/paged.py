"""Triton kernels over keys and values that lie in blocks: attend with few queries, merge.

Decoding reads every key and value once for one query a sequence, so what counts is bytes. A *task* is a range of one
context and the queries that attend to it: one sequence's, or those of all sequences that share that range, which is
then read once for all of them (FlashDecoding's split keys, and cascade attention for the shared part). Every query
head of a key/value head is a row of the same tile, so that they share each load too. Each task writes, for each of
its queries, an attended *part* and the log-sum-exp of its scores, to the base 2; a second kernel merges a query's parts
by them.

Nothing here asks for more than 99 KB of shared memory a program (sm_89), nor for anything but plain Triton.

Shapes: T tokens of a step, Q queries (sequences that decode), N tasks, P parts, Hq query heads, Hk key/value heads,
G = Hq / Hk, D head dim, R rows of the block tables, L layers are the caller's business.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

TASK_FIELDS = 6  # table row, start, stop, first of its members, number of members, part
NOTHING = tl.constexpr(-1.0e30)  # below any score, and unlike -inf its differences are no NaN
MIN_ROWS = 16  # tl.dot takes no fewer


@triton.jit
def _keys_and_values(
    k_cache_ptr, v_cache_ptr, table_ptr, first, stop, kv_head,
    NUM_KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr, TILE: tl.constexpr,
    IS_WHOLE: tl.constexpr,
):  # fmt: skip
    """Those at ``first`` … ``first + TILE - 1``, 0 from ``stop`` on: twice (TILE, D)."""
    place, column = first + tl.arange(0, TILE), tl.arange(0, HEAD_DIM)
    if IS_WHOLE:
        block = tl.load(table_ptr + place // BLOCK_SIZE).to(tl.int64)
        at = ((block * BLOCK_SIZE + place % BLOCK_SIZE) * NUM_KV_HEADS + kv_head) * HEAD_DIM
        return tl.load(k_cache_ptr + at[:, None] + column[None, :]), tl.load(
            v_cache_ptr + at[:, None] + column[None, :]
        )
    exists = place < stop
    block = tl.load(table_ptr + place // BLOCK_SIZE, mask=exists, other=0).to(tl.int64)
    at = ((block * BLOCK_SIZE + place % BLOCK_SIZE) * NUM_KV_HEADS + kv_head) * HEAD_DIM
    return (
        tl.load(k_cache_ptr + at[:, None] + column[None, :], mask=exists[:, None], other=0.0),
        tl.load(v_cache_ptr + at[:, None] + column[None, :], mask=exists[:, None], other=0.0),
    )


@triton.jit
def attend_kernel(
    q_ptr, k_cache_ptr, v_cache_ptr, parts_ptr, lse_ptr,
    tasks_ptr, members_ptr, rows_ptr, part_starts_ptr, tables_ptr,
    scale, stride_qh, stride_qt, stride_table,
    NUM_KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    ROWS: tl.constexpr, TILE: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    """One program a task and key/value head."""
    task_ptr, kv_head = tasks_ptr + tl.program_id(0) * 6, tl.program_id(1)
    start, stop = tl.load(task_ptr + 1), tl.load(task_ptr + 2)
    if start < stop:
        table_ptr = tables_ptr + tl.load(task_ptr).to(tl.int64) * stride_table
        row, column = tl.arange(0, ROWS), tl.arange(0, HEAD_DIM)
        is_query = row < tl.load(task_ptr + 4) * GROUP
        member = tl.load(members_ptr + tl.load(task_ptr + 3) + row // GROUP, mask=is_query, other=0)
        token = tl.load(rows_ptr + member, mask=is_query, other=0)
        head = kv_head * GROUP + row % GROUP
        part = tl.load(part_starts_ptr + member, mask=is_query, other=0) + tl.load(task_ptr + 5)
        begin(CHAINED)  # tasks and tables come from the host
        q_at = q_ptr + head.to(tl.int64) * stride_qh + token.to(tl.int64) * stride_qt
        q = tl.load(q_at[:, None] + column[None, :], mask=is_query[:, None], other=0.0)
        highest = tl.full([ROWS], NOTHING, tl.float32)
        total = tl.zeros([ROWS], tl.float32)
        attended = tl.zeros([ROWS, HEAD_DIM], tl.float32)
        # Powers of two, and the scale within the exponent: one multiplication and addition a score.
        scale *= 1.4426950408889634
        whole = start + (stop - start) // TILE * TILE
        for first in range(start, whole, TILE):
            k, v = _keys_and_values(
                k_cache_ptr, v_cache_ptr, table_ptr, first, stop, kv_head,
                NUM_KV_HEADS, HEAD_DIM, BLOCK_SIZE, TILE, IS_WHOLE=True,
            )  # fmt: skip
            scores = tl.dot(q, tl.trans(k.to(q.dtype)), input_precision="ieee")
            higher = tl.maximum(highest, tl.max(scores, 1) * scale)
            weights, shrink = tl.exp2(scores * scale - higher[:, None]), tl.exp2(highest - higher)
            attended = tl.dot(weights.to(q.dtype), v.to(q.dtype), attended * shrink[:, None], input_precision="ieee")
            total = total * shrink + tl.sum(weights, 1)
            highest = higher
        if whole < stop:
            k, v = _keys_and_values(
                k_cache_ptr, v_cache_ptr, table_ptr, whole, stop, kv_head,
                NUM_KV_HEADS, HEAD_DIM, BLOCK_SIZE, TILE, IS_WHOLE=False,
            )  # fmt: skip
            scores = tl.dot(q, tl.trans(k.to(q.dtype)), input_precision="ieee") * scale
            scores = tl.where((whole + tl.arange(0, TILE) < stop)[None, :], scores, NOTHING)
            higher = tl.maximum(highest, tl.max(scores, 1))
            weights, shrink = tl.exp2(scores - higher[:, None]), tl.exp2(highest - higher)
            attended = tl.dot(weights.to(q.dtype), v.to(q.dtype), attended * shrink[:, None], input_precision="ieee")
            total = total * shrink + tl.sum(weights, 1)
            highest = higher
        to = part.to(tl.int64) * (NUM_KV_HEADS * GROUP) + head
        attended = (attended / total[:, None]).to(parts_ptr.dtype.element_ty)
        tl.store(parts_ptr + to[:, None] * HEAD_DIM + column[None, :], attended, is_query[:, None])
        tl.store(lse_ptr + to, highest + tl.log2(total), mask=is_query)
    else:
        begin(CHAINED)  # or a kernel of nothing but padding would end before those that it follows


@triton.jit
def merge_kernel(
    out_ptr, parts_ptr, lse_ptr, rows_ptr, part_starts_ptr,
    NUM_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, TILE: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    """One program a query and head. A query without parts is padding; its output is 0."""
    query, head = tl.program_id(0), tl.program_id(1)
    first, last = tl.load(part_starts_ptr + query), tl.load(part_starts_ptr + query + 1)
    row = tl.load(rows_ptr + query).to(tl.int64)
    begin(CHAINED)  # those come from the host
    column, offset = tl.arange(0, HEAD_DIM), tl.arange(0, TILE)
    highest = tl.full([1], NOTHING, tl.float32)
    total = tl.zeros([1], tl.float32)
    merged = tl.zeros([HEAD_DIM], tl.float32)
    for part in range(first, last, TILE):
        at = (part + offset).to(tl.int64) * NUM_HEADS + head
        exists = part + offset < last
        lse = tl.load(lse_ptr + at, mask=exists, other=NOTHING)
        parts = tl.load(parts_ptr + at[:, None] * HEAD_DIM + column[None, :], mask=exists[:, None], other=0.0)
        higher = tl.maximum(highest, tl.max(lse, 0))
        weights, shrink = tl.where(exists, tl.exp2(lse - higher), 0.0), tl.exp2(highest - higher)
        merged = merged * shrink + tl.sum(weights[:, None] * parts.to(tl.float32), 0)
        total = total * shrink + tl.sum(weights, 0)
        highest = higher
    to = (row * NUM_HEADS + head) * HEAD_DIM + column
    merged = merged / tl.where(total > 0, total, 1.0)
    tl.store(out_ptr + to, merged.to(out_ptr.dtype.element_ty))


def max_members(group: int) -> int:
    """Queries that one task may have: their heads fill a tile of 128 rows, the most that sm_89 has registers for."""
    return max(1, min(8, 128 // group))


def attend(
    q: torch.Tensor,  # (Hq, T, D), any strides but the last
    k_cache: torch.Tensor,  # (blocks, size, Hk, D), of q's dtype or float8_e4m3fn
    v_cache: torch.Tensor,
    tables: torch.Tensor,  # (R, max blocks) int32
    tasks: torch.Tensor,  # (N, TASK_FIELDS) int32; those with start >= stop are padding
    members: torch.Tensor,  # int32: for each task a run of queries
    rows: torch.Tensor,  # (Q,) int32: the token of each query
    part_starts: torch.Tensor,  # (Q + 1,) int32: the parts of each query
    parts: torch.Tensor,  # (P, Hq, D) of q's dtype, written
    lse: torch.Tensor,  # (P, Hq) float32, to the base 2, written
    scale: float,
    num_members: int,  # the most that one of these tasks has
) -> None:
    """Attends to every task's range with every task's queries."""
    num_heads, _, head_dim = q.shape
    num_kv_heads = k_cache.shape[2]
    group = num_heads // num_kv_heads
    num_rows = max(MIN_ROWS, triton.next_power_of_2(num_members * group))
    tile = tile_of(num_rows, head_dim)
    if rows.shape[0] == 1 and num_rows == MIN_ROWS and q.dtype.itemsize == 2:
        tile = 128  # one sequence is cut so small that a task is one turn
    attend_kernel[(tasks.shape[0], num_kv_heads)](
        q, k_cache, v_cache, parts, lse, tasks, members, rows, part_starts, tables,
        scale, q.stride(0), q.stride(1), tables.stride(0),
        num_kv_heads, group, head_dim, k_cache.shape[1], num_rows, tile,
        num_warps=4, num_stages=2, **chained(),
    )  # fmt: skip


def tile_of(num_rows: int, head_dim: int) -> int:
    """Keys of one turn of the loop: what 99 KB of shared memory hold twice over beside the queries."""
    return 32 if num_rows * head_dim >= 64 * 128 else 64


def merge(
    parts: torch.Tensor, lse: torch.Tensor, rows: torch.Tensor, part_starts: torch.Tensor, out: torch.Tensor
) -> None:
    """Every query's parts become its row of ``out`` (T, Hq, D)."""
    num_heads, head_dim = out.shape[1:]
    merge_kernel[(rows.shape[0], num_heads)](
        out, parts, lse, rows, part_starts, num_heads, head_dim, 64, num_warps=8, **chained()
    )  # fmt: skip
