"""What would keep the first requests waiting, done before they come: compiling kernels and recording decode steps."""

from __future__ import annotations

import logging
import time

import numpy as np
import torch

from glyph_core.engine.attention.protocol import AttentionBackend, AttentionBatch
from glyph_core.engine.decode_runner import DecodeRunner
from glyph_core.engine.sampler import greedy
from glyph_core.engine.step_inputs import NO_SLOT, NUM_INPUTS, POSITIONS, SLOTS, TOKEN_IDS
from glyph_core.engine.transfer import to_device
from glyph_core.model.family import TextModel

logger = logging.getLogger(__name__)


class WarmUp:
    """Steps of nothing but padding. Run it before any other step: nothing of it is kept."""

    def __init__(self, model: TextModel, backend: AttentionBackend, tables: torch.Tensor, decode: DecodeRunner) -> None:
        """``tables`` (rows, max blocks) int32 are the block tables on the device."""
        self._model, self._backend, self._tables, self._decode = model, backend, tables, decode

    def run(self, limit_s: float, *, num_tokens: int, shares_prefix: bool) -> None:
        """Goes on for up to about ``limit_s``. ``num_tokens`` is a prefill step's; twice as many fit a sequence."""
        started_at = time.monotonic()
        for context_len in (num_tokens, 2 * num_tokens):  # a prompt's first step, and a later one
            self._prefill(num_tokens, context_len)
        num_done, num = self._decode.warm_up(started_at + limit_s, shares_prefix=shares_prefix)
        rest = "" if num_done == num else "; the others follow when they first come (engine.warm_up_s)"
        logger.info("%d of %d decode steps recorded after %.1f s%s", num_done, num, time.monotonic() - started_at, rest)

    def _prefill(self, num_tokens: int, context_len: int) -> None:
        """The last ``num_tokens`` of a context, none of which has a slot."""
        inputs = np.zeros((NUM_INPUTS, num_tokens), dtype=np.int64)
        inputs[SLOTS] = NO_SLOT
        on_device = to_device(inputs, self._model.device)
        batch = AttentionBatch(on_device[SLOTS], self._tables, (0,), (num_tokens,), (context_len,))
        embeds = self._model.embed(on_device[TOKEN_IDS])
        hidden = self._model.forward(embeds, on_device[POSITIONS], self._backend.plan(batch))
        greedy(self._model.logits(hidden[-1:]))
