"""Triton kernels that write keys and values to their blocks, turning them on the way if wanted.

Shapes: T tokens of a step, Hq query heads, Hk key/value heads, D head dim, R rotated part of it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained


@triton.jit
def write_kernel(
    k_ptr, v_ptr, k_cache_ptr, v_cache_ptr, slots_ptr,
    stride_kh, stride_kt, stride_vh, stride_vt,
    NUM_KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    """One program a token; a negative slot is padding and is written nowhere."""
    begin(CHAINED)
    token = tl.program_id(0)
    slot = tl.load(slots_ptr + token)
    if slot >= 0:
        place = tl.arange(0, WIDTH)
        exists = place < NUM_KV_HEADS * HEAD_DIM
        head, column = place // HEAD_DIM, place % HEAD_DIM
        k = tl.load(k_ptr + head * stride_kh + token * stride_kt + column, mask=exists)
        v = tl.load(v_ptr + head * stride_vh + token * stride_vt + column, mask=exists)
        to = slot * NUM_KV_HEADS * HEAD_DIM + place
        tl.store(k_cache_ptr + to, k.to(k_cache_ptr.dtype.element_ty), mask=exists)
        tl.store(v_cache_ptr + to, v.to(v_cache_ptr.dtype.element_ty), mask=exists)


@triton.jit
def rotate_write_kernel(
    heads_ptr, cos_ptr, sin_ptr, k_cache_ptr, v_cache_ptr, slots_ptr,
    NUM_HEADS: tl.constexpr, NUM_KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, HALF: tl.constexpr,
    Q_WIDTH: tl.constexpr, KV_WIDTH: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    """Two programs a token: one turns its queries in place, one writes its keys, turned, and its values. Neighbours
    (2i, 2i + 1) are a pair, as GLM has them."""
    begin(CHAINED)
    token = tl.program_id(0).to(tl.int64)
    token_ptr = heads_ptr + token * (NUM_HEADS + 2 * NUM_KV_HEADS) * HEAD_DIM
    cos_ptr += token * HALF
    sin_ptr += token * HALF
    if tl.program_id(1) == 0:
        place = tl.arange(0, Q_WIDTH)
        exists = place < NUM_HEADS * HALF
        pair = place % HALF
        at = token_ptr + (place // HALF) * HEAD_DIM + 2 * pair
        cos, sin = tl.load(cos_ptr + pair, mask=exists), tl.load(sin_ptr + pair, mask=exists)
        even, odd = tl.load(at, mask=exists).to(tl.float32), tl.load(at + 1, mask=exists).to(tl.float32)
        tl.store(at, (even * cos - odd * sin).to(heads_ptr.dtype.element_ty), mask=exists)
        tl.store(at + 1, (odd * cos + even * sin).to(heads_ptr.dtype.element_ty), mask=exists)
    else:
        slot = tl.load(slots_ptr + token)
        if slot >= 0:
            place = tl.arange(0, KV_WIDTH)
            exists = place < NUM_KV_HEADS * HEAD_DIM
            column = place % HEAD_DIM
            turns = exists & (column < 2 * HALF)
            k_ptr = token_ptr + NUM_HEADS * HEAD_DIM
            k = tl.load(k_ptr + place, mask=exists)
            partner = tl.load(k_ptr + (place ^ 1), mask=turns, other=0.0).to(tl.float32)
            cos = tl.load(cos_ptr + column // 2, mask=turns, other=1.0)
            sin = tl.load(sin_ptr + column // 2, mask=turns, other=0.0)
            turned = k.to(tl.float32) * cos + tl.where(column % 2 == 0, -partner, partner) * sin
            v = tl.load(k_ptr + NUM_KV_HEADS * HEAD_DIM + place, mask=exists)
            to = slot * NUM_KV_HEADS * HEAD_DIM + place
            k_dtype = k_cache_ptr.dtype.element_ty
            tl.store(k_cache_ptr + to, turned.to(k.dtype).to(k_dtype), mask=exists)
            tl.store(v_cache_ptr + to, v.to(k_dtype), mask=exists)


@triton.jit
def _added_up(
    parts_ptr, bias_ptr, place, exists, part_size,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """As float32, but rounded as a sum that is written and read again would be."""
    total = tl.load(parts_ptr + place, mask=exists, other=0.0)
    for part in tl.static_range(1, PARTS):
        total += tl.load(parts_ptr + part * part_size + place, mask=exists, other=0.0)
    if HAS_BIAS:
        total += tl.load(bias_ptr + place, mask=exists, other=0.0).to(tl.float32)
    return total.to(DTYPE).to(tl.float32)


@triton.jit
def add_rotate_write_kernel(
    parts_ptr, bias_ptr, q_ptr, cos_ptr, sin_ptr, k_cache_ptr, v_cache_ptr, slots_ptr, num_tokens,
    NUM_HEADS: tl.constexpr, NUM_KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, HALF: tl.constexpr,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr, KV_WIDTH: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    """As :func:`rotate_write_kernel`, of what parts add up to: programs of a token for WIDTH of its queries' places
    each, and one for keys and values."""
    begin(CHAINED)
    token, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    row_size = (NUM_HEADS + 2 * NUM_KV_HEADS) * HEAD_DIM
    part_size = num_tokens.to(tl.int64) * row_size
    parts_ptr += token * row_size
    cos_ptr += token * HALF
    sin_ptr += token * HALF
    dtype = q_ptr.dtype.element_ty
    is_query = piece < tl.num_programs(1) - 1
    slot = tl.load(slots_ptr + token)
    if is_query:
        place = piece * WIDTH + tl.arange(0, WIDTH)
        exists = place < NUM_HEADS * HEAD_DIM
        column = place % HEAD_DIM
        turns = exists & (column < 2 * HALF)
        x = _added_up(parts_ptr, bias_ptr, place, exists, part_size, PARTS, HAS_BIAS, dtype)
        partner = _added_up(parts_ptr, bias_ptr, place ^ 1, turns, part_size, PARTS, HAS_BIAS, dtype)
        cos = tl.load(cos_ptr + column // 2, mask=turns, other=1.0)
        sin = tl.load(sin_ptr + column // 2, mask=turns, other=0.0)
        turned = x * cos + tl.where(column % 2 == 0, -partner, partner) * sin
        tl.store(q_ptr + token * (NUM_HEADS * HEAD_DIM) + place, turned.to(dtype), mask=exists)
    elif slot >= 0:
        own = tl.arange(0, KV_WIDTH)
        is_own = own < NUM_KV_HEADS * HEAD_DIM
        own_column = own % HEAD_DIM
        own_turns = is_own & (own_column < 2 * HALF)
        k_at = NUM_HEADS * HEAD_DIM + own
        k = _added_up(parts_ptr, bias_ptr, k_at, is_own, part_size, PARTS, HAS_BIAS, dtype)
        other_k = _added_up(parts_ptr, bias_ptr, k_at ^ 1, own_turns, part_size, PARTS, HAS_BIAS, dtype)
        own_cos = tl.load(cos_ptr + own_column // 2, mask=own_turns, other=1.0)
        own_sin = tl.load(sin_ptr + own_column // 2, mask=own_turns, other=0.0)
        turned_k = k * own_cos + tl.where(own_column % 2 == 0, -other_k, other_k) * own_sin
        v_at = k_at + NUM_KV_HEADS * HEAD_DIM
        v = _added_up(parts_ptr, bias_ptr, v_at, is_own, part_size, PARTS, HAS_BIAS, dtype)
        to = slot * NUM_KV_HEADS * HEAD_DIM + own
        kv_dtype = k_cache_ptr.dtype.element_ty
        tl.store(k_cache_ptr + to, turned_k.to(dtype).to(kv_dtype), mask=is_own)
        tl.store(v_cache_ptr + to, v.to(dtype).to(kv_dtype), mask=is_own)


def write_kv(
    k: torch.Tensor, v: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, slot_mapping: torch.Tensor
) -> None:
    """``k`` and ``v`` (Hk, T, D), any strides but the last, to the slots (T,) int64 of a layer's (blocks, size, Hk, D).

    Tokens whose slot is negative are left out.
    """
    num_kv_heads, num_tokens, head_dim = k.shape
    write_kernel[(num_tokens,)](
        k, v, k_cache, v_cache, slot_mapping,
        k.stride(0), k.stride(1), v.stride(0), v.stride(1),
        num_kv_heads, head_dim, triton.next_power_of_2(num_kv_heads * head_dim), num_warps=1, **chained(),
    )  # fmt: skip


def rotate_write(
    heads: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
) -> None:
    """Turns the queries of ``heads`` (T, Hq + 2 Hk, D), contiguous, in place by angles whose ``cos`` and ``sin`` are
    (T, R / 2) float32; writes the keys, turned, and the values as :func:`write_kv` does."""
    num_tokens, num_rows, head_dim = heads.shape
    num_kv_heads, half = k_cache.shape[2], cos.shape[1]
    num_heads = num_rows - 2 * num_kv_heads
    rotate_write_kernel[(num_tokens, 2)](
        heads, cos, sin, k_cache, v_cache, slot_mapping, num_heads, num_kv_heads, head_dim, half,
        triton.next_power_of_2(num_heads * half), triton.next_power_of_2(num_kv_heads * head_dim), num_warps=4,
        **chained(),
    )  # fmt: skip


def add_rotate_write(
    parts: torch.Tensor,
    bias: torch.Tensor | None,
    cos: torch.Tensor,
    sin: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor:
    """As :func:`rotate_write` of the sum of ``parts`` (S, T, Hq + 2 Hk, D) float32 and ``bias``, rounded to ``dtype``.
    Returns the turned queries (T, Hq, D)."""
    num_parts, num_tokens, num_rows, head_dim = parts.shape
    num_kv_heads, half = k_cache.shape[2], cos.shape[1]
    num_heads = num_rows - 2 * num_kv_heads
    q = torch.empty(num_tokens, num_heads, head_dim, dtype=dtype, device=parts.device)
    width = min(1024, triton.next_power_of_2(num_heads * head_dim))
    add_rotate_write_kernel[(num_tokens, triton.cdiv(num_heads * head_dim, width) + 1)](
        parts, bias, q, cos, sin, k_cache, v_cache, slot_mapping, num_tokens, num_heads, num_kv_heads, head_dim, half,
        num_parts, bias is not None, width, triton.next_power_of_2(num_kv_heads * head_dim), num_warps=4, **chained(),
    )  # fmt: skip
    return q
