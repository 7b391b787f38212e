"""Triton kernels for products of few rows, which are bound by reading the weight.

For one row the weight goes through registers, as much of it at once as the loads in flight allow, and its first part
is under way before the row is there. For several it goes through the tensor cores; what is stored in 8 bits is
multiplied in float16, which has all of its numbers.

Shapes: M tokens, N rows and K columns of a weight.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

MAX_FEW_ROWS = 32
MAX_FEW_ROWS_FP8 = 16  # more are quantised, and multiplied in 8 bits
SPLITS, MAX_SPLIT_N = 4, 8192  # of a weight that has too few rows to keep all multiprocessors busy


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


@triton.jit
def one_row_gated_kernel(
    x_ptr, weight_ptr, scale_ptr, out_ptr, N: tl.constexpr, K: tl.constexpr, HAS_SCALE: tl.constexpr,
    IS_EVEN: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    """The weight's first N rows are the gate, the other N what it opens for: SiLU(gate) × up."""
    column, inner = tl.program_id(0) * TILE_N + tl.arange(0, TILE_N), tl.arange(0, TILE_K)
    gate_at = weight_ptr + column.to(tl.int64)[:, None] * K
    up_at = gate_at + N * K
    gate, up = _weights(gate_at, inner, column, N, K, IS_EVEN), _weights(up_at, inner, column, N, K, IS_EVEN)
    begin(CHAINED)
    x = tl.load(x_ptr + inner, mask=inner < K, other=0.0).to(tl.float32)[None, :]
    gates, ups = gate.to(tl.float32) * x, up.to(tl.float32) * x
    for first in tl.static_range(TILE_K, K, TILE_K):
        k = first + inner
        x = tl.load(x_ptr + k, mask=k < K, other=0.0).to(tl.float32)[None, :]
        gates += _weights(gate_at, k, column, N, K, IS_EVEN).to(tl.float32) * x
        ups += _weights(up_at, k, column, N, K, IS_EVEN).to(tl.float32) * x
    gated, opened = tl.sum(gates, 1), tl.sum(ups, 1)
    if HAS_SCALE:
        gated *= tl.load(scale_ptr + column, mask=column < N, other=0.0)
        opened *= tl.load(scale_ptr + N + column, mask=column < N, other=0.0)
    # Rounded as a product that is written and read again would be.
    gated = gated.to(out_ptr.dtype.element_ty).to(tl.float32)
    opened = opened.to(out_ptr.dtype.element_ty).to(tl.float32)
    out = opened * gated / (1 + tl.exp(-gated))
    tl.store(out_ptr + column, out.to(out_ptr.dtype.element_ty), mask=column < N)


