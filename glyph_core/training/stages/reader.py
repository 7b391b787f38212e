"""A whole model of any family, as it learns: its own tower and language model, with the features in their places.

Shapes: B examples, T tokens of the longest, H hidden size, M visual tokens of all pages.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from glyph_core.model.rope_index import rope_index, sequential_index
from glyph_core.model.transformers_family import TransformersFamily
from glyph_core.training.stages.config import Part
from glyph_core.training.stages.examples import IGNORED, ExampleBatch


class FamilyReader(nn.Module):
    def __init__(self, family: TransformersFamily, dtype: torch.dtype, device: torch.device) -> None:
        """Loads the whole checkpoint. Raises ModelError."""
        super().__init__()
        self.family, self.device = family, device
        self.model: Any = family.load_whole(dtype, device)
        self._vision = family.vision_of(self.model, dtype, device)

    def parameters_of(self, part: Part) -> dict[str, nn.Parameter]:
        """By their names in the model."""
        return {name: weight for name, weight in self.model.named_parameters() if self._part_of(name) == part}

    def loss(self, batch: ExampleBatch) -> torch.Tensor:
        """The sum over the answers' tokens of their negative log-likelihood, in nats."""
        ids, labels = batch.token_ids.to(self.device), batch.labels.to(self.device)
        embeds, extra = self._embed(batch, ids)
        output = self.model.model.language_model(
            inputs_embeds=embeds,
            attention_mask=batch.mask.to(self.device),
            position_ids=self._positions(batch),
            use_cache=False,
            **extra,
        )
        hidden, following = output.last_hidden_state[:, :-1], labels[:, 1:]
        learnt = following != IGNORED
        logits = self.model.lm_head(hidden[learnt])
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(wide, following[learnt], reduction="sum")

    def _embed(self, batch: ExampleBatch, ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """(B, T, H), and what the first layers get of their own, in transformers' words."""
        embeds = self.model.get_input_embeddings()(ids)
        pages = [page for example in batch.examples for page in example.pages]
        if not pages:
            return embeds, {}
        features = torch.cat(self._vision.encode(*self.family.preprocess(pages)))  # (M, feature size)
        is_visual = (ids == self.family.placeholder_token_id) & (batch.labels.to(self.device) == IGNORED)
        first, *deepstack = torch.split(features, embeds.shape[2], dim=1)
        embeds = embeds.masked_scatter(is_visual[..., None], first.to(embeds.dtype))
        extra = {"visual_pos_masks": is_visual, "deepstack_visual_embeds": deepstack} if deepstack else {}
        return embeds, extra

    def _positions(self, batch: ExampleBatch) -> torch.Tensor | None:
        """(3, B, T), or None where transformers counts itself."""
        if not self.family.text_style.has_axes:
            return None
        rows = []
        for example in batch.examples:
            positions, delta = (
                rope_index(self.model, example.prompt) if example.prompt.pages else sequential_index(example.prompt)
            )
            after = torch.arange(positions.shape[1], batch.token_ids.shape[1]) + delta
            rows.append(torch.cat([positions, after.expand(3, -1)], dim=1))
        return torch.stack(rows, dim=1).to(self.device)

    def _part_of(self, name: str) -> Part:
        if name.startswith(self.family.projector_parts):
            return "projector"
        return "vision" if name.startswith(self.family.vision_parts) else "text"
