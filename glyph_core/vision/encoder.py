"""Page → PageFeatures: preprocessing, the vision tower, and the features back on the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from glyph_core.model.family import Family
from glyph_core.types import Page, PageFeatures


class VisionEncoder:
    """Encodes pages of any sizes in one forward of the vision tower."""

    def __init__(
        self,
        family: Family,
        dtype: torch.dtype,
        device: torch.device,
        *,
        weights: str = "auto",
        kernels: str = "auto",
    ) -> None:
        """Loads the vision tower and nothing else of the checkpoint. Raises ModelError; ``weights`` and ``kernels``
        as in :class:`glyph_core.config.ModelConfig`."""
        self._family = family
        self._model = family.load_vision(dtype, device, weights=weights, kernels=kernels)

    def encode(self, pages: Sequence[Page]) -> list[PageFeatures]:
        """Features of ``pages``, in their order; how pages are grouped changes nothing but rounding.

        Each page's features are (num_visual_tokens, feature size) of the model's dtype, in memory of their own.
        """
        if not pages:
            return []
        pixel_values, grid_thw = self._family.preprocess([page.pixels for page in pages])
        encoded = self._model.encode(pixel_values, grid_thw)
        return [
            PageFeatures(plan=page.plan, grid_thw=(t, h, w), features=features.to("cpu", copy=True), error=page.error)
            for page, (t, h, w, *_), features in zip(pages, grid_thw.tolist(), encoded, strict=True)
        ]
