"""What a model family brings: one adapter behind these protocols, and a registry by ``model_type``.

Nothing outside an adapter knows which family runs. Neither this module nor making an adapter imports torch: only
loading does, so that the processes that load nothing can ask an adapter too.

Shapes: T tokens of all sequences of a step, H hidden size, V vocabulary, N patches of a batch of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.patches import GridTHW
from glyph_core.model.shape import AnyShape
from glyph_core.model.shards import Keeps, Part
from glyph_core.types import PagePlacement, PagePlan, Prompt

if TYPE_CHECKING:
    import numpy as np
    import torch

    from glyph_core.model.attention import PagedAttention

ADAPTERS = {
    "glm4v": "glyph_core.model.glm4v:Glm4vFamily",
    "llava": "glyph_core.model.llava:LlavaFamily",
    "llava_next": "glyph_core.model.llava_next:LlavaNextFamily",
    "qwen2_5_vl": "glyph_core.model.qwen2_5_vl:Qwen25VLFamily",
    "qwen3_vl": "glyph_core.model.qwen3_vl:Qwen3VLFamily",
}


class PageGeometry(Protocol):
    """From a page's size to its patches, and to what it costs in visual tokens."""

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        """The patches of a page of this size, after the family's resize: frames or tiles, rows and columns."""
        ...

    def layout(self, width_px: int, height_px: int) -> tuple[int, ...]:
        """The grid, and what else the family's vision tower asks of a page."""
        ...

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        """Placeholder tokens of a page with this grid."""
        ...

    def patches(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (height, width) or (height, width, 3) → the page's rows of pixel_values, float32."""
        ...


class TextModel(Protocol):
    """The language model's half of a checkpoint. Its parameters need no gradient."""

    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_size: int
    feature_size: int  # of a page's features: the hidden size, or several times that where layers get some of their own
    vocab_size: int
    dtype: torch.dtype
    device: torch.device
    is_static: bool  # its forward never waits for the device nor looks at a value there: a CUDA graph can hold it

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """(T,) int64 → (T, H)."""
        ...

    def positions(self, prompt: Prompt) -> tuple[torch.Tensor, int]:
        """Rotary positions of the prompt, (3, T) int64 on the host, and a delta.

        The token at index ``i >= T`` of the sequence stands at ``i + delta`` on all three axes.
        """
        ...

    def forward(self, inputs_embeds: torch.Tensor, positions: torch.Tensor, attention: PagedAttention) -> torch.Tensor:
        """(T, H) and (3, T) → last hidden states (T, H), normalised, ready for :meth:`logits`.

        ``inputs_embeds`` may be as wide as features are: beside the embeddings then stands what the first layers add
        to their outputs, zero for tokens of text.
        """
        ...

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(n, H) → (n, V), of the model's dtype or wider."""
        ...


class VisionModel(Protocol):
    """The vision tower and projector. Its parameters need no gradient."""

    dtype: torch.dtype
    device: torch.device

    def encode(self, patches: torch.Tensor, grid_thw: torch.Tensor) -> list[torch.Tensor]:
        """What :meth:`Family.preprocess` gives → one (num_visual_tokens, feature size) a page, on the device."""
        ...


class Family(Protocol):
    """A checkpoint as its family reads it. Making one reads small files only."""

    checkpoint: Checkpoint
    geometry: PageGeometry
    placeholder_token_id: int  # stands in a prompt where a visual token's features go

    @property
    def why_not_fused(self) -> str | None:
        """Why its language model runs on transformers' modules and not on our fused parts, which are faster, replay
        decode steps and have FP8 weights; None where it runs on them."""
        ...

    def shape(self) -> AnyShape:
        """What the model weighs, and holds at once. Raises ModelError for what config.json lacks."""
        ...

    def keeps(self, part: Part) -> Keeps:
        """Which weights of the checkpoint's files are those of a part."""
        ...

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        """The patches of a page of this size, after the family's resize."""
        ...

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        """Placeholder tokens of a page with this grid."""
        ...

    def preprocess(self, pages: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pages' pixels, uint8 (height, width) or (height, width, 3) → patches or tiles of all pages on the host, N in
        the first dimension and in the family's own form, and their layouts (pages, 3 or more) int64, of which the first
        three numbers are grid_thw."""
        ...

    def load_text(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> TextModel:
        """``weights`` and ``kernels`` as in :class:`glyph_core.config.ModelConfig`. Raises ModelError naming a weight
        that the checkpoint lacks, and for FP8 on a device that it doesn't run on."""
        ...

    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel:
        """As :meth:`load_text`."""
        ...


def family_of(checkpoint: Checkpoint) -> Family:
    """The adapter for ``checkpoint``; raises ModelError for a family that we don't know."""
    _check_known(checkpoint)
    module, _, name = ADAPTERS[checkpoint.family].partition(":")
    return cast("Family", getattr(import_module(module), name)(checkpoint))


def geometry_of(checkpoint: Checkpoint) -> PageGeometry:
    """What a page costs in visual tokens. Raises ModelError for a family that we don't know."""
    return family_of(checkpoint).geometry


def _check_known(checkpoint: Checkpoint) -> None:
    if checkpoint.family not in ADAPTERS:
        raise ModelError(
            f"{checkpoint.path} is of the model family {checkpoint.family!r}; we can run: {', '.join(ADAPTERS)}"
        )


def place_pages(family: Family, token_ids: Sequence[int], pages: Sequence[PagePlan]) -> Prompt:
    """Makes room for ``pages``: each placeholder token of ``token_ids``, in order, becomes as many as its page needs.

    ``token_ids`` is a chat template's output, which has one placeholder token a page. Raises ModelError where the
    numbers differ, which is the template's fault.
    """
    num_places = sum(token == family.placeholder_token_id for token in token_ids)
    if num_places != len(pages):
        raise ModelError(
            f"{family.checkpoint.path}: the chat template made places for {num_places} pages of {len(pages)}"
        )
    placed: list[int] = []
    placements: list[PagePlacement] = []
    remaining = iter(pages)
    for token in token_ids:
        if token != family.placeholder_token_id:
            placed.append(token)
            continue
        page = next(remaining)
        grid_thw = family.grid_thw(page.width_px, page.height_px)
        num_tokens = family.num_visual_tokens(grid_thw)
        placements.append(PagePlacement(page=page, start=len(placed), num_tokens=num_tokens, grid_thw=grid_thw))
        placed.extend([token] * num_tokens)
    return Prompt(token_ids=tuple(placed), pages=tuple(placements))
