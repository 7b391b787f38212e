"""Triton kernels for products of few rows, which are bound by reading the weight.

For one row the weight goes through registers, as much of it at once as the loads in flight allow, and its first part
is under way before the row is there. For several it goes through the tensor cores; what is stored in 8 bits is
multiplied in 16.

Shapes: M tokens, N rows and K columns of a weight.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

MAX_FEW_ROWS = 16  # the least that tl.dot takes


@triton.jit
def _weights(at, k, column, N: tl.constexpr, K: tl.constexpr, IS_EVEN: tl.constexpr):
    if IS_EVEN:
        return tl.load(at + k[None, :], eviction_policy="evict_first")
    is_inside = (column < N)[:, None] & (k < K)[None, :]
    return tl.load(at + k[None, :], mask=is_inside, other=0.0, eviction_policy="evict_first")


@triton.jit
def one_row_kernel(
    x_ptr, weight_ptr, scale_ptr, bias_ptr, out_ptr, N: tl.constexpr, K: tl.constexpr,
    HAS_SCALE: tl.constexpr, HAS_BIAS: tl.constexpr, IS_EVEN: tl.constexpr, TILE_N: tl.constexpr,
    TILE_K: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    column, inner = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N), tl.arange(0, TILE_K)
    at = weight_ptr + column.to(tl.int64)[:, None] * K
    weight = _weights(at, inner, column, N, K, IS_EVEN)
    begin(CHAINED)
    x = tl.load(x_ptr + inner, mask=inner < K, other=0.0)
    summed = weight.to(tl.float32) * x.to(tl.float32)[None, :]
    for first in tl.static_range(TILE_K, K, TILE_K):
        k = first + inner
        x = tl.load(x_ptr + k, mask=k < K, other=0.0)
        summed += _weights(at, k, column, N, K, IS_EVEN).to(tl.float32) * x.to(tl.float32)[None, :]
    total = tl.sum(summed, 1)
    if HAS_SCALE:
        total *= tl.load(scale_ptr + column, mask=column < N, other=0.0)
    if HAS_BIAS:
        total += tl.load(bias_ptr + column, mask=column < N, other=0.0).to(tl.float32)
    tl.store(out_ptr + column, total.to(out_ptr.dtype.element_ty), mask=column < N)


@triton.jit(do_not_specialize=["num_rows"])
def few_rows_kernel(
    x_ptr, weight_ptr, scale_ptr, bias_ptr, out_ptr, num_rows, N: tl.constexpr, K: tl.constexpr,
    HAS_SCALE: tl.constexpr, HAS_BIAS: tl.constexpr, ROWS: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    row, column, inner = tl.arange(0, ROWS), tl.program_id(0) * TILE_N + tl.arange(0, TILE_N), tl.arange(0, TILE_K)
    is_row, is_column = row < num_rows, column < N
    summed = tl.zeros([ROWS, TILE_N], tl.float32)
    begin(CHAINED)
    for first in range(0, K, TILE_K):
        k = first + inner
        x = tl.load(x_ptr + row[:, None] * K + k[None, :], mask=is_row[:, None] & (k < K)[None, :], other=0.0)
        at = column.to(tl.int64)[:, None] * K + k[None, :]
        weight = tl.load(weight_ptr + at, mask=is_column[:, None] & (k < K)[None, :], other=0.0).to(x.dtype)
        summed += tl.dot(x, tl.trans(weight), input_precision="ieee")
    if HAS_SCALE:
        summed *= tl.load(scale_ptr + column, mask=is_column, other=0.0)[None, :]
    if HAS_BIAS:
        summed += tl.load(bias_ptr + column, mask=is_column, other=0.0).to(tl.float32)[None, :]
    to = out_ptr + row[:, None] * N + column[None, :]
    tl.store(to, summed.to(out_ptr.dtype.element_ty), mask=is_row[:, None] & is_column[None, :])


def few_rows(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """``x`` (M, K) with M ≤ MAX_FEW_ROWS, ``weight`` (N, K) of x's dtype or float8_e4m3fn with ``scale`` (N,)."""
    (num_rows, k), n = x.shape, weight.shape[0]
    out = x.new_empty(num_rows, n)
    if num_rows == 1:
        tile_n, tile_k = 4, min(2048, triton.next_power_of_2(k))
        one_row_kernel[(triton.cdiv(n, tile_n),)](
            x, weight, scale, bias, out, n, k, scale is not None, bias is not None,
            n % tile_n == 0 and k % tile_k == 0, tile_n, tile_k, num_warps=8, **chained(),
        )  # fmt: skip
        return out
    tile_n, tile_k = 32, min(256, max(16, triton.next_power_of_2(k)))
    few_rows_kernel[(triton.cdiv(n, tile_n),)](
        x, weight, scale, bias, out, num_rows, n, k, scale is not None, bias is not None, MAX_FEW_ROWS, tile_n, tile_k,
        num_warps=4, num_stages=4, **chained(),
    )  # fmt: skip
    return out
