"""Drawing a token from a row of scores: temperature, top-p, then the place of a number in [0, 1) among what is left.

The places are those of the tokens from the likeliest down, of equals the first in the vocabulary first. Sorting 150,000
tokens takes longer than a layer of the model, and a draw nearly always ends among the likeliest: these alone are sorted
first, and where that does not settle a row, its draw is made again from all.

Shapes: n sequences, V vocabulary, K of the likeliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from glyph_core.engine.transfer import to_device

NUM_LIKELY = 1024


@dataclass(frozen=True, slots=True)
class Draws:
    """What each row's token is drawn by, (n, 1) float64 each."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    uniform: torch.Tensor  # in [0, 1), each request's own

    @classmethod
    def on(cls, device: torch.device, settings: Sequence[tuple[float, float, float]]) -> Draws:
        return cls(*to_device(np.array(settings, dtype=np.float64).T, device)[..., None])


def draw_likely(scores: torch.Tensor, draws: Draws, num_likely: int = NUM_LIKELY) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, V) → tokens (n,) int64, and (n,) bool: which of them :func:`draw` would give, too. Nothing waits."""
    probs = _probs(scores, draws)
    if probs.shape[-1] <= num_likely:
        return _draw(*_in_order(probs, None), draws.top_p, draws.uniform, None), torch.ones_like(probs[:, 0]).bool()
    likely, order = _in_order(probs, probs.topk(num_likely, sorted=False).indices)  # each (n, K)
    # Of tokens as likely as the last of these only some are here. Those before them are where they would be among all.
    settled = torch.where(likely > likely[:, -1:], likely.cumsum(-1), 0.0).amax(-1, keepdim=True)
    mass = probs.sum(-1, keepdim=True)
    is_settled = torch.where(draws.top_p < 1, settled >= draws.top_p, settled > draws.uniform * mass)
    return _draw(likely, order, draws.top_p, draws.uniform, mass), is_settled[:, 0]


def draw(scores: torch.Tensor, draws: Draws) -> torch.Tensor:
    """(n, V) → (n,) int64. A token stays in if those more likely than it have less than ``top_p`` together."""
    return _draw(*_in_order(_probs(scores, draws), None), draws.top_p, draws.uniform, None)


def _probs(scores: torch.Tensor, draws: Draws) -> torch.Tensor:
    # Double, or the tail of a vocabulary of 150,000 would drown in the rounding of the sum.
    return (scores / draws.temperature.float()).softmax(-1, dtype=torch.float64)


def _in_order(probs: torch.Tensor, chosen: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The probabilities of the tokens ``chosen`` (n, K), None: of all, from the likeliest down; and those tokens."""
    if chosen is None:
        likely, order = probs.sort(stable=True, descending=True)
        return likely, order
    chosen = chosen.sort().values
    likely, order = probs.gather(-1, chosen).sort(stable=True, descending=True)
    return likely, chosen.gather(-1, order)


def _draw(
    likely: torch.Tensor, order: torch.Tensor, top_p: torch.Tensor, uniform: torch.Tensor, mass: torch.Tensor | None
) -> torch.Tensor:
    """``mass`` is what all tokens have together where ``likely`` lacks some: without top-p, the draw is from all."""
    cumulative = likely.cumsum(-1)
    cumulative = torch.where(cumulative - likely < top_p, likely, 0.0).cumsum(-1)  # ends at the mass that top-p kept
    kept = cumulative[:, -1:] if mass is None else torch.where(top_p < 1, cumulative[:, -1:], mass)
    # NaN is smaller than nothing; those logits are refused later, and until then no index may leave the vocabulary.
    places = (cumulative <= uniform * kept).sum(-1).clamp(max=likely.shape[-1] - 1)
    drawn: torch.Tensor = order.gather(-1, places[:, None])[:, 0]
    return drawn
