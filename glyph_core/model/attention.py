"""The seam between transformers' layers and our paged attention.

transformers looks an attention function up by the name in ``config._attn_implementation`` and calls it with the
keyword arguments that the model's ``forward`` was given. We register one function under :data:`ATTENTION_NAME`; it
hands the layer's queries, keys and values to the :class:`PagedAttention` that came with the same call, so that no
state of a step lives outside that call.

Shapes: T tokens of all sequences of a step, Hq query heads, Hk key/value heads, D head dim, R rotated part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

if TYPE_CHECKING:
    import torch

ATTENTION_NAME = "glyph_paged"


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a step's queries and keys turn."""

    cos: torch.Tensor  # (T, R / 2) float32, as is sin: of the angles of each token's pairs
    sin: torch.Tensor
    in_halves: bool = False  # a pair is places i and i + R / 2 of a head rather than neighbours


@dataclass(frozen=True, slots=True)
class HeadNorms:
    """Weights of the norms (RMSNorm over D) of queries and keys before they turn."""

    q: torch.Tensor  # (D,), as is k
    k: torch.Tensor
    eps: float


class PagedAttention(Protocol):
    """Attention over the KV cache of one step: stores the step's keys and values, then attends.

    It knows which tokens belong to which sequence and what each may see; the model doesn't.
    """

    def __call__(self, layer_idx: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        """``q`` is (Hq, T, D), ``k`` and ``v`` are (Hk, T, D); returns (T, Hq, D) of q's dtype."""
        ...


@runtime_checkable
class RotatingAttention(PagedAttention, Protocol):
    """A paged attention that also norms and turns queries and keys, in the pass that stores the keys."""

    def attend_unrotated(
        self,
        layer_idx: int,
        heads: torch.Tensor,
        rotation: Rotation,
        scale: float,
        bias: torch.Tensor | None = None,
        norms: HeadNorms | None = None,
    ) -> torch.Tensor:
        """``heads`` (T, Hq + 2 Hk, D) are queries, keys and values, which it may overwrite. Returns (T, Hq, D).

        ``heads`` may also be float32 (S, T, Hq + 2 Hk, D) that add up to them, with ``bias`` ((Hq + 2 Hk) × D,). Only
        heads that turn in halves have ``norms``, and all of such a head turns."""
        ...


def _attend(
    module: Any,
    query: torch.Tensor,  # (1, Hq, T, D)
    key: torch.Tensor,  # (1, Hk, T, D)
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float,
    paged_attention: PagedAttention,
    **_: object,  # what transformers hands to every backend: dropout, position_ids, …
) -> tuple[torch.Tensor, None]:
    attended = paged_attention(module.layer_idx, query[0], key[0], value[0], scaling)
    return attended[None], None  # (1, T, Hq, D)


def _no_mask(*_: object, **__: object) -> None:
    """Which token sees which is the paged attention's business."""


ALL_ATTENTION_FUNCTIONS.register(ATTENTION_NAME, _attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION_NAME, _no_mask)
