"""Steps in which every sequence decodes, over memory that stays where it is, so that they can be replayed.

A step's sequences are filled up to the next of a few sizes; padding has no slot and no context, and changes nothing.
A step may be launched before the host knows the tokens of the one before: they are on the device already.

Shapes: n sequences of a step, B of the size that they are filled up to, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from glyph_core.engine.attention.protocol import PrefixGroup, StaticAttentionBackend
from glyph_core.engine.replay import Replayer
from glyph_core.engine.sampler import greedy
from glyph_core.engine.step_inputs import NO_SLOT, NUM_INPUTS, POSITIONS, SLOTS, TOKEN_IDS
from glyph_core.engine.transfer import Fetch, copy_to, to_device
from glyph_core.model.family import TextModel

StepResult = tuple[torch.Tensor, torch.Tensor]
"""Logits (B, V), and what :func:`glyph_core.engine.sampler.greedy` makes of them."""


def batch_sizes(max_num_seqs: int) -> list[int]:
    """1, 2, 4, 8, then every eighth, up to the first that holds ``max_num_seqs``."""
    small = [size for size in (1, 2, 4) if size < max_num_seqs]
    return small + list(range(8, max_num_seqs + 8, 8)) if max_num_seqs > 4 else [*small, max_num_seqs]


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What a step of n sequences computes."""

    numbers: np.ndarray  # (5, n) as :mod:`glyph_core.engine.step_inputs` makes them
    table_rows: Sequence[int]
    context_lens: Sequence[int]
    groups: Sequence[PrefixGroup]


@dataclass(frozen=True, slots=True)
class LaunchedStep:
    """A step that the device has been given. ``logits`` (n, V) and ``likeliest`` (2, n) lie where the next step's
    will; ``fetched`` keeps the latter."""

    logits: torch.Tensor
    likeliest: torch.Tensor
    fetched: Fetch


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

    def warm_up(self, deadline: float, *, shares_prefix: bool) -> tuple[int, int]:
        """Runs a step of nothing but padding for every size, small ones first, with and without a shared prefix, so
        that none has to be recorded when it first comes; until :func:`time.monotonic` reaches ``deadline``. How many
        were run, of how many."""
        keys = [(size, is_shared) for size in self._sizes for is_shared in (False, shares_prefix and size > 1)]
        keys = list(dict.fromkeys(keys))
        nothing = StepInputs(np.zeros((NUM_INPUTS, 0), dtype=np.int64), (), (), ())
        for num_done, (size, is_shared) in enumerate(keys):
            if time.monotonic() >= deadline:
                return num_done, len(keys)
            batch = self._batch(size)
            batch.load(nothing)
            self._replayer.run((size, is_shared), partial(batch.compute, is_shared=is_shared))
        return len(keys), len(keys)

    def launch(self, inputs: StepInputs, tokens_of: tuple[LaunchedStep, Sequence[int]] | None = None) -> LaunchedStep:
        """Gives the device a step. ``tokens_of`` names the step whose likeliest tokens it computes, and for each of its
        sequences the place among that step's; None: the tokens are in ``inputs``."""
        num = len(inputs.table_rows)
        size = next(size for size in self._sizes if size >= num)
        batch = self._batch(size)
        is_shared = batch.load(inputs)
        if tokens_of is not None:
            batch.take_tokens(*tokens_of)
        logits, likeliest = self._replayer.run((size, is_shared), partial(batch.compute, is_shared=is_shared))
        return LaunchedStep(logits[:num], likeliest[:, :num], Fetch(likeliest[:, :num]))

    def _batch(self, size: int) -> _Batch:
        if size not in self._batches:
            self._batches[size] = _Batch(self._model, self._backend, self._tables, size)
        return self._batches[size]


class _Batch:
    """The memory of steps of one size."""

    def __init__(
        self, model: TextModel, backend: StaticAttentionBackend, block_tables: torch.Tensor, size: int
    ) -> None:
        self._model, self._size = model, size
        self._inputs = torch.zeros(NUM_INPUTS, size, dtype=torch.int64, device=model.device)
        self._attention = backend.static_decode(size, self._inputs[SLOTS], block_tables)

    def load(self, inputs: StepInputs) -> bool:
        padded = np.zeros((NUM_INPUTS, self._size), dtype=np.int64)
        padded[SLOTS] = NO_SLOT
        padded[:, : inputs.numbers.shape[1]] = inputs.numbers
        copy_to(self._inputs, padded)
        return self._attention.load(inputs.table_rows, inputs.context_lens, inputs.groups)

    def take_tokens(self, step: LaunchedStep, places: Sequence[int]) -> None:
        tokens = step.likeliest[0]
        if len(places) != len(tokens) or any(place != index for index, place in enumerate(places)):
            tokens = tokens[to_device(np.array(places), tokens.device)]
        self._inputs[TOKEN_IDS, : len(places)].copy_(tokens)

    def compute(self, *, is_shared: bool) -> StepResult:
        embeds = self._model.embed(self._inputs[TOKEN_IDS])
        hidden = self._model.forward(embeds, self._inputs[POSITIONS], self._attention.attention(is_shared=is_shared))
        logits = self._model.logits(hidden)
        return logits, greedy(logits)
