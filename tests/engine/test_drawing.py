"""A draw from the likeliest tokens is the draw from all, or says that it may not be."""

from __future__ import annotations

import pytest
import torch

from glyph_core.config import SamplingConfig
from glyph_core.engine import drawing, sampler
from glyph_core.engine.drawing import Draws, draw, draw_likely
from glyph_core.engine.sampler import SamplerState, greedy

CPU = torch.device("cpu")
NUM_ROWS, VOCAB_SIZE, NUM_LIKELY = 400, 300, 24


def scores_of(spread: float, *, rounded: bool = True) -> torch.Tensor:
    scores = spread * torch.randn(NUM_ROWS, VOCAB_SIZE, generator=torch.Generator().manual_seed(0))
    return (2 * scores).round() / 2 if rounded else scores  # many are equal, as in half precision


def draws_of(temperature: float, top_p: float) -> Draws:
    uniform = torch.rand(NUM_ROWS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Draws.on(CPU, [(temperature, top_p, number) for number in uniform.tolist()])


@pytest.mark.parametrize("top_p", [1.0, 0.95, 0.5, 0.01])
@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("rounded", [True, False], ids=["equals", "no equals"])
def test_what_is_settled_among_the_likeliest_is_what_all_give(top_p: float, spread: float, rounded: bool) -> None:
    scores, draws = scores_of(spread, rounded=rounded), draws_of(0.8, top_p)
    tokens, is_settled = draw_likely(scores, draws, NUM_LIKELY)
    assert tokens[is_settled].tolist() == draw(scores, draws)[is_settled].tolist()
    if spread == 8.0 or (top_p == 0.01 and not rounded):
        assert is_settled.float().mean() > 0.9  # or it would be of no use


def test_a_flat_distribution_settles_nothing() -> None:
    _, is_settled = draw_likely(torch.zeros(NUM_ROWS, VOCAB_SIZE), draws_of(1.0, 0.9), NUM_LIKELY)
    assert not is_settled.any()


def test_the_place_of_a_draw_is_the_inverse_of_the_cumulative_distribution() -> None:
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.3]]).log().expand(5, -1)
    draws = Draws.on(
        CPU, [(1.0, top_p, u) for top_p, u in [(1.0, 0.39), (1.0, 0.41), (1.0, 0.95), (0.5, 0.6), (0.4, 0.9)]]
    )
    assert draw(scores, draws).tolist() == [1, 3, 0, 3, 1]


def test_what_is_not_settled_is_drawn_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same number, beside rows that are settled or take the likeliest."""
    logits = scores_of(0.1)[:6]
    logits[1] *= 100
    logits[4] *= 100
    settings = [SamplingConfig(temperature=1.0, top_p=0.9, seed=row) for row in range(6)]
    settings[5] = SamplingConfig()

    def tokens() -> list[int]:
        states = [SamplerState(setting, (), VOCAB_SIZE, CPU) for setting in settings]
        return [token.token_id for _ in range(20) for token in sampler.sample(logits, greedy(logits), states)]

    expected = tokens()  # 300 tokens are all among the likeliest
    monkeypatch.setattr(drawing.draw_likely, "__defaults__", (NUM_LIKELY,))
    assert tokens() == expected
