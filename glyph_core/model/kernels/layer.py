"""Triton kernels for what stands between the matrix products of a layer.

Each reads and writes its tensors once; a layer of glm4v has four norms, and each pair that only an addition parts is
one kernel. Written by hand rather than by ``torch.compile``: transformers' layers call our attention in their midst,
where a compiled graph breaks and is compiled anew for each number of tokens, and a server must not compile while it
serves.

Shapes: T tokens, H hidden size, I intermediate size.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

E4M3_MAX = tl.constexpr(448.0)


@triton.jit
def _normed(wide, weight, eps, SIZE: tl.constexpr):
    """Rounded to the weight's dtype before the weight and after it, as transformers does; sums in float32."""
    normed = (wide * tl.rsqrt(tl.sum(wide * wide, 0) / SIZE + eps)).to(weight.dtype)
    return (normed.to(tl.float32) * weight.to(tl.float32)).to(weight.dtype)


@triton.jit
def norm_kernel(
    x_ptr, weight_ptr, out_ptr, eps, SIZE: tl.constexpr, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False
):
    begin(CHAINED)
    row, column = tl.program_id(0).to(tl.int64) * SIZE, tl.arange(0, WIDTH)
    exists = column < SIZE
    wide = tl.load(x_ptr + row + column, mask=exists, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + column, mask=exists, other=0.0)
    tl.store(out_ptr + row + column, _normed(wide, weight, eps, SIZE), mask=exists)


@triton.jit
def _summed(x_ptr, at, exists, SIZE: tl.constexpr, PARTS: tl.constexpr, DTYPE: tl.constexpr):
    """A row of what PARTS add up to, one row a program, in float32."""
    x = tl.load(x_ptr + at, mask=exists, other=0.0).to(tl.float32)
    for part in tl.static_range(1, PARTS):
        x += tl.load(x_ptr + part * tl.num_programs(0).to(tl.int64) * SIZE + at, mask=exists, other=0.0)
    if PARTS > 1:  # as a sum that is written and read again would be
        x = x.to(DTYPE).to(tl.float32)
    return x


@triton.jit
def add_norm_kernel(
    residual_ptr,
    x_ptr,
    weight_ptr,
    sum_ptr,
    out_ptr,
    eps,
    SIZE: tl.constexpr,
    WIDTH: tl.constexpr,
    PARTS: tl.constexpr = 1,
    CHAINED: tl.constexpr = False,
):
    row, column = tl.program_id(0).to(tl.int64) * SIZE, tl.arange(0, WIDTH)
    exists = column < SIZE
    weight = tl.load(weight_ptr + column, mask=exists, other=0.0)
    begin(CHAINED)  # weights stay as they are
    residual = tl.load(residual_ptr + row + column, mask=exists, other=0.0)
    x = _summed(x_ptr, row + column, exists, SIZE, PARTS, residual.dtype)
    summed = (residual.to(tl.float32) + x).to(residual.dtype)
    tl.store(sum_ptr + row + column, summed, mask=exists)
    tl.store(out_ptr + row + column, _normed(summed.to(tl.float32), weight, eps, SIZE), mask=exists)


@triton.jit
def add_norms_kernel(
    residual_ptr,
    x_ptr,
    post_ptr,
    next_ptr,
    sum_ptr,
    out_ptr,
    eps,
    SIZE: tl.constexpr,
    WIDTH: tl.constexpr,
    PARTS: tl.constexpr = 1,
    CHAINED: tl.constexpr = False,
):
    row, column = tl.program_id(0).to(tl.int64) * SIZE, tl.arange(0, WIDTH)
    exists = column < SIZE
    post = tl.load(post_ptr + column, mask=exists, other=0.0)
    following = tl.load(next_ptr + column, mask=exists, other=0.0)
    begin(CHAINED)  # weights stay as they are
    residual = tl.load(residual_ptr + row + column, mask=exists, other=0.0)
    x = _summed(x_ptr, row + column, exists, SIZE, PARTS, residual.dtype)
    normed = _normed(x, post, eps, SIZE).to(tl.float32)
    summed = (residual.to(tl.float32) + normed).to(residual.dtype)
    tl.store(sum_ptr + row + column, summed, mask=exists)
    tl.store(out_ptr + row + column, _normed(summed.to(tl.float32), following, eps, SIZE), mask=exists)


