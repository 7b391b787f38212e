"""From logits to the next token of each sequence.

Tokens that a mask forbids are out first. Then come transformers' processors in their order: repetition penalty,
temperature, top-p. The draw itself inverts the cumulative distribution at a number from the request's own generator, so
that a request with a seed gets the same tokens alone and among others.

Shapes: n sequences, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from random import Random

import numpy as np
import torch

from glyph_core.config import SamplingConfig
from glyph_core.engine.drawing import Draws, draw, draw_likely
from glyph_core.engine.token_mask import TokenMask, masked
from glyph_core.engine.transfer import to_device
from glyph_core.errors import ModelError

HAS_TRITON = find_spec("triton") is not None


@dataclass(frozen=True, slots=True)
class SampledToken:
    token_id: int
    logprob: float  # of the model's own distribution, before penalty and temperature


class SamplerState:
    """What drawing the tokens of one request remembers from one to the next."""

    def __init__(
        self,
        sampling: SamplingConfig,
        prompt_ids: Iterable[int],
        vocab_size: int,
        device: torch.device,
        mask: TokenMask | None = None,
    ) -> None:
        self.sampling, self.mask = sampling, mask
        self._random = Random(sampling.seed)
        self.seen: torch.Tensor | None = None  # (V,) bool: tokens of prompt and answer, where they are penalised
        if sampling.repetition_penalty != 1.0:
            self.seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
            self.seen[torch.tensor(sorted(set(prompt_ids)), device=device)] = True

    @property
    def is_greedy(self) -> bool:
        """Always takes the likeliest token, whatever came before."""
        return self.seen is None and self.mask is None and self.sampling.temperature == 0

    def next_uniform(self) -> float:
        """In [0, 1)."""
        return self._random.random()

    def observe(self, token_id: int) -> None:
        """``token_id`` was drawn."""
        if self.seen is not None:
            self.seen[token_id] = True
        if self.mask is not None:
            self.mask.advance(token_id)


def greedy(logits: torch.Tensor) -> torch.Tensor:
    """(n, V) of any float dtype → (2, n) float64: each row's likeliest token, and its logarithmic probability.

    Nothing here looks at a value: a CUDA graph can hold it.
    """
    if logits.is_cuda and HAS_TRITON:
        from glyph_core.engine.kernels.likeliest import likeliest  # triton is not everywhere

        return likeliest(logits)
    logits = logits.float()
    tokens = logits.argmax(-1)
    return torch.stack([tokens.double(), _logprobs(logits, tokens)])


def sample(logits: torch.Tensor, likeliest: torch.Tensor, states: Sequence[SamplerState]) -> list[SampledToken]:
    """One token for each row of ``logits`` (n, V), drawn as its state says; the states go on by one token.

    ``likeliest`` is what :func:`greedy` made of the logits. The host waits for the device once, for the tokens, and
    once more where a draw was not settled among the likeliest. Raises ModelError for logits that are not finite.
    """
    if all(state.is_greedy for state in states):
        return as_tokens(likeliest, states)
    logits = logits.float()
    scores = _penalise(masked(logits, [state.mask for state in states]), states)
    tokens, is_settled = scores.argmax(-1), None
    random = [(row, state) for row, state in enumerate(states) if state.sampling.temperature > 0]
    if random:
        rows = to_device(np.array([row for row, _ in random]), logits.device)
        settings = [(state.sampling.temperature, state.sampling.top_p, state.next_uniform()) for _, state in random]
        draws = Draws.on(logits.device, settings)
        tokens[rows], is_settled = draw_likely(scores[rows], draws)
    chosen = _fetched(logits, tokens, is_settled)
    if random and not chosen[2].all():
        tokens[rows] = draw(scores[rows], draws)
        chosen = _fetched(logits, tokens, None)
    return as_tokens(chosen[:2], states)


def as_tokens(likeliest: torch.Tensor, states: Sequence[SamplerState]) -> list[SampledToken]:
    """What lies in ``likeliest`` (2, n), tokens and their logarithmic probabilities; the states go on by one token.
    Raises ModelError for logits that were not finite."""
    token_ids, logprobs = likeliest.tolist()
    if not all(map(math.isfinite, logprobs)):
        raise ModelError(
            "the model computed logits that are not finite numbers; its weights are damaged, or they overflow in this "
            "dtype: use bfloat16 or float32"
        )
    sampled = [SampledToken(int(token_id), logprob) for token_id, logprob in zip(token_ids, logprobs, strict=True)]
    for state, token in zip(states, sampled, strict=True):
        state.observe(token.token_id)
    return sampled


def _fetched(logits: torch.Tensor, tokens: torch.Tensor, is_settled: torch.Tensor | None) -> torch.Tensor:
    """On the host, (3, n) float64: tokens, their logarithmic probabilities, and whether all that are drawn are
    settled."""
    settled = tokens.new_ones(()) if is_settled is None else is_settled.all()
    return torch.stack([tokens.double(), _logprobs(logits, tokens), settled.double().expand(len(tokens))]).cpu()


def _logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return (logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)).double()


def _penalise(logits: torch.Tensor, states: Sequence[SamplerState]) -> torch.Tensor:
    """CTRL's repetition penalty (Keskar et al. 2019, section 4.1) as transformers applies it: tokens that the prompt
    or the answer has get their logit divided by the penalty if positive, multiplied if negative."""
    rows = [row for row, state in enumerate(states) if state.seen is not None]
    if not rows:
        return logits
    index = to_device(np.array(rows), logits.device)
    chosen = logits[index]
    seen = torch.stack([seen for state in states if (seen := state.seen) is not None])
    penalties = np.array([states[row].sampling.repetition_penalty for row in rows], dtype=np.float32)
    penalty = to_device(penalties, logits.device)[:, None]
    penalised = torch.where(chosen < 0, chosen * penalty, chosen / penalty)
    scores = logits.clone()
    scores[index] = torch.where(seen, penalised, chosen)
    return scores
