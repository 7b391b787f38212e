"""Heads that turn by halves on their way into the cache equal what is written out in PyTorch."""

from __future__ import annotations

import pytest
import torch

from glyph_core.model.attention import HeadNorms, Rotation
from glyph_core.model.layer_ops import TorchOps

pytest.importorskip("triton", reason="the package triton is not installed")
from glyph_core.engine.kernels.store import write_kv
from glyph_core.engine.kernels.turn import turn_write

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NUM_TOKENS, EPS, BLOCK_SIZE, NUM_BLOCKS = 3, 1e-6, 4, 3
SLOTS = (9, -1, 2)  # the second is padding


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def written_out(
    heads: torch.Tensor, bias: torch.Tensor | None, rotation: Rotation, norms: HeadNorms | None, num_kv_heads: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values (T, heads, D)."""
    whole = heads.sum(0) if heads.ndim == 4 else heads.clone()
    num_tokens, num_rows, head_dim = whole.shape
    whole = whole if bias is None else whole + bias.view(num_rows, head_dim)
    sizes = [num_rows - 2 * num_kv_heads, num_kv_heads, num_kv_heads]
    if norms is not None:
        q, k, _ = torch.split(whole, sizes, dim=1)
        q.copy_(TorchOps().norm(q, norms.q, EPS))
        k.copy_(TorchOps().norm(k, norms.k, EPS))
    turned = whole.reshape(num_tokens, -1)
    TorchOps().rotate_halves(turned, rotation.cos, rotation.sin, sum(sizes[:2]), head_dim)
    q, k, v = torch.split(turned.view(whole.shape), sizes, dim=1)
    return q, k, v


@pytest.mark.parametrize(
    ("num_parts", "has_bias", "has_norms"),
    [(0, False, False), (0, False, True), (1, True, False), (4, False, True), (4, True, True)],
)
@pytest.mark.parametrize(("num_heads", "num_kv_heads", "head_dim"), [(4, 4, 16), (9, 3, 32)])
def test_it_equals_what_is_written_out(
    num_heads: int, num_kv_heads: int, head_dim: int, num_parts: int, has_bias: bool, has_norms: bool
) -> None:
    num_rows = num_heads + 2 * num_kv_heads
    shape = (NUM_TOKENS, num_rows, head_dim)
    heads = draw(num_parts, *shape, seed=0) if num_parts else draw(*shape, seed=0)
    bias = draw(num_rows * head_dim, seed=1) if has_bias else None
    norms = HeadNorms(1 + draw(head_dim, seed=2), 1 + draw(head_dim, seed=3), EPS) if has_norms else None
    angles = draw(NUM_TOKENS, head_dim // 2, seed=4)
    rotation = Rotation(angles.cos(), angles.sin(), in_halves=True)
    slots = torch.tensor(SLOTS, device=DEVICE)
    q, k, v = written_out(heads, bias, rotation, norms, num_kv_heads)
    for kv_dtype, tolerance in ((torch.float32, 1e-5), (torch.float8_e4m3fn, 0.15)):  # may round to the next of 8 bits
        got, expected = (
            torch.zeros(2, NUM_BLOCKS, BLOCK_SIZE, num_kv_heads, head_dim, device=DEVICE).to(kv_dtype) for _ in range(2)
        )
        turned = turn_write(heads.clone(), bias, rotation, norms, *got, slots, torch.float32)
        write_kv(k.transpose(0, 1), v.transpose(0, 1), *expected, slots)
        torch.testing.assert_close(turned, q, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(got.float(), expected.float(), atol=1e-5, rtol=tolerance)
        is_written = expected.float().flatten(1, 2).any(-1).any(-1)  # (2, slots)
        assert is_written.nonzero()[:, 1].tolist() == 2 * sorted(slot for slot in SLOTS if slot >= 0)


def test_whole_heads_turn_where_they_lie() -> None:
    heads, angles = draw(NUM_TOKENS, 8, 16, seed=0), draw(NUM_TOKENS, 8, seed=4)
    cache = torch.zeros(2, NUM_BLOCKS, BLOCK_SIZE, 2, 16, device=DEVICE)
    rotation, slots = Rotation(angles.cos(), angles.sin(), in_halves=True), torch.tensor(SLOTS, device=DEVICE)
    q = turn_write(heads, None, rotation, None, cache[0], cache[1], slots, torch.float32)
    assert q.data_ptr() == heads.data_ptr()
