"""Which tokens an answer may go on with: a bit for each, made on the host, put to use on the device.

Shapes: n sequences of a step, m of them with a mask, V vocabulary, W = ⌈V / 32⌉ words of 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from glyph_core.engine.transfer import to_device

WORD_BITS = 32


class TokenMask(Protocol):
    """What one answer may say. Belongs to one sequence, and goes on with each of its tokens."""

    def fill(self, bits: np.ndarray) -> None:
        """Sets bit i of ``bits`` (W,) int32 where token i may come next, and no other. At least one always may."""
        ...

    def advance(self, token_id: int) -> None:
        """``token_id`` was drawn."""
        ...

    @property
    def has_failed(self) -> bool:
        """It gave up and only lets the answer end, which is then no whole one."""
        ...


def masked(logits: torch.Tensor, masks: Sequence[TokenMask | None]) -> torch.Tensor:
    """``logits`` (n, V) float32 with -inf for what each row's mask forbids; the same tensor where no row has one."""
    rows = [row for row, mask in enumerate(masks) if mask is not None]
    if not rows:
        return logits
    vocab_size = logits.shape[-1]
    bits = np.zeros((len(rows), -(-vocab_size // WORD_BITS)), dtype=np.int32)
    for at, row in enumerate(rows):
        mask = masks[row]
        assert mask is not None  # as chosen above
        mask.fill(bits[at])
    words = to_device(bits, logits.device)  # (m, W)
    shifts = torch.arange(WORD_BITS, dtype=torch.int32, device=logits.device)
    allowed = ((words[:, :, None] >> shifts) & 1).bool().flatten(1)[:, :vocab_size]  # (m, V)
    index = to_device(np.array(rows), logits.device)
    result = logits.clone()
    result[index] = result[index].masked_fill(~allowed, -torch.inf)
    return result
