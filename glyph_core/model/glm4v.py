"""Family ``glm4v``: GLM-4.1V and what grew from it, zai-org/Glyph and glyph-mini (``Glm4vForConditionalGeneration``).

Shapes: T tokens of all sequences of a step, H hidden size, V vocabulary, N patches of a batch of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import Glm4vForConditionalGeneration

from glyph_core.errors import ConfigError
from glyph_core.model.attention import ATTENTION_NAME, PagedAttention
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.family import TextModel, VisionModel
from glyph_core.model.glm4v_fused import FusedGlm4vTextModel
from glyph_core.model.glm4v_vision import FusedGlm4vVisionModel
from glyph_core.model.layer_ops import pick_ops
from glyph_core.model.loading import is_fused, load_config, load_part
from glyph_core.model.patches import GridTHW, read_geometry
from glyph_core.model.rope_index import rope_index
from glyph_core.model.weights import CheckpointWeights, Part, RandomWeights, Weights
from glyph_core.model.whole_kernels import replace_whole_kernels
from glyph_core.types import Prompt

VISION_PARTS = ("model.visual",)
TEXT_PARTS = ("model.language_model", "lm_head")


class Glm4vTextModel:
    """The language model of a glm4v checkpoint; a :class:`glyph_core.model.family.TextModel`."""

    def __init__(self, model: Any) -> None:
        config = model.config.text_config
        self._model = model
        self.num_layers: int = config.num_hidden_layers
        self.num_heads: int = config.num_attention_heads
        self.num_kv_heads: int = config.num_key_value_heads
        self.head_dim: int = config.hidden_size // config.num_attention_heads
        self.hidden_size: int = config.hidden_size
        self.vocab_size: int = config.vocab_size
        self.is_static = False  # transformers makes masks on the way
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(T,) int64 → (T, H)."""
        embedded: torch.Tensor = self._model.model.language_model.embed_tokens(token_ids)
        return embedded

    def positions(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        """The model's own ``get_rope_index``: (3, T) int64 on the host, and what later tokens add to their index."""
        return rope_index(self._model, prompt)

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        """(T, H) and (3, T) → last hidden states (T, H)."""
        output = self._model.model.language_model(
            inputs_embeds=inputs_embeds[None],
            position_ids=positions[:, None],
            use_cache=False,
            paged_attention=attention,  # reaches attention._attend through transformers' keyword arguments
        )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, H) → (n, V) float32, as ``generate`` samples from them."""
        logits: torch.Tensor = self._model.lm_head(hidden)
        return logits.float()


class Glm4vVisionModel:
    """The vision tower and projector of a glm4v checkpoint; a :class:`glyph_core.model.family.VisionModel`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.hidden_size: int = model.config.vision_config.out_hidden_size
        self.dtype: torch.dtype = model.dtype
        self.device: torch.device = model.device

    def encode(self, pixel_values: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        """(N, patch dim) float32 and (pages, 3) int64 → one (num_visual_tokens, H) a page."""
        output = self._model.model.get_image_features(
            pixel_values.to(self.device, self.dtype), grid_thw.to(self.device), return_dict=True
        )
        return list(output.pooler_output)


class Glm4vFamily:
    """The adapter; a :class:`glyph_core.model.family.Family`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.placeholder_token_id = int(load_config(checkpoint.path).image_token_id)
        self._geometry = read_geometry(checkpoint.path)

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        return self._geometry.grid_thw(width_px, height_px)

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        return self._geometry.num_visual_tokens(grid_thw)

    def preprocess(self, pages: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 pages → pixel_values (N, 3 * 2 * 14 * 14) float32 and grid_thw (pages, 3) int64."""
        patches = np.concatenate([self._geometry.patches(page) for page in pages])
        grids = [self.grid_thw(width_px=page.shape[1], height_px=page.shape[0]) for page in pages]
        return torch.from_numpy(patches), torch.tensor(grids)

    def load_text(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> TextModel:
        if self._is_fused(weights, kernels):
            config, source = load_config(self.checkpoint.path), self._weights("text", dtype, device)
            return FusedGlm4vTextModel(config, source, pick_ops(device), is_fp8=weights == "fp8")
        return Glm4vTextModel(self._load(VISION_PARTS, dtype, device, ATTENTION_NAME))

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        if self._is_fused(weights, kernels):
            config, source = load_config(self.checkpoint.path), self._weights("vision", dtype, device)
            return FusedGlm4vVisionModel(config, source, pick_ops(device), is_fp8=weights == "fp8")
        model = self._load(TEXT_PARTS, dtype, device, "sdpa")
        replace_whole_kernels(model)
        return Glm4vVisionModel(model)

    def _is_fused(self, weights: str, kernels: str) -> bool:
        if self.checkpoint.is_random and kernels == "transformers":
            raise ConfigError("random weights don't run on transformers' modules; set model.kernels to auto")
        return is_fused(weights=weights, kernels=kernels)

    def _weights(self, part: Part, dtype: torch.dtype, device: torch.device) -> Weights:
        if self.checkpoint.is_random:
            return RandomWeights(dtype, device)
        return CheckpointWeights(self.checkpoint.path, dtype, device, part)

    def _load(self, dropped: Sequence[str], dtype: torch.dtype, device: torch.device, attention: str) -> Any:
        return load_part(
            Glm4vForConditionalGeneration,
            self.checkpoint.path,
            dropped=dropped,
            dtype=dtype,
            device=device,
            attention=attention,
        )
