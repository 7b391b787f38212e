"""What the adapters of all families have in common. Imports torch only to load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from glyph_core.errors import ModelError
from glyph_core.model.checkpoint import Checkpoint, read_json
from glyph_core.model.patches import GridTHW, PatchGeometry, read_geometry
from glyph_core.model.shape import AnyShape, ModelShape, TowerShape, text_shape
from glyph_core.model.shards import PARTS, Keeps, Part, fetch_shards
from glyph_core.model.text_style import TextStyle, why_not_fused

if TYPE_CHECKING:
    import torch

    from glyph_core.model.family import PageGeometry, TextModel, VisionModel
    from glyph_core.model.weights import Weights

TEXT_PARTS = ("model.language_model", "lm_head")


class TransformersFamily(ABC):
    """A :class:`glyph_core.model.family.Family`; an adapter says the rest."""

    architecture: ClassVar[str]  # transformers' class
    vision_parts: ClassVar[tuple[str, ...]]  # its children that are not the language model's
    projector_parts: ClassVar[tuple[str, ...]]  # of the vision half, what stands between tower and language model
    vision_names: ClassVar[tuple[str, ...]]  # one of these is in the names of its weights, in files of any age
    shared_names: ClassVar[tuple[str, ...]] = ()  # of weights that both halves take
    image_token_id: ClassVar[int]  # where config.json does not name it
    text_style: TextStyle  # how the language model builds its layers
    text_defaults: ClassVar[Mapping[str, Any]] = {}  # what config.json may leave out: transformers' defaults
    vision_defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Raises ModelError for small files that are missing or damaged."""
        self.checkpoint = checkpoint
        config = read_json(checkpoint.path / "config.json", required=True)
        # Qwen's older files have no text_config: its keys stand among the others.
        text, vision = config.get("text_config", config), config.get("vision_config", {})
        self.text_config, self.vision_config = {**self.text_defaults, **text}, {**self.vision_defaults, **vision}
        self.config = config | {"text_config": self.text_config, "vision_config": self.vision_config}
        ids = (self.config.get(key) for key in ("image_token_id", "image_token_index"))
        self.placeholder_token_id = next((int(i) for i in ids if i is not None), self.image_token_id)
        self.geometry = self.read_geometry()

    @abstractmethod
    def read_geometry(self) -> PageGeometry: ...

    @abstractmethod
    def load_vision(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> VisionModel: ...

    @abstractmethod
    def vision_of(self, model: Any, dtype: torch.dtype, device: torch.device) -> VisionModel:
        """The vision half of a transformers model that has it."""

    def load_whole(self, dtype: torch.dtype, device: torch.device) -> Any:
        """The transformers model with both halves, for training. Raises ModelError."""
        for part in PARTS:
            self.fetch(part)
        import transformers

        from glyph_core.model.loading import load_part

        base = getattr(transformers, self.architecture)
        return load_part(base, self.checkpoint.path, dropped=(), dtype=dtype, device=device, attention="sdpa")

    @abstractmethod
    def vision_shape(self) -> TowerShape:
        """Raises KeyError for what the configuration lacks."""

    def shape(self) -> AnyShape:
        """What the model weighs and holds. Raises ModelError for what the configuration lacks."""
        tied = bool(self.config.get("tie_word_embeddings", self.text_config.get("tie_word_embeddings", False)))
        try:
            text = text_shape(self.text_config, self.text_style, tied=tied, num_deepstack=self.num_deepstack)
            return ModelShape(text, self.vision_shape(), runs_fp8=self.why_not_fused is None)
        except KeyError as error:
            raise ModelError(f"{self.checkpoint.path / 'config.json'} lacks the key {error}") from error

    @property
    def num_deepstack(self) -> int:
        """The language model's first layers that get features of a page of their own."""
        return 0

    @property
    def why_not_fused(self) -> str | None:
        """Why the language model does not run on our fused parts, which are faster; None where it does."""
        return why_not_fused(self.text_config, self.text_style)

    def grid_thw(self, width_px: int, height_px: int) -> GridTHW:
        return self.geometry.grid_thw(width_px, height_px)

    def num_visual_tokens(self, grid_thw: GridTHW) -> int:
        return self.geometry.num_visual_tokens(grid_thw)

    def preprocess(self, pages: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 pages → pixel_values (patches or tiles of all pages, …) float32 and layouts (pages, 3 or more)."""
        import torch

        pixel_values = np.concatenate([self.geometry.patches(page) for page in pages])
        layouts = [self.geometry.layout(width_px=page.shape[1], height_px=page.shape[0]) for page in pages]
        return torch.from_numpy(pixel_values), torch.tensor(layouts)

    def load_text(
        self, dtype: torch.dtype, device: torch.device, *, weights: str = "auto", kernels: str = "auto"
    ) -> TextModel:
        from glyph_core.model.attention import ATTENTION_NAME
        from glyph_core.model.fused_text import FusedTextModel
        from glyph_core.model.layer_ops import pick_ops
        from glyph_core.model.loading import is_fused, load_config
        from glyph_core.model.transformers_text import TransformersTextModel

        if is_fused(weights=weights, kernels=kernels, why_not=self.why_not_fused):
            config, source = load_config(self.checkpoint.path), self.read_weights("text", dtype, device)
            return FusedTextModel(
                config, source, pick_ops(device), self.text_style,
                num_deepstack=self.num_deepstack, is_fp8=weights == "fp8",
            )  # fmt: skip
        model = self.load_part("text", dtype, device, ATTENTION_NAME)
        return TransformersTextModel(model, has_axes=self.text_style.has_axes, num_deepstack=self.num_deepstack)

    def read_weights(self, part: Part, dtype: torch.dtype, device: torch.device) -> Weights:
        """Those of ``part``, one at a time, for fused parts."""
        from glyph_core.model.weights import CheckpointWeights, RandomWeights

        if self.checkpoint.is_random:
            return RandomWeights(dtype, device)
        self.fetch(part)
        return CheckpointWeights(self.checkpoint.path, dtype, device, part)

    def load_part(self, part: Part, dtype: torch.dtype, device: torch.device, attention: str) -> Any:
        """The transformers model with one of its halves. Raises ModelError naming a missing weight."""
        import transformers

        from glyph_core.model.loading import load_part, make_random_part

        base, path = getattr(transformers, self.architecture), self.checkpoint.path
        dropped = self.vision_parts if part == "text" else TEXT_PARTS
        if self.checkpoint.is_random:
            return make_random_part(base, path, dropped=dropped, dtype=dtype, device=device, attention=attention)
        self.fetch(part)
        keeps = self.keeps(part)
        return load_part(base, path, dropped=dropped, dtype=dtype, device=device, attention=attention, keeps=keeps)

    def keeps(self, part: Part) -> Keeps:
        """Which weights of the files are those of ``part``."""

        def keeps(name: str) -> bool:
            is_vision = any(piece in name for piece in self.vision_names)
            return is_vision == (part == "vision") or any(piece in name for piece in self.shared_names)

        return keeps

    def fetch(self, part: Part) -> None:
        """Downloads the weights of ``part`` where the checkpoint comes from the hub. Raises ModelError."""
        fetch_shards(self.checkpoint, self.keeps(part))


class PatchFamily(TransformersFamily):
    """Whose tower takes patches of pages of any size, GLM's and Qwen's."""

    geometry: PatchGeometry

    def read_geometry(self) -> PatchGeometry:
        return read_geometry(self.checkpoint.path)

    def preprocess(self, pages: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 pages → tiles (N, channels, patch_size²) uint8, one channel where all pages are gray, and grid_thw
        (pages, 3) int64. The device makes levels of them: as float32 they would be 24 times as many bytes."""
        import torch

        tiles = [self.geometry.tiles(page) for page in pages]
        num_channels = max(page.shape[1] for page in tiles)
        tiles = [np.broadcast_to(page, (page.shape[0], num_channels, page.shape[2])) for page in tiles]
        grids = [self.grid_thw(width_px=page.shape[1], height_px=page.shape[0]) for page in pages]
        return torch.from_numpy(np.concatenate(tiles)), torch.tensor(grids)

    def vision_of(self, model: Any, dtype: torch.dtype, device: torch.device) -> VisionModel:
        from glyph_core.model.pixel_levels import PixelLevels
        from glyph_core.model.transformers_vision import PatchVisionModel

        return PatchVisionModel(model, PixelLevels(self.geometry, dtype, device))

    def load_patch_vision(self, dtype: torch.dtype, device: torch.device) -> VisionModel:
        from glyph_core.model.whole_kernels import replace_whole_kernels

        model = self.load_part("vision", dtype, device, "sdpa")
        replace_whole_kernels(model)
        return self.vision_of(model, dtype, device)
