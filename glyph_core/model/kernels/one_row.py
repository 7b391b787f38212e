"""Triton kernels for products of one row, which are bound by reading the weight.

It goes through registers, as much of it at once as the loads in flight allow, and its first part is under way before
the row is there.

Shapes: N rows and K columns of a weight.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

# Rows and columns of a weight's tile by its bytes a number, as measured on an H200.
ONE_ROW = {4: (4, 1024), 2: (2, 4096), 1: (4, 2048)}
ONE_ROW_GATED = {4: (2, 1024), 2: (1, 4096), 1: (2, 4096)}


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


def one_row(
    x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    """``x`` (1, K), ``weight`` (N, K) of x's dtype or float8_e4m3fn with ``scale`` (N,) → (1, N)."""
    n, k = weight.shape
    out, (tile_n, tile_k) = x.new_empty(1, n), _tile(ONE_ROW, weight)
    one_row_kernel[(triton.cdiv(n, tile_n),)](
        x, weight, scale, bias, out, n, k, scale is not None, bias is not None,
        n % tile_n == 0 and k % tile_k == 0, tile_n, tile_k, num_warps=8, **chained(),
    )  # fmt: skip
    return out


def one_row_gated(x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """``x`` (1, K), ``weight`` (2 × I, K), gate before up → SiLU(gate) × up, (1, I)."""
    n, k = weight.shape[0] // 2, weight.shape[1]
    out, (tile_n, tile_k) = x.new_empty(1, n), _tile(ONE_ROW_GATED, weight)
    one_row_gated_kernel[(triton.cdiv(n, tile_n),)](
        x, weight, scale, out, n, k, scale is not None, n % tile_n == 0 and k % tile_k == 0, tile_n, tile_k,
        num_warps=8, **chained(),
    )  # fmt: skip
    return out


def _tile(tiles: dict[int, tuple[int, int]], weight: torch.Tensor) -> tuple[int, int]:
    tile_n, tile_k = tiles[weight.dtype.itemsize]
    return tile_n, min(tile_k, triton.next_power_of_2(weight.shape[1]))