@triton.jit(do_not_specialize=["num_rows"])
def few_rows_kernel(
    x_ptr, weight_ptr, scale_ptr, bias_ptr, out_ptr, num_rows, N: tl.constexpr, K: tl.constexpr,
    HAS_SCALE: tl.constexpr, HAS_BIAS: tl.constexpr, IN_HALF: tl.constexpr, WEIGHT_FIRST: tl.constexpr,
    SPLITS: tl.constexpr, ROWS: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    """One program a tile of the weight's rows and a part of its columns; the parts' sums lie one after the other.

    The tensor cores' first operand is the weight, or the tokens where what is converted on the way should not go
    through shared memory again."""
    row, column, inner = tl.arange(0, ROWS), tl.program_id(0) * TILE_N + tl.arange(0, TILE_N), tl.arange(0, TILE_K)
    is_row, is_column = row < num_rows, column < N
    summed = tl.zeros([TILE_N, ROWS] if WEIGHT_FIRST else [ROWS, TILE_N], tl.float32)
    part: tl.constexpr = (K + TILE_K * SPLITS - 1) // (TILE_K * SPLITS) * TILE_K
    start = tl.program_id(1) * part
    begin(CHAINED)
    for first in range(start, min(start + part, K), TILE_K):
        k = first + inner
        x = tl.load(x_ptr + row[:, None] * K + k[None, :], mask=is_row[:, None] & (k < K)[None, :], other=0.0)
        at = weight_ptr + column.to(tl.int64)[:, None] * K + k[None, :]
        weight = tl.load(at, mask=is_column[:, None] & (k < K)[None, :], other=0.0)
        if IN_HALF:  # a sixteenth, so that no token's number is beyond float16
            x = (x.to(tl.float32) * 0.0625).to(tl.float16)
        weight = weight.to(x.dtype)
        if WEIGHT_FIRST:
            summed = tl.dot(weight, tl.trans(x), summed, input_precision="ieee")
        else:
            summed = tl.dot(x, tl.trans(weight), summed, input_precision="ieee")
    if WEIGHT_FIRST:
        summed = tl.trans(summed)
    if IN_HALF:
        summed *= 16.0
    if HAS_SCALE:
        summed *= tl.load(scale_ptr + column, mask=is_column, other=0.0)[None, :]
    if HAS_BIAS:
        summed += tl.load(bias_ptr + column, mask=is_column, other=0.0).to(tl.float32)[None, :]
    to = out_ptr + tl.program_id(1) * num_rows * N + row[:, None] * N + column[None, :]
    tl.store(to, summed.to(out_ptr.dtype.element_ty), mask=is_row[:, None] & is_column[None, :])


@triton.jit
def sum_kernel(
    parts_ptr, bias_ptr, out_ptr, N: tl.constexpr, HAS_BIAS: tl.constexpr, SPLITS: tl.constexpr, WIDTH: tl.constexpr,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    begin(CHAINED)
    row, column = tl.program_id(0), tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    exists, at = column < N, row * N + column
    total = tl.zeros([WIDTH], tl.float32)
    for split in tl.static_range(SPLITS):
        total += tl.load(parts_ptr + split * tl.num_programs(0) * N + at, mask=exists, other=0.0)
    if HAS_BIAS:
        total += tl.load(bias_ptr + column, mask=exists, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, total.to(out_ptr.dtype.element_ty), mask=exists)


def few_rows(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """``x`` (M, K) with M ≤ MAX_FEW_ROWS, ``weight`` (N, K) of x's dtype or float8_e4m3fn with ``scale`` (N,)."""
    return _one_row(x, weight, scale, bias) if x.shape[0] == 1 else _some_rows(x, weight, scale, bias)


def one_row_gated(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """``x`` (1, K), ``weight`` (2 × I, K), gate before up → SiLU(gate) × up, (1, I)."""
    n, k = weight.shape[0] // 2, weight.shape[1]
    out, tile_n, tile_k = x.new_empty(1, n), 2, min(2048, triton.next_power_of_2(k))
    one_row_gated_kernel[(triton.cdiv(n, tile_n),)](
        x, weight, scale, out, n, k, scale is not None, n % tile_n == 0 and k % tile_k == 0, tile_n, tile_k,
        num_warps=8, **chained(),
    )  # fmt: skip
    return out


def _one_row(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    n, k = weight.shape
    out, tile_n, tile_k = x.new_empty(1, n), 4, min(2048, triton.next_power_of_2(k))
    one_row_kernel[(triton.cdiv(n, tile_n),)](
        x, weight, scale, bias, out, n, k, scale is not None, bias is not None,
        n % tile_n == 0 and k % tile_k == 0, tile_n, tile_k, num_warps=8, **chained(),
    )  # fmt: skip
    return out


def _some_rows(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    (num_rows, k), n = x.shape, weight.shape[0]
    out, splits = x.new_empty(num_rows, n), 1 if n > MAX_SPLIT_N else SPLITS
    summed = out if splits == 1 else x.new_empty(splits, num_rows, n, dtype=torch.float32)
    in_half = scale is not None and x.dtype.itemsize == 2
    tile_n, tile_k = (32, 256) if in_half else (64, 128)
    few_rows_kernel[(triton.cdiv(n, tile_n), splits)](
        x, weight, scale, bias, summed, num_rows, n, k, scale is not None, bias is not None and splits == 1,
        in_half, not in_half, splits, 16 if num_rows <= 16 else 32, tile_n,
        min(tile_k, max(16, triton.next_power_of_2(k))), num_warps=4, num_stages=4, **chained(),
    )  # fmt: skip
    if splits > 1:
        width = min(1024, triton.next_power_of_2(n))
        sum_kernel[(num_rows, triton.cdiv(n, width))](
            summed, bias, out, n, bias is not None, splits, width, num_warps=4, **chained()
        )
    return out
