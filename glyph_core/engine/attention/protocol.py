"""What an attention backend is given and what it must do.

Shapes: T tokens of all sequences of a step, S sequences, R rows of the block tables, L context length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch

    from glyph_core.model.attention import PagedAttention


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Sequences whose contexts begin with the same blocks."""

    members: tuple[int, ...]  # two or more, indices into the step's sequences
    num_tokens: int  # shared, a multiple of the block size; every member's context is at least as long


@dataclass(frozen=True, slots=True)
class AttentionBatch:
    """Which tokens of a step belong to which sequence, and where their context lies."""

    slot_mapping: torch.Tensor  # (T,) int64: block × block_size + place in it, for each token of the step
    block_tables: torch.Tensor  # (R, max blocks) int32: one row a sequence; what lies beyond its blocks is any block
    table_rows: tuple[int, ...]  # of each sequence
    query_lens: tuple[int, ...]  # tokens of each sequence in this step
    context_lens: tuple[int, ...]  # tokens of each sequence so far, this step's included
    groups: tuple[PrefixGroup, ...] = ()  # of sequences with one token in this step; none is in two groups


class AttentionBackend(Protocol):
    """Makes, for each step, the attention that the model's layers call."""

    def plan(self, batch: AttentionBatch) -> PagedAttention:
        """Does what is the same in all layers of a step."""
        ...


class StaticDecode(Protocol):
    """The attention of decode steps of one size, step after step the same memory."""

    def load(self, table_rows: Sequence[int], context_lens: Sequence[int], groups: Sequence[PrefixGroup]) -> bool:
        """Takes a step's sequences, one token each; returns whether some share a prefix, for :meth:`attention`."""
        ...

    def attention(self, *, is_shared: bool) -> PagedAttention: ...


@runtime_checkable
class StaticAttentionBackend(AttentionBackend, Protocol):
    """A backend whose decode steps can be recorded once and replayed."""

    def static_decode(self, num_queries: int, slot_mapping: torch.Tensor, block_tables: torch.Tensor) -> StaticDecode:
        """For steps of up to ``num_queries`` sequences, over buffers that stay where they are.

        Tokens whose slot in ``slot_mapping`` (num_queries,) is negative are padding.
        """
        ...
