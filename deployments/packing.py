"""Tensors to numpy arrays and back, for the way through shared memory."""

from __future__ import annotations

import torch

from deployments.protocol import EncodedPage
from glyph_core.errors import StageError
from glyph_core.types import PageFeatures

# numpy has no bfloat16: its bits travel as uint16.
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def pack(page: PageFeatures, *, render_s: float, encode_s: float) -> EncodedPage:
    """``features`` must be on the host and contiguous; its memory is shared, not copied."""
    features = page.features.detach()
    dtype = str(features.dtype).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise StageError(f"features of dtype {dtype} cannot travel; those that can: {', '.join(_DTYPES)}")
    bits = features.view(torch.uint16) if features.dtype is torch.bfloat16 else features
    return EncodedPage(page.plan, page.grid_thw, bits.numpy(), dtype, render_s, encode_s, page.error)


def unpack(page: EncodedPage) -> PageFeatures:
    """A copy: the received array is a view of the object store, which has to be free again before the page is used."""
    features = torch.from_numpy(page.values.copy()).view(_DTYPES[page.dtype])
    return PageFeatures(page.plan, page.grid_thw, features, page.error)
