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
