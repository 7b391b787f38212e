"""The kernels find what PyTorch finds. Without a CUDA device Triton runs them as Python."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton", reason="the package triton is not installed")
from glyph_core.engine.kernels.likeliest import WIDTH, likeliest

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def expected_of(logits: torch.Tensor) -> torch.Tensor:
    logprobs, tokens = logits.double().log_softmax(-1).max(-1)
    return torch.stack([tokens.double(), logprobs])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("vocab_size", [50, WIDTH, 3 * WIDTH + 5])
def test_token_and_logprob(vocab_size: int, dtype: torch.dtype) -> None:
    logits = 4 * torch.randn(5, vocab_size, generator=torch.Generator().manual_seed(vocab_size))
    logits[:, vocab_size // 3] += torch.tensor([0.0, 20.0, 0.0, 0.0, 40.0])
    logits[:, -1] += torch.tensor([0.0, 0.0, 30.0, 0.0, 0.0])
    logits = logits.to(DEVICE, dtype)
    got = likeliest(logits)
    assert torch.equal(logits.gather(1, got[0][:, None].long())[:, 0], logits.max(-1).values)
    assert got[0, [1, 2, 4]].tolist() == [vocab_size // 3, vocab_size - 1, vocab_size // 3]
    torch.testing.assert_close(got[1], expected_of(logits)[1], atol=1e-5, rtol=1e-5)


def test_the_first_of_equal_logits_and_rows_that_are_apart() -> None:
    wide = torch.zeros(3, 2 * WIDTH + 40, device=DEVICE)
    logits = wide[:, : 2 * WIDTH + 9]
    wide[:, 2 * WIDTH + 9 :] = 100  # another's
    logits[1, [7, 9, WIDTH + 1]] = 2.0
    logits[2, [WIDTH + 3, 2 * WIDTH + 8]] = 1.0
    assert likeliest(logits)[0].tolist() == [0, 7, WIDTH + 3]


def test_ruled_out_tokens_and_numbers_that_are_none() -> None:
    logits = torch.full((3, WIDTH + 3), float("-inf"), device=DEVICE)
    logits[:, -1] = 1.0
    logits[1, 5], logits[2, 5] = float("nan"), float("inf")
    tokens, logprobs = likeliest(logits)
    assert (tokens[0].item(), logprobs[0].item()) == (WIDTH + 2, 0.0)
    assert not logprobs[1:].isfinite().any()
    assert (tokens < WIDTH + 3).all()
