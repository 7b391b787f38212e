"""A language model small enough to read, whose every token depends on all that came before."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from glyph_core.model.attention import PagedAttention
from glyph_core.types import Prompt


class FakeTextModel:
    """Two layers of attention in float64; a :class:`glyph_core.model.family.TextModel`.

    All tokens of a page stand at one position, so generated tokens have a position delta.
    """

    num_layers, num_heads, num_kv_heads, head_dim, hidden_size, feature_size, vocab_size = 2, 1, 1, 8, 8, 8, 32
    is_static = False
    dtype, device = torch.float64, torch.device("cpu")

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        shape = (self.num_layers, 3, self.hidden_size, self.head_dim)
        self.weights = torch.randn(shape, generator=random, dtype=self.dtype)
        self.embeddings = torch.randn(self.vocab_size, self.hidden_size, generator=random, dtype=self.dtype)
        self.num_forwards = 0

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        return self.embeddings[token_ids]

    def positions(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        steps = torch.ones(len(prompt.token_ids), dtype=torch.int64)
        for page in prompt.pages:
            steps[page.start + 1 : page.stop] = 0
        positions = steps.cumsum(0) - 1
        return positions.expand(3, -1), int(positions[-1]) + 1 - len(prompt.token_ids)

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        self.num_forwards += 1
        angles = positions.sum(0)[:, None] * torch.arange(1, self.hidden_size + 1)
        hidden = inputs_embeds + angles.to(self.dtype).sin()
        for layer_idx, (wq, wk, wv) in enumerate(self.weights):
            q, k, v = ((hidden @ w)[None] for w in (wq, wk, wv))  # (1, T, D)
            hidden = (hidden + attention(layer_idx, q, k, v, scale=0.2)[:, 0]).tanh()
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return (hidden @ self.embeddings.T).float()

    def greedy(self, prompt: Prompt, features: Sequence[torch.Tensor], num_tokens: int) -> list[int]:
        """What greedy decoding gives, all of it computed anew for each token, without blocks."""
        token_ids = list(prompt.token_ids)
        prompt_positions, delta = self.positions(prompt)
        for _ in range(num_tokens):
            embeds = self.embed(torch.tensor(token_ids))
            for page, rows in zip(prompt.pages, features, strict=True):
                embeds[page.start : page.stop] = rows
            generated = torch.arange(len(prompt.token_ids), len(token_ids)) + delta
            hidden = self.forward(embeds, torch.cat([prompt_positions, generated.expand(3, -1)], 1), _dense_attention)
            token_ids.append(int(self.logits(hidden[-1:]).argmax()))
        return token_ids[len(prompt.token_ids) :]


def _dense_attention(layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """One head, one sequence, written out: (1, T, D) → (T, 1, D)."""
    future = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).triu(1)
    weights = (q[0] @ k[0].T * scale).masked_fill(future, -torch.inf).softmax(-1)
    return (weights @ v[0])[:, None]


def page_features(name: str, num_tokens: int = 6) -> torch.Tensor:
    """Features of the page that ``driving.prompt_of`` calls ``name``: the same each time, others for another name."""
    random = torch.Generator().manual_seed(int.from_bytes(name.encode(), "little"))
    return torch.randn(num_tokens, FakeTextModel.hidden_size, generator=random, dtype=FakeTextModel.dtype)
