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

from glyph_core.model.kernels.chain import begin, chained, fetch

TASK_FIELDS = 6  # table row, start, stop, first of its members, number of members, part
NOTHING = tl.constexpr(-1.0e30)  # below any score, and unlike -inf its differences are no NaN
MERGE_WIDTH = 64  # of a head's places, a program's
MIN_ROWS = 16  # tl.dot takes no fewer


@triton.jit
def _is_run(table_ptr, first, num_blocks):
    """Blocks ``first`` … of a table follow one another in the pool."""
    offset, expected = tl.arange(0, 128), tl.load(table_ptr + first)
    num_strays = 0
    for number in range(0, num_blocks, 128):
        exists = number + offset < num_blocks
        block = tl.load(table_ptr + first + number + offset, mask=exists, other=0)
        num_strays += tl.sum((exists & (block != expected + number + offset)).to(tl.int32), 0)
    return num_strays == 0


@triton.jit
def _fetch_first(
    k_ptr, v_ptr, table_ptr, start, stop, STRIDE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr
):
    """The first 128 keys and values of a task."""
    place = tl.minimum(start + tl.arange(0, 128), stop - 1)
    at = (tl.load(table_ptr + place // BLOCK_SIZE).to(tl.int64) * BLOCK_SIZE + place % BLOCK_SIZE) * STRIDE
    line = tl.arange(0, 2) * (HEAD_DIM // 2)
    fetch(k_ptr + at[:, None] + line[None, :])
    fetch(v_ptr + at[:, None] + line[None, :])


@triton.jit
def _turn(q, k, v, is_key, scale, attended, highest, total, IS_WHOLE: tl.constexpr):
    """Adds a tile of keys and values (TILE, D) to what the queries (ROWS, D) have attended to."""
    scores = tl.dot(q, tl.trans(k.to(q.dtype)), input_precision="ieee")
    if not IS_WHOLE:
        scores = tl.where(is_key[None, :], scores, NOTHING)
    higher = tl.maximum(highest, tl.max(scores, 1) * scale)
    # Powers of two, and the scale within the exponent: one multiplication and addition a score.
    weights, shrink = tl.exp2(scores * scale - higher[:, None]), tl.exp2(highest - higher)
    attended = tl.dot(weights.to(q.dtype), v.to(q.dtype), attended * shrink[:, None], input_precision="ieee")
    return attended, higher, total * shrink + tl.sum(weights, 1)


@triton.jit
def _whole_turns(
    q, k_ptr, v_ptr, table_ptr, start, whole, scale, attended, highest, total,
    STRIDE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr, TILE: tl.constexpr, IS_RUN: tl.constexpr,
):  # fmt: skip
    """All tiles of ``start`` … ``whole`` - 1. Where the blocks are no run, the table is read a tile ahead: a load that
    waits for another cannot be under way while the tile before is computed."""
    inner, column = tl.arange(0, TILE), tl.arange(0, HEAD_DIM)
    block = tl.load(table_ptr + (start + inner) // BLOCK_SIZE)
    begin_at = (tl.load(table_ptr + start // BLOCK_SIZE).to(tl.int64) * BLOCK_SIZE + start % BLOCK_SIZE) * STRIDE
    for first in range(start, whole, TILE):
        place = first + inner
        if IS_RUN:
            at = begin_at + (place - start).to(tl.int64) * STRIDE
        else:
            at = (block.to(tl.int64) * BLOCK_SIZE + place % BLOCK_SIZE) * STRIDE
            block = tl.load(table_ptr + tl.minimum(place + TILE, whole - 1) // BLOCK_SIZE)
        k, v = tl.load(k_ptr + at[:, None] + column[None, :]), tl.load(v_ptr + at[:, None] + column[None, :])
        attended, highest, total = _turn(q, k, v, inner, scale, attended, highest, total, IS_WHOLE=True)
    return attended, highest, total


@triton.jit
def attend_kernel(
    q_ptr, k_cache_ptr, v_cache_ptr, parts_ptr, lse_ptr,
    tasks_ptr, members_ptr, rows_ptr, part_starts_ptr, tables_ptr,
    scale, stride_qh, stride_qt, stride_table,
    NUM_KV_HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_SIZE: tl.constexpr,
    ROWS: tl.constexpr, TILE: tl.constexpr, IN_HALF: tl.constexpr, SEEKS_RUNS: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    """One program a task and key/value head. IN_HALF: keys and values have 8 bits, which float16 holds exactly and is
    made of faster than bfloat16."""
    task_ptr, kv_head = tasks_ptr + tl.program_id(0) * 6, tl.program_id(1)
    start, stop = tl.load(task_ptr + 1), tl.load(task_ptr + 2)
    if start < stop:
        table_ptr = tables_ptr + tl.load(task_ptr).to(tl.int64) * stride_table
        row, column, inner = tl.arange(0, ROWS), tl.arange(0, HEAD_DIM), tl.arange(0, TILE)
        is_query = row < tl.load(task_ptr + 4) * GROUP
        member = tl.load(members_ptr + tl.load(task_ptr + 3) + row // GROUP, mask=is_query, other=0)
        token = tl.load(rows_ptr + member, mask=is_query, other=0)
        head = kv_head * GROUP + row % GROUP
        part = tl.load(part_starts_ptr + member, mask=is_query, other=0) + tl.load(task_ptr + 5)
        k_ptr, v_ptr = k_cache_ptr + kv_head * HEAD_DIM, v_cache_ptr + kv_head * HEAD_DIM
        first_block = start // BLOCK_SIZE
        is_run = False
        if SEEKS_RUNS:
            is_run = _is_run(table_ptr, first_block, (stop - 1) // BLOCK_SIZE + 1 - first_block)
        if CHAINED:  # what this step does not write can come before the queries do
            _fetch_first(k_ptr, v_ptr, table_ptr, start, stop, NUM_KV_HEADS * HEAD_DIM, HEAD_DIM, BLOCK_SIZE)
        begin(CHAINED)  # tasks and tables come from the host
        q_at = q_ptr + head.to(tl.int64) * stride_qh + token.to(tl.int64) * stride_qt
        q = tl.load(q_at[:, None] + column[None, :], mask=is_query[:, None], other=0.0)
        scale *= 1.4426950408889634
        if IN_HALF:  # a sixteenth, so that no query's number is beyond float16
            q = (q.to(tl.float32) * 0.0625).to(tl.float16)
            scale *= 16.0
        highest = tl.full([ROWS], NOTHING, tl.float32)
        total = tl.zeros([ROWS], tl.float32)
        attended = tl.zeros([ROWS, HEAD_DIM], tl.float32)
        whole = start + (stop - start) // TILE * TILE
        if start < whole:
            if is_run:
                attended, highest, total = _whole_turns(
                    q, k_ptr, v_ptr, table_ptr, start, whole, scale, attended, highest, total,
                    NUM_KV_HEADS * HEAD_DIM, HEAD_DIM, BLOCK_SIZE, TILE, IS_RUN=True,
                )  # fmt: skip
            else:
                attended, highest, total = _whole_turns(
                    q, k_ptr, v_ptr, table_ptr, start, whole, scale, attended, highest, total,
                    NUM_KV_HEADS * HEAD_DIM, HEAD_DIM, BLOCK_SIZE, TILE, IS_RUN=False,
                )  # fmt: skip
        if whole < stop:
            place = whole + inner
            is_key = place < stop
            block = tl.load(table_ptr + place // BLOCK_SIZE, mask=is_key, other=0).to(tl.int64)
            at = ((block * BLOCK_SIZE + place % BLOCK_SIZE) * (NUM_KV_HEADS * HEAD_DIM))[:, None] + column[None, :]
            k = tl.load(k_ptr + at, mask=is_key[:, None], other=0.0)
            v = tl.load(v_ptr + at, mask=is_key[:, None], other=0.0)
            attended, highest, total = _turn(q, k, v, is_key, scale, attended, highest, total, IS_WHOLE=False)
        to = part.to(tl.int64) * (NUM_KV_HEADS * GROUP) + head
        attended = (attended / total[:, None]).to(parts_ptr.dtype.element_ty)
        tl.store(parts_ptr + to[:, None] * HEAD_DIM + column[None, :], attended, is_query[:, None])
        tl.store(lse_ptr + to, highest + tl.log2(total), mask=is_query)
    else:
        begin(CHAINED)  # or a kernel of nothing but padding would end before those that it follows


@triton.jit
def merge_kernel(
    out_ptr, parts_ptr, lse_ptr, rows_ptr, part_starts_ptr,
    NUM_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    """One program a query, head and piece of its width. A query without parts is padding; its output is 0."""
    query, head = tl.program_id(0), tl.program_id(1)
    first, last = tl.load(part_starts_ptr + query), tl.load(part_starts_ptr + query + 1)
    row = tl.load(rows_ptr + query).to(tl.int64)
    begin(CHAINED)  # those come from the host
    column, offset = tl.program_id(2) * WIDTH + tl.arange(0, WIDTH), tl.arange(0, TILE)
    highest = tl.full([1], NOTHING, tl.float32)
    total = tl.zeros([1], tl.float32)
    merged = tl.zeros([WIDTH], tl.float32)
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
    tile, num_warps, num_stages = attend_shape(num_rows, head_dim, q.dtype.itemsize)
    if rows.shape[0] == 1 and num_rows == MIN_ROWS and q.dtype.itemsize == 2:
        tile = 128  # one sequence is cut so small that a task is one turn
    in_half = k_cache.dtype.itemsize == 1 and q.dtype == torch.bfloat16
    attend_kernel[(tasks.shape[0], num_kv_heads)](
        q, k_cache, v_cache, parts, lse, tasks, members, rows, part_starts, tables,
        scale, q.stride(0), q.stride(1), tables.stride(0),
        num_kv_heads, group, head_dim, k_cache.shape[1], num_rows, tile, in_half, num_members > 1,
        num_warps=num_warps, num_stages=num_stages, **chained(),
    )  # fmt: skip


def attend_shape(num_rows: int, head_dim: int, itemsize: int, *, is_large: bool | None = None) -> tuple[int, int, int]:
    """Keys of one turn of the loop, warps, and stages of its loads: what shared memory holds beside the queries, 99 KB
    or, where ``is_large``, 227; None: by the GPU."""
    if itemsize > 2:
        return 32 if num_rows * head_dim >= 64 * 128 else 64, 4, 2
    if num_rows < 128:
        return 64, 4, 2
    if is_large is None:
        is_large = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (9, 0)
    return 64, 8, 3 if is_large else 2


def merge(
    parts: torch.Tensor, lse: torch.Tensor, rows: torch.Tensor, part_starts: torch.Tensor, out: torch.Tensor
) -> None:
    """Every query's parts become its row of ``out`` (T, Hq, D)."""
    num_heads, head_dim = out.shape[1:]
    width = min(MERGE_WIDTH, head_dim)
    merge_kernel[(rows.shape[0], num_heads, head_dim // width)](
        out, parts, lse, rows, part_starts, num_heads, head_dim, 64, width, num_warps=1, **chained()
    )  # fmt: skip
