"""The ways of prefill give one result, wherever a chunk begins and ends."""

from __future__ import annotations

import pytest
import torch

from glyph_core.engine.attention import prefill
from glyph_core.engine.attention.prefill import join_reference, sdpa_prefill, split_prefill

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPE, TOLERANCE = (torch.bfloat16, 2e-2) if DEVICE.type == "cuda" else (torch.float32, 1e-5)
SCALE = 0.2


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefill, "MIN_SPLIT_TOKENS", 0)
    monkeypatch.setattr(prefill, "PREFIX_STEP", 16)
    monkeypatch.setattr(prefill, "SQUARE_STEP", 8)


@pytest.mark.parametrize("num_heads", [2, 6])
@pytest.mark.parametrize(
    ("n", "length"),
    [
        (24, 24),  # a whole prompt, nothing to fill up
        (21, 21),
        (8, 40),  # begins where the prefix is cut
        (13, 45),
        (5, 14),  # the whole prefix goes with the chunk
        (11, 50),  # a part of it does
        (1, 33),
    ],
)
def test_split_equals_the_reference(n: int, length: int, num_heads: int) -> None:
    random = torch.Generator().manual_seed(length)
    q = torch.randn(n, num_heads, 64, generator=random).to(DEVICE, DTYPE).transpose(0, 1)
    k, v = (torch.randn(length, 2, 64, generator=random).to(DEVICE, DTYPE).transpose(0, 1) for _ in range(2))
    got, expected = split_prefill(q, k, v, SCALE), sdpa_prefill(q, k, v, SCALE)
    assert got.shape == (n, num_heads, 64)
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("n", [1, 32, 45])
def test_the_kernel_joins_as_written_out(n: int) -> None:
    pytest.importorskip("triton", reason="the package triton is not installed")
    from glyph_core.engine.kernels.join import join

    random = torch.Generator().manual_seed(n)
    one = torch.randn(n + 3, 6, 64, generator=random).to(DEVICE, DTYPE).transpose(0, 1)[:, 3:]  # a view, as cuDNN gives
    other = torch.randn(6, n + 5, 64, generator=random).to(DEVICE, DTYPE)[:, :n]
    one_lse, other_lse = (5 * torch.randn(6, n + 2, generator=random).to(DEVICE)[:, :n] for _ in range(2))
    got, expected = join(one, one_lse, other, other_lse), join_reference(one, one_lse, other, other_lse)
    assert got.is_contiguous()
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_few_lengths_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new one takes cuDNN a tenth of a second to prepare."""
    asked: set[tuple[int, int]] = set()
    attend = prefill.attention_with_lse

    def spy(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, *, is_causal: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        asked.add((q.shape[1], k.shape[1]))
        return attend(q, k, v, scale, is_causal=is_causal)

    monkeypatch.setattr(prefill, "attention_with_lse", spy)
    for length in range(1, 64):
        n = min(length, 9)
        q, k = torch.randn(2, n, 16, device=DEVICE, dtype=DTYPE), torch.randn(2, length, 16, device=DEVICE, dtype=DTYPE)
        split_prefill(q, k, k, SCALE)
    assert len(asked) <= 3 + 3  # squares of 8, 16 and 24; prefixes of 16, 32 and 48 before 16 tokens