@triton.jit
def rotary_kernel(
    positions_ptr, axes_ptr, inv_freq_ptr, cos_ptr, sin_ptr, stride_axis, stride_token, HALF: tl.constexpr,
    WIDTH: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    begin(CHAINED)
    token, place = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    exists = place < HALF
    axis = tl.load(axes_ptr + place, mask=exists, other=0)
    position = tl.load(positions_ptr + axis * stride_axis + token * stride_token, mask=exists, other=0)
    angle = position.to(tl.float32) * tl.load(inv_freq_ptr + place, mask=exists, other=0.0)
    tl.store(cos_ptr + token * HALF + place, tl.cos(angle), mask=exists)
    tl.store(sin_ptr + token * HALF + place, tl.sin(angle), mask=exists)


@triton.jit
def rotate_kernel(
    x_ptr, cos_ptr, sin_ptr, stride, NUM_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, HALF: tl.constexpr,
    APART: tl.constexpr, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False,
):  # fmt: skip
    """A pair's places lie ``APART``: neighbours (2i, 2i + 1), as GLM has them, or (i, i + HALF)."""
    begin(CHAINED)
    token = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, WIDTH)
    exists = place < NUM_HEADS * HALF
    pair = place % HALF
    at = x_ptr + token * stride + (place // HALF) * HEAD_DIM + (2 * pair if APART == 1 else pair)
    cos = tl.load(cos_ptr + token * HALF + pair, mask=exists)
    sin = tl.load(sin_ptr + token * HALF + pair, mask=exists)
    one, other = tl.load(at, mask=exists).to(tl.float32), tl.load(at + APART, mask=exists).to(tl.float32)
    tl.store(at, (one * cos - other * sin).to(x_ptr.dtype.element_ty), mask=exists)
    tl.store(at + APART, (other * cos + one * sin).to(x_ptr.dtype.element_ty), mask=exists)


@triton.jit
def silu_kernel(x_ptr, out_ptr, SIZE: tl.constexpr, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False):
    begin(CHAINED)
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    exists = column < SIZE
    gate = tl.load(x_ptr + row * 2 * SIZE + column, mask=exists, other=0.0).to(tl.float32)
    up = tl.load(x_ptr + row * 2 * SIZE + SIZE + column, mask=exists, other=0.0).to(tl.float32)
    tl.store(out_ptr + row * SIZE + column, (up * gate / (1 + tl.exp(-gate))).to(out_ptr.dtype.element_ty), mask=exists)


@triton.jit
def quantize_kernel(x_ptr, out_ptr, scale_ptr, SIZE: tl.constexpr, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False):
    begin(CHAINED)
    row, column = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    exists = column < SIZE
    x = tl.load(x_ptr + row * SIZE + column, mask=exists, other=0.0).to(tl.float32)
    scale = tl.maximum(tl.max(tl.abs(x), 0), 1.0e-12) / E4M3_MAX
    tl.store(out_ptr + row * SIZE + column, (x / scale).to(tl.float8e4nv), mask=exists)
    tl.store(scale_ptr + row, scale)


def norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    out, size = torch.empty_like(x), x.shape[-1]
    norm_kernel[(x.shape[0],)](x, weight, out, eps, size, triton.next_power_of_2(size), num_warps=8, **chained())
    return out


def add_norm(
    residual: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    summed, out, (num_rows, size) = torch.empty_like(residual), torch.empty_like(residual), residual.shape
    add_norm_kernel[(num_rows,)](
        residual,
        x,
        weight,
        summed,
        out,
        eps,
        size,
        triton.next_power_of_2(size),
        x.shape[0] if x.ndim == 3 else 1,
        num_warps=8,
        **chained(),
    )
    return summed, out


def add_norms(
    residual: torch.Tensor, x: torch.Tensor, post: torch.Tensor, following: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    summed, out, (num_rows, size) = torch.empty_like(residual), torch.empty_like(residual), residual.shape
    add_norms_kernel[(num_rows,)](
        residual,
        x,
        post,
        following,
        summed,
        out,
        eps,
        size,
        triton.next_power_of_2(size),
        x.shape[0] if x.ndim == 3 else 1,
        num_warps=8,
        **chained(),
    )
    return summed, out


def rotary(positions: torch.Tensor, axes: torch.Tensor, inv_freq: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    num_tokens, half = positions.shape[1], inv_freq.shape[0]
    cos, sin = (inv_freq.new_empty(num_tokens, half) for _ in range(2))
    rotary_kernel[(num_tokens,)](
        positions, axes, inv_freq, cos, sin, positions.stride(0), positions.stride(1), half,
        triton.next_power_of_2(half), num_warps=1, **chained(),
    )  # fmt: skip
    return cos, sin


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int) -> None:
    _rotate(x, cos, sin, num_heads, head_dim, 1)


def rotate_halves(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int) -> None:
    _rotate(x, cos, sin, num_heads, head_dim, cos.shape[1])


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, num_heads: int, head_dim: int, apart: int) -> None:
    half = cos.shape[1]
    width = triton.next_power_of_2(num_heads * half)
    rotate_kernel[(x.shape[0],)](
        x, cos, sin, x.stride(0), num_heads, head_dim, half, apart, width, num_warps=4, **chained()
    )


def silu_mul(x: torch.Tensor) -> torch.Tensor:
    num_tokens, size = x.shape[0], x.shape[1] // 2
    out, width = x.new_empty(num_tokens, size), min(1024, triton.next_power_of_2(size))
    silu_kernel[(num_tokens, triton.cdiv(size, width))](x, out, size, width, num_warps=4, **chained())
    return out


def quantize_rows(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    out = torch.empty_like(x, dtype=torch.float8_e4m3fn)
    scale = torch.empty(x.shape[0], 1, dtype=torch.float32, device=x.device)
    size = x.shape[1]
    quantize_kernel[(x.shape[0],)](x, out, scale, size, triton.next_power_of_2(size), num_warps=8, **chained())
    return out, scale
