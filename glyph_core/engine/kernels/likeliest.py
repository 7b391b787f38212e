"""Triton kernels that find each row's likeliest token and its logarithmic probability in one pass over the logits.

PyTorch reads a row of 151,552 logits once for the maximum, twice for the sum and once to widen it to float32, and one
row at a time fills no GPU.

Shapes: n sequences, V vocabulary, S pieces of it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from glyph_core.model.kernels.chain import begin, chained

WIDTH = 4096  # logits of a piece


@triton.jit
def pieces_kernel(
    logits_ptr, best_ptr, place_ptr, sum_ptr, V, stride, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False
):
    """One program a row and piece: the largest logit, where it is, and the sum of exponentials beside it."""
    begin(CHAINED)
    row, piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = piece * WIDTH + tl.arange(0, WIDTH)
    logits = tl.load(logits_ptr + row * stride + column, mask=column < V, other=float("-inf")).to(tl.float32)
    best, place = tl.max(logits, 0, return_indices=True)
    at = row * tl.num_programs(1) + piece
    tl.store(best_ptr + at, best)
    tl.store(place_ptr + at, piece * WIDTH + place)
    tl.store(sum_ptr + at, tl.sum(tl.where(logits == float("-inf"), 0.0, tl.exp(logits - best)), 0))


@triton.jit
def whole_kernel(
    best_ptr, place_ptr, sum_ptr, out_ptr, NUM_PIECES: tl.constexpr, WIDTH: tl.constexpr, CHAINED: tl.constexpr = False
):
    """One program a row. Of equal logits the first wins."""
    begin(CHAINED)
    row, piece = tl.program_id(0), tl.arange(0, WIDTH)
    at, exists = row * NUM_PIECES + piece, piece < NUM_PIECES
    bests = tl.load(best_ptr + at, mask=exists, other=float("-inf"))
    best, winner = tl.max(bests, 0, return_indices=True)
    total = tl.sum(tl.load(sum_ptr + at, mask=exists, other=0.0) * tl.exp(bests - best), 0)
    token = tl.load(place_ptr + row * NUM_PIECES + winner)
    tl.store(out_ptr + row, token.to(tl.float64))
    tl.store(out_ptr + tl.num_programs(0) + row, -tl.log(total).to(tl.float64))


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """(n, V) of any float dtype → (2, n) float64: tokens, and their logarithmic probabilities, NaN in a row that has
    logits which are not finite."""
    (n, vocab_size), device = logits.shape, logits.device
    num_pieces = triton.cdiv(vocab_size, WIDTH)
    best, total = (torch.empty(n, num_pieces, dtype=torch.float32, device=device) for _ in range(2))
    place = torch.empty(n, num_pieces, dtype=torch.int32, device=device)
    out = torch.empty(2, n, dtype=torch.float64, device=device)
    pieces_kernel[(n, num_pieces)](
        logits, best, place, total, vocab_size, logits.stride(0), WIDTH, num_warps=8, **chained()
    )
    whole_kernel[(n,)](
        best, place, total, out, num_pieces, triton.next_power_of_2(num_pieces), num_warps=1, **chained()
    )
    return out
