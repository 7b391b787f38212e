"""A Triton kernel that turns heads by halves and writes keys and values to their blocks, for all that a language model
has between its product of queries, keys and values and attention: parts are added up, and heads are normed.

GLM's neighbours have kernels of their own, in :mod:`glyph_core.engine.kernels.store`.

Shapes: T tokens of a step, Hq query heads, Hk key/value heads, D head dim, S parts that add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

if TYPE_CHECKING:
    from glyph_core.model.attention import HeadNorms, Rotation

TILE = 8  # heads of a program


@triton.jit
def _half(
    heads_ptr, bias_ptr, at, head_at, exists, part_size, PARTS: tl.constexpr, HAS_BIAS: tl.constexpr,
    DTYPE: tl.constexpr,
):  # fmt: skip
    """Half of each head, float32; of parts rounded as a sum that is written and read again would be."""
    x = tl.load(heads_ptr + at, mask=exists, other=0.0).to(tl.float32)
    if PARTS > 0:
        for part in tl.static_range(1, PARTS):
            x += tl.load(heads_ptr + part * part_size + at, mask=exists, other=0.0)
        if HAS_BIAS:
            x += tl.load(bias_ptr + head_at, mask=exists, other=0.0).to(tl.float32)
        x = x.to(DTYPE).to(tl.float32)
    return x


@triton.jit
def _by_norm(half, scale, q_norm_ptr, k_norm_ptr, place, is_query, is_value, DTYPE: tl.constexpr):
    """Rounded before the weight and after it, as transformers does; values stay as they are."""
    weight = tl.where(is_query, tl.load(q_norm_ptr + place), tl.load(k_norm_ptr + place)).to(tl.float32)
    normed = ((half * scale).to(DTYPE).to(tl.float32) * weight).to(DTYPE).to(tl.float32)
    return tl.where(is_value, half, normed)


@triton.jit
def turn_write_kernel(
    heads_ptr, bias_ptr, q_norm_ptr, k_norm_ptr, q_ptr, cos_ptr, sin_ptr, k_cache_ptr, v_cache_ptr, slots_ptr,
    stride_q, part_size, eps, NUM_HEADS: tl.constexpr, NUM_KV_HEADS: tl.constexpr, HALF: tl.constexpr,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_NORMS: tl.constexpr, TILE: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    """Programs of a token for TILE of its heads each. ``PARTS`` 0: heads are whole, and ``q_ptr`` may be where they
    lie. A negative slot is padding, and its keys and values are written nowhere."""
    begin(CHAINED)
    token, head = tl.program_id(0).to(tl.int64), (tl.program_id(1) * TILE + tl.arange(0, TILE))[:, None]
    place = tl.arange(0, HALF)[None, :]
    exists = (head < NUM_HEADS + 2 * NUM_KV_HEADS) & (place < HALF)
    is_query, is_value = head < NUM_HEADS, head >= NUM_HEADS + NUM_KV_HEADS
    dtype = q_ptr.dtype.element_ty
    head_at = head * (2 * HALF) + place
    at = token * ((NUM_HEADS + 2 * NUM_KV_HEADS) * 2 * HALF) + head_at
    one = _half(heads_ptr, bias_ptr, at, head_at, exists, part_size, PARTS, HAS_BIAS, dtype)
    other = _half(heads_ptr, bias_ptr, at + HALF, head_at + HALF, exists, part_size, PARTS, HAS_BIAS, dtype)
    if HAS_NORMS:
        squares = tl.sum(one * one, 1) + tl.sum(other * other, 1)
        scale = tl.rsqrt(squares / (2 * HALF) + eps)[:, None]
        one = _by_norm(one, scale, q_norm_ptr, k_norm_ptr, place, is_query, is_value, dtype)
        other = _by_norm(other, scale, q_norm_ptr, k_norm_ptr, place + HALF, is_query, is_value, dtype)
    cos = tl.where(is_value, 1.0, tl.load(cos_ptr + token * HALF + place))
    sin = tl.where(is_value, 0.0, tl.load(sin_ptr + token * HALF + place))
    turned = (one * cos - other * sin).to(dtype)
    other_turned = (other * cos + one * sin).to(dtype)
    to = q_ptr + token * stride_q + head_at
    tl.store(to, turned, mask=exists & is_query)
    tl.store(to + HALF, other_turned, mask=exists & is_query)
    slot = tl.load(slots_ptr + token)
    if slot >= 0:
        kv_dtype = k_cache_ptr.dtype.element_ty
        row = slot * (NUM_KV_HEADS * 2 * HALF) + head_at
        is_key = exists & (head >= NUM_HEADS) & (head < NUM_HEADS + NUM_KV_HEADS)
        k_to = k_cache_ptr + row - NUM_HEADS * 2 * HALF
        tl.store(k_to, turned.to(kv_dtype), mask=is_key)
        tl.store(k_to + HALF, other_turned.to(kv_dtype), mask=is_key)
        v_to = v_cache_ptr + row - (NUM_HEADS + NUM_KV_HEADS) * 2 * HALF
        tl.store(v_to, turned.to(kv_dtype), mask=exists & is_value)
        tl.store(v_to + HALF, other_turned.to(kv_dtype), mask=exists & is_value)


def turn_write(
    heads: torch.Tensor,
    bias: torch.Tensor | None,
    rotation: Rotation,
    norms: HeadNorms | None,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Norms, where there are ``norms``, and turns queries and keys by whole halves; writes keys and values to the slots
    (T,) int64 of a layer's (blocks, size, Hk, D). ``heads`` are (T, Hq + 2 Hk, D), contiguous, and their queries are
    changed in place; or (S, T, Hq + 2 Hk, D) float32 that add up to them with ``bias``. Returns queries (T, Hq, D)."""
    num_parts = heads.shape[0] if heads.ndim == 4 else 0
    num_tokens, num_rows, head_dim = heads.shape[-3:]
    num_kv_heads = k_cache.shape[2]
    num_heads = num_rows - 2 * num_kv_heads
    q = heads[:, :num_heads] if not num_parts else heads.new_empty(num_tokens, num_heads, head_dim, dtype=dtype)
    turn_write_kernel[(num_tokens, triton.cdiv(num_rows, TILE))](
        heads, bias, norms and norms.q, norms and norms.k, q, rotation.cos, rotation.sin, k_cache, v_cache,
        slot_mapping, q.stride(0), num_tokens * num_rows * head_dim, norms.eps if norms else 0.0, num_heads,
        num_kv_heads, head_dim // 2, num_parts, bias is not None, norms is not None, TILE, num_warps=4, **chained(),
    )  # fmt: skip
    return q
