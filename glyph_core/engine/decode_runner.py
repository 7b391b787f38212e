"""Steps in which every sequence decodes, over memory that stays where it is, so that they can be replayed.

A step's sequences are filled up to the next of a few sizes; padding has no slot and no context, and changes nothing.

Shapes: n sequences of a step, B of the size that they are filled up to, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from glyph_core.engine.attention.protocol import PrefixGroup, StaticAttentionBackend
from glyph_core.engine.replay import Replayer
from glyph_core.engine.sampler import greedy
from glyph_core.engine.step_inputs import NO_SLOT, NUM_INPUTS, POSITIONS, SLOTS, TOKEN_IDS
from glyph_core.engine.transfer import copy_to
from glyph_core.model.family import TextModel

StepResult = tuple[torch.Tensor, torch.Tensor]
"""Logits (B, V), and what :func:`glyph_core.engine.sampler.greedy` makes of them."""


def batch_sizes(max_num_seqs: int) -> list[int]:
    """1, 2, 4, 8, then every eighth, up to the first that holds ``max_num_seqs``."""
    small = [size for size in (1, 2, 4) if size < max_num_seqs]
    return small + list(range(8, max_num_seqs + 8, 8)) if max_num_seqs > 4 else [*small, max_num_seqs]


class DecodeRunner:
    def __init__(
        self,
        model: TextModel,
        backend: StaticAttentionBackend,
        block_tables: torch.Tensor,
        max_num_seqs: int,
        replayer: Replayer,
    ) -> None:
        self._model, self._backend, self._tables = model, backend, block_tables
        self._sizes = batch_sizes(max_num_seqs)
        self._replayer = replayer
        self._batches: dict[int, _Batch] = {}

    def run(
        self, inputs: np.ndarray, table_rows: Sequence[int], context_lens: Sequence[int], groups: Sequence[PrefixGroup]
    ) -> StepResult:
        """``inputs`` (5, n) as :func:`glyph_core.engine.step_inputs.step_inputs` makes them. The result's first n rows
        are the sequences'; it lies where the next step's will."""
        size = next(size for size in self._sizes if size >= len(table_rows))
        if size not in self._batches:
            self._batches[size] = _Batch(self._model, self._backend, self._tables, size)
        batch = self._batches[size]
        is_shared = batch.load(inputs, table_rows, context_lens, groups)
        return self._replayer.run((size, is_shared), partial(batch.compute, is_shared=is_shared))


class _Batch:
    """The memory of steps of one size."""

    def __init__(
        self, model: TextModel, backend: StaticAttentionBackend, block_tables: torch.Tensor, size: int
    ) -> None:
        self._model, self._size = model, size
        self._inputs = torch.zeros(NUM_INPUTS, size, dtype=torch.int64, device=model.device)
        self._attention = backend.static_decode(size, self._inputs[SLOTS], block_tables)

    def load(
        self, inputs: np.ndarray, table_rows: Sequence[int], context_lens: Sequence[int], groups: Sequence[PrefixGroup]
    ) -> bool:
        padded = np.zeros((NUM_INPUTS, self._size), dtype=np.int64)
        padded[SLOTS] = NO_SLOT
        padded[:, : inputs.shape[1]] = inputs
        copy_to(self._inputs, padded)
        return self._attention.load(table_rows, context_lens, groups)

    def compute(self, *, is_shared: bool) -> StepResult:
        embeds = self._model.embed(self._inputs[TOKEN_IDS])
        hidden = self._model.forward(embeds, self._inputs[POSITIONS], self._attention.attention(is_shared=is_shared))
        logits = self._model.logits(hidden)
        return logits, greedy(logits)
