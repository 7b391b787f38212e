"""Attention within each page of a batch of patches that lie end to end.

FlashAttention over sequences of several lengths where it runs, CUDA in half precision; elsewhere PyTorch's SDPA, pages
of one length at once.

Shapes: N patches of all pages, P of them in one page, A heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, groupby

import torch
from torch.nn.functional import scaled_dot_product_attention

from glyph_core.model.varlen import varlen_function

AttendPages = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(N, A, D) three times → (N, A, D)"""


class PageAttention:
    def __init__(self, device: torch.device, dtype: torch.dtype, scale: float) -> None:
        self._device, self._scale = device, scale
        self._is_varlen = device.type == "cuda" and dtype in (torch.float16, torch.bfloat16)

    def attention(self, lengths: Sequence[int]) -> AttendPages:
        """Attention for a batch of pages of ``lengths`` patches, the same in every layer."""
        return self._varlen(lengths) if self._is_varlen else self._sdpa(lengths)

    def _varlen(self, lengths: Sequence[int]) -> AttendPages:
        varlen_attn, options = varlen_function()
        bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(self._device)
        longest = max(lengths)

        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            attended: torch.Tensor = varlen_attn(
                q, k, v, bounds, bounds, longest, longest, scale=self._scale, **options
            )
            return attended

        return attend

    def _sdpa(self, lengths: Sequence[int]) -> AttendPages:
        runs = [(length, len(list(run))) for length, run in groupby(lengths)]

        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            attended, start = torch.empty_like(q), 0
            for length, num_pages in runs:
                own = slice(start, start + length * num_pages)
                one, two, three = (x[own].view(num_pages, length, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
                out = scaled_dot_product_attention(one, two, three, scale=self._scale)
                attended[own] = out.transpose(1, 2).flatten(0, 1)
                start = own.stop
            return attended

        return attend
