"""A Triton kernel that joins what queries attended to in two parts of their context.

In PyTorch both parts and their mixture are widened to float32 first, which for a prefill chunk of 8,192 tokens takes
half a gigabyte and four times as long.

Shapes: n tokens, H heads, D head dim.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

ROWS = 32


@triton.jit
def join_kernel(
    one_ptr, other_ptr, one_lse_ptr, other_lse_ptr, out_ptr, num_rows,
    stride_one_h, stride_one_n, stride_other_h, stride_other_n, stride_one_lse, stride_other_lse,
    NUM_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """One program some rows of a head."""
    row, head, column = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.program_id(1), tl.arange(0, HEAD_DIM)
    exists, row, head = row < num_rows, row.to(tl.int64), head.to(tl.int64)
    one_lse = tl.load(one_lse_ptr + head * stride_one_lse + row, mask=exists, other=0.0)
    other_lse = tl.load(other_lse_ptr + head * stride_other_lse + row, mask=exists, other=0.0)
    share = 1 / (1 + tl.exp(one_lse - other_lse))  # of the other: e^b / (e^a + e^b)
    one_at = head * stride_one_h + row[:, None] * stride_one_n + column[None, :]
    other_at = head * stride_other_h + row[:, None] * stride_other_n + column[None, :]
    one = tl.load(one_ptr + one_at, mask=exists[:, None], other=0.0).to(tl.float32)
    other = tl.load(other_ptr + other_at, mask=exists[:, None], other=0.0).to(tl.float32)
    joined = one + (other - one) * share[:, None]
    to = (row * NUM_HEADS + head)[:, None] * HEAD_DIM + column[None, :]
    tl.store(out_ptr + to, joined.to(out_ptr.dtype.element_ty), mask=exists[:, None])


def join(one: torch.Tensor, one_lse: torch.Tensor, other: torch.Tensor, other_lse: torch.Tensor) -> torch.Tensor:
    """(H, n, D) and the log-sum-exp of its scores (H, n) float32, twice; any strides but the last → (n, H, D)."""
    num_heads, n, head_dim = one.shape
    out = one.new_empty(n, num_heads, head_dim)
    join_kernel[(triton.cdiv(n, ROWS), num_heads)](
        one, other, one_lse, other_lse, out, n,
        one.stride(0), one.stride(1), other.stride(0), other.stride(1), one_lse.stride(0), other_lse.stride(0),
        num_heads, head_dim, ROWS, num_warps=4,
    )  # fmt: skip
    return out
