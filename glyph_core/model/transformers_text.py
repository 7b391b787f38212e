"""A checkpoint's language model as transformers has it, behind our paged attention: of any family.

Shapes: T tokens of all sequences of a step, H hidden size, V vocabulary, D deepstack layers.
"""

from __future__ import annotations

from typing import Any

import torch

from glyph_core.model.attention import PagedAttention
from glyph_core.model.rope_index import rope_index, sequential_index
from glyph_core.model.text_sizes import TextSizes
from glyph_core.types import Prompt


class TransformersTextModel(TextSizes):
    """A :class:`glyph_core.model.family.TextModel` around a ``…ForConditionalGeneration`` that was loaded without its
    vision tower, with the attention :data:`glyph_core.model.attention.ATTENTION_NAME`."""

    def __init__(self, model: Any, *, has_axes: bool, num_deepstack: int = 0) -> None:
        """``has_axes``: rotary positions have three axes (mrope). ``num_deepstack``: the first layers that get features
        of a page of their own. Raises ModelError for a model whose attention ours is not."""
        super().__init__(model.config.text_config, num_deepstack)
        self._model, self._has_axes, self._num_deepstack = model, has_axes, num_deepstack
        self.is_static = False  # transformers makes masks on the way
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(T,) int64 → (T, H)."""
        embedded: torch.Tensor = self._model.model.language_model.embed_tokens(token_ids)
        return embedded

    def positions(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        """(3, T) int64 on the host, and what later tokens add to their index."""
        return rope_index(self._model, prompt) if self._has_axes else sequential_index(prompt)

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        """(T, H), or (T, H × (1 + D)) where pages are among the tokens, and (3, T) → last hidden states (T, H)."""
        embeds, *deepstack = torch.split(inputs_embeds, self.hidden_size, dim=1)
        layers: dict[str, Any] = {}
        if deepstack:  # zeros at text tokens, so that all tokens can be said to be visual
            everywhere = torch.ones(1, len(embeds), dtype=torch.bool, device=embeds.device)
            layers = {"visual_pos_masks": everywhere, "deepstack_visual_embeds": deepstack}
        output = self._model.model.language_model(
            inputs_embeds=embeds[None],
            position_ids=positions[:, None] if self._has_axes else positions[:1],
            use_cache=False,
            paged_attention=attention,  # reaches attention._attend through transformers' keyword arguments
            **layers,
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, H) → (n, V) float32, as ``generate`` samples from them."""
        logits: torch.Tensor = self._model.lm_head(hidden)
        return logits.float()
