"""Triton kernels for products of few rows, which are bound by reading the weight.

One row has kernels of its own; several go through the tensor cores. What is stored in 8 bits is multiplied in float16,
which has all of its numbers.

Shapes: M tokens, N rows and K columns of a weight.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained, fetch
from glyph_core.model.kernels.one_row import one_row, one_row_gated

MAX_FEW_ROWS = 32
MAX_FEW_ROWS_FP8 = 16  # of a large weight: more are quantised, and multiplied in 8 bits
# By the tokens that a tile has room for, as measured on an H200.
GATED_TILE = {16: (64, 128), 32: (128, 64)}  # rows and columns of a weight's tile
LINES = {16: 4, 32: 0}  # of each row of a tile, that are asked for before the tokens are there
SPLITS, MAX_SPLIT_N = 4, 8192  # of a weight that has too few rows to keep all multiprocessors busy


@triton.jit
def _fetch_weights(weight_ptr, column, start, N: tl.constexpr, K: tl.constexpr, LINES: tl.constexpr):
    """The first lines of 128 bytes of a tile's rows."""
    line: tl.constexpr = 1024 // weight_ptr.dtype.element_ty.primitive_bitwidth
    k = tl.minimum(start + tl.arange(0, LINES) * line, K - 1)
    fetch(weight_ptr + tl.minimum(column, N - 1).to(tl.int64)[:, None] * K + k[None, :])


@triton.jit(do_not_specialize=["num_rows"])
def few_rows_kernel(
    x_ptr, weight_ptr, scale_ptr, bias_ptr, out_ptr, num_rows, N: tl.constexpr, K: tl.constexpr,
    HAS_SCALE: tl.constexpr, HAS_BIAS: tl.constexpr, IN_HALF: tl.constexpr, WEIGHT_FIRST: tl.constexpr,
    SPLITS: tl.constexpr, ROWS: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, LINES: tl.constexpr = 0,
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
    if CHAINED and LINES > 0:
        _fetch_weights(weight_ptr, column, start, N, K, LINES)
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


@triton.jit(do_not_specialize=["num_rows"])
def few_rows_gated_kernel(
    x_ptr, weight_ptr, scale_ptr, out_ptr, num_rows, N: tl.constexpr, K: tl.constexpr, HAS_SCALE: tl.constexpr,
    IN_HALF: tl.constexpr, ROWS: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, LINES: tl.constexpr = 0,
    CHAINED: tl.constexpr = False,
):  # fmt: skip
    """As :func:`few_rows_kernel` and :func:`one_row_gated_kernel`: a tile's rows are those of gate and up in turn, so
    that both sums of a column lie beside each other."""
    row, inner, place = tl.arange(0, ROWS), tl.arange(0, TILE_K), tl.arange(0, TILE_N)
    is_row = row < num_rows
    column = tl.minimum(tl.program_id(0) * (TILE_N // 2) + place // 2, N - 1) + place % 2 * N
    summed = tl.zeros([TILE_N, ROWS], tl.float32)
    if CHAINED and LINES > 0:
        _fetch_weights(weight_ptr, column, 0, 2 * N, K, LINES)
    begin(CHAINED)
    for first in range(0, K, TILE_K):
        k = first + inner
        x = tl.load(x_ptr + row[:, None] * K + k[None, :], mask=is_row[:, None] & (k < K)[None, :], other=0.0)
        weight = tl.load(weight_ptr + column.to(tl.int64)[:, None] * K + k[None, :], mask=(k < K)[None, :], other=0.0)
        if IN_HALF:  # a sixteenth, so that no token's number is beyond float16
            x = (x.to(tl.float32) * 0.0625).to(tl.float16)
        summed = tl.dot(weight.to(x.dtype), tl.trans(x), summed, input_precision="ieee")
    if IN_HALF:
        summed *= 16.0
    if HAS_SCALE:
        summed *= tl.load(scale_ptr + column)[:, None]
    summed = summed.to(out_ptr.dtype.element_ty).to(tl.float32)  # as a product that is written and read again would be
    gate, up = tl.split(tl.permute(tl.reshape(summed, [TILE_N // 2, 2, ROWS]), [0, 2, 1]))
    to = tl.program_id(0) * (TILE_N // 2) + tl.arange(0, TILE_N // 2)
    out = (up * gate / (1 + tl.exp(-gate))).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + row[None, :] * N + to[:, None], out, mask=is_row[None, :] & (to < N)[:, None])


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


def takes_few(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """``x`` (M, K) times ``weight`` (N, K) is for :func:`few_rows`."""
    is_large_fp8 = weight.dtype.itemsize == 1 and weight.shape[0] > MAX_SPLIT_N
    return x.shape[0] <= (MAX_FEW_ROWS_FP8 if is_large_fp8 else MAX_FEW_ROWS)


def few_rows(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """``x`` (M, K) with M ≤ MAX_FEW_ROWS, ``weight`` (N, K) of x's dtype or float8_e4m3fn with ``scale`` (N,)."""
    if x.shape[0] == 1:
        return one_row(x, weight, scale, bias)
    parts = _some_rows(x, weight, scale, bias)
    if parts.ndim == 2:
        return parts
    (splits, num_rows, n), out = parts.shape, x.new_empty(parts.shape[1:])
    width = min(1024, triton.next_power_of_2(n))
    sum_kernel[(num_rows, triton.cdiv(n, width))](
        parts, bias, out, n, bias is not None, splits, width, num_warps=4, **chained()
    )
    return out


def few_rows_parts(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """As :func:`few_rows`, or float32 (S, M, N) that add up to it with the bias, for a kernel that reads it anyway."""
    return one_row(x, weight, scale, bias) if x.shape[0] == 1 else _some_rows(x, weight, scale, bias)


def few_rows_gated(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """``x`` (M, K), ``weight`` (2 × I, K), gate before up → SiLU(gate) × up, (M, I)."""
    if x.shape[0] == 1:
        return one_row_gated(x, weight, scale)
    (num_rows, k), n = x.shape, weight.shape[0] // 2
    out, rows = x.new_empty(num_rows, n), 16 if num_rows <= 16 else 32
    in_half = scale is not None and x.dtype.itemsize == 2
    tile_n, tile_k = (32, 256) if in_half else GATED_TILE[rows] if x.dtype.itemsize == 2 else (32, 64)
    few_rows_gated_kernel[(triton.cdiv(n, tile_n // 2),)](
        x, weight, scale, out, num_rows, n, k, scale is not None, in_half, rows, tile_n,
        min(tile_k, max(16, triton.next_power_of_2(k))), LINES[rows], num_warps=4, num_stages=4, **chained(),
    )  # fmt: skip
    return out


def _some_rows(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """(M, N), or (S, M, N) without the bias."""
    (num_rows, k), n = x.shape, weight.shape[0]
    in_half = scale is not None and x.dtype.itemsize == 2
    splits, rows = 1 if n > MAX_SPLIT_N else SPLITS, 16 if num_rows <= 16 else 32
    out = x.new_empty(num_rows, n) if splits == 1 else x.new_empty(splits, num_rows, n, dtype=torch.float32)
    tile_n, tile_k = (32, 256) if in_half else (64, 128)
    few_rows_kernel[(triton.cdiv(n, tile_n), splits)](
        x, weight, scale, bias, out, num_rows, n, k, scale is not None, bias is not None and splits == 1,
        in_half, not in_half, splits, rows, tile_n,
        min(tile_k, max(16, triton.next_power_of_2(k))), LINES[rows], num_warps=4, num_stages=4, **chained(),
    )  # fmt: skip
    return out
