"""Page → PageFeatures: preprocessing, the vision tower, and the features back on the host."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from glyph_core.model.family import Family
from glyph_core.model.shape import MAX_PAGE_PATCHES, USUAL_PAGE_PATCHES
from glyph_core.types import Page, PageFeatures, PagePlan

MAX_FORWARD_PX, USUAL_PAGE_PX = MAX_PAGE_PATCHES * 14 * 14, USUAL_PAGE_PATCHES * 14 * 14


class VisionEncoder:
    """Encodes pages of any sizes together, in as few forwards of the vision tower as its memory allows."""

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
        return [features for batch in _forwards(pages) for features in self._encode(batch)]

    def rehearse(self, num_pages: int) -> None:
        """Encodes the largest page that is drawn, and ``num_pages`` of usual size together: the tower takes no more of
        the device's memory later."""
        for num, size in ((1, _sides(MAX_FORWARD_PX)), (num_pages, _sides(USUAL_PAGE_PX))):
            self.encode([_coloured_page(*size)] * num)

    def _encode(self, pages: Sequence[Page]) -> list[PageFeatures]:
        """In one forward."""
        patches, grid_thw = self._family.preprocess([page.pixels for page in pages])
        encoded = _on_host(self._model.encode(patches, grid_thw))
        return [
            PageFeatures(plan=page.plan, grid_thw=(t, h, w), features=features, error=page.error)
            for page, (t, h, w, *_), features in zip(pages, grid_thw.tolist(), encoded, strict=True)
        ]


def _forwards(pages: Sequence[Page]) -> Iterator[list[Page]]:
    """Runs of pages that together are no larger than the largest page: more would take more memory than is planned, and
    be no faster."""
    batch: list[Page] = []
    area = 0
    for page in pages:
        height, width = page.pixels.shape[:2]
        if batch and area + height * width > MAX_FORWARD_PX:
            yield batch
            batch, area = [], 0
        batch.append(page)
        area += height * width
    if batch:
        yield batch


def _sides(num_px: int) -> tuple[int, int]:
    """Width and height of a page of paper's proportions."""
    width = math.isqrt(round(num_px / math.sqrt(2)))
    return width, num_px // width


def _coloured_page(width: int, height: int) -> Page:
    return Page(PagePlan(0, width, height, "rehearsal"), np.zeros((height, width, 3), dtype=np.uint8))


def _on_host(pages: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Copies that share no memory. From CUDA into page-locked memory, which PyTorch keeps and uses again: all copies
    are under way at once, and the way back to the device is as fast."""
    if not pages[0].is_cuda:
        return [page.to("cpu", copy=True) for page in pages]
    copies = [torch.empty(page.shape, dtype=page.dtype, pin_memory=True) for page in pages]
    for copy, page in zip(copies, pages, strict=True):
        copy.copy_(page, non_blocking=True)
    torch.cuda.synchronize(pages[0].device)
    return copies
