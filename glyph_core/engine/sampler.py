"""From logits to the next token of each sequence.

Follows transformers' processors in their order: repetition penalty, temperature, top-p. The draw itself inverts the
cumulative distribution at a number from the request's own generator, so that a request with a seed gets the same
tokens alone and among others.

Shapes: n sequences, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import torch

from glyph_core.config import SamplingConfig


@dataclass(frozen=True, slots=True)
class SampledToken:
    token_id: int
    logprob: float  # of the model's own distribution, before penalty and temperature


class SamplerState:
    """What drawing the tokens of one request remembers from one to the next."""

    def __init__(
        self, sampling: SamplingConfig, prompt_ids: Iterable[int], vocab_size: int, device: torch.device
    ) -> None:
        self.sampling = sampling
        self._random = Random(sampling.seed)
        self.seen: torch.Tensor | None = None  # (V,) bool: tokens of prompt and answer, where they are penalised
        if sampling.repetition_penalty != 1.0:
            self.seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
            self.seen[torch.tensor(sorted(set(prompt_ids)), device=device)] = True

    def next_uniform(self) -> float:
        """In [0, 1)."""
        return self._random.random()

    def observe(self, token_id: int) -> None:
        """``token_id`` was drawn."""
        if self.seen is not None:
            self.seen[token_id] = True


def sample(logits: torch.Tensor, states: Sequence[SamplerState]) -> list[SampledToken]:
    """One token for each row of ``logits`` (n, V) float32, drawn as its state says; the states go on by one token."""
    scores = _penalise(logits, states)
    tokens = scores.argmax(-1)  # (n,)
    random_rows = [row for row, state in enumerate(states) if state.sampling.temperature > 0]
    if random_rows:
        tokens[random_rows] = _draw(scores[random_rows], [states[row] for row in random_rows])
    logprobs = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
    sampled = [SampledToken(*pair) for pair in zip(tokens.tolist(), logprobs.tolist(), strict=True)]
    for state, token in zip(states, sampled, strict=True):
        state.observe(token.token_id)
    return sampled


def _penalise(logits: torch.Tensor, states: Sequence[SamplerState]) -> torch.Tensor:
    """CTRL's repetition penalty (Keskar et al. 2019, section 4.1) as transformers applies it: tokens that the prompt
    or the answer has get their logit divided by the penalty if positive, multiplied if negative."""
    rows = [row for row, state in enumerate(states) if state.seen is not None]
    if not rows:
        return logits
    chosen = logits[rows]
    seen = torch.stack([seen for state in states if (seen := state.seen) is not None])
    penalty = logits.new_tensor([states[row].sampling.repetition_penalty for row in rows])[:, None]
    penalised = torch.where(chosen < 0, chosen * penalty, chosen / penalty)
    scores = logits.clone()
    scores[rows] = torch.where(seen, penalised, chosen)
    return scores


def _draw(scores: torch.Tensor, states: Sequence[SamplerState]) -> torch.Tensor:
    """(n, V) → (n,) int64. A token stays in if those more likely than it have less than ``top_p`` together."""
    temperature = scores.new_tensor([state.sampling.temperature for state in states])[:, None]
    top_p = scores.new_tensor([state.sampling.top_p for state in states], dtype=torch.float64)[:, None]
    uniform = scores.new_tensor([state.next_uniform() for state in states], dtype=torch.float64)[:, None]
    # Double, or the tail of a vocabulary of 150,000 would drown in the rounding of the sum.
    probs, order = (scores / temperature).softmax(-1, dtype=torch.float64).sort(stable=True, descending=True)
    probs = torch.where(probs.cumsum(-1) - probs < top_p, probs, 0.0)
    cumulative = probs.cumsum(-1)  # ends at the mass that top-p kept
    places = (cumulative <= uniform * cumulative[:, -1:]).sum(-1)
    return order[torch.arange(len(states)), places]
