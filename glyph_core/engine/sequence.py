"""One request in the engine: its tokens, how many of them are computed, and where their keys and values lie.

The life of a sequence: WAITING (holds at most blocks that the prefix cache gave it) → RUNNING (holds blocks for all
of its tokens; prefill, then decode) → gone. A preempted sequence goes back to WAITING with its tokens and without its
blocks; it wants the features again of the pages that it had computed.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from glyph_core.types import Prompt

if TYPE_CHECKING:
    import torch

    from glyph_core.engine.sampler import SamplerState


class SequenceStatus(Enum):
    WAITING = auto()
    RUNNING = auto()


@dataclass(eq=False, slots=True)
class Sequence:
    """``token_ids`` are the prompt's, then the generated ones. At least one of them is never computed yet: the next
    token is drawn when the last one is."""

    request_id: str
    prompt: Prompt
    arrival: int  # requests are served in this order
    max_num_tokens: int  # the sequence ends when it has so many
    positions: torch.Tensor  # (3, num_prompt_tokens) int64, on the host
    position_delta: int  # the generated token at index i stands at i + position_delta
    sampler_state: SamplerState
    token_ids: list[int] = field(init=False)
    status: SequenceStatus = SequenceStatus.WAITING  # set by the scheduler
    num_computed_tokens: int = 0  # tokens whose keys and values are in the pool; set by block manager and scheduler
    num_cached_tokens: int = 0  # of these, prompt tokens that the prefix cache had; set by the scheduler
    restorable_until: int = 0  # while it waits: host memory had the tokens before this one; set by the scheduler
    num_preemptions: int = 0  # set by the scheduler
    num_overtaken_tokens: int = 0  # of later sequences that were admitted before this one; set by the scheduler
    prefill_s: float = 0.0  # set by the engine
    block_table: list[int] = field(default_factory=list)  # set by the block manager
    num_mirrored_blocks: int = 0  # first ones, on the device too; raised by BlockTables, lowered by the block manager
    block_hashes: list[bytes] = field(default_factory=list)  # of its first full blocks; set by the block manager
    features: dict[int, torch.Tensor] = field(default_factory=dict)  # page number → its rows; set by the engine
    _page_stops: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.token_ids = list(self.prompt.token_ids)
        self._page_stops = [page.stop for page in self.prompt.pages]

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.prompt.token_ids)

    @property
    def is_decoding(self) -> bool:
        """Runs, and only its newest token is still to be computed."""
        num_left = self.num_tokens - self.num_computed_tokens
        return num_left == 1 and self.num_tokens > self.num_prompt_tokens and self.status is SequenceStatus.RUNNING

    @property
    def num_ready_tokens(self) -> int:
        """The mark that prefill can go up to: the start of the first page whose features are missing."""
        pages = self.prompt.pages
        for number in range(self.first_page_after(self.num_known_tokens), len(pages)):
            if number not in self.features:
                return max(pages[number].start, self.num_known_tokens)
        return self.num_tokens

    @property
    def num_known_tokens(self) -> int:
        """Tokens that need no features: computed, or to be copied from host memory once the sequence runs."""
        return max(self.num_computed_tokens, self.restorable_until)

    def first_page_after(self, index: int) -> int:
        """Number of the first page that has placeholder tokens at ``index`` or later."""
        return bisect_right(self._page_stops, index)

    def drop_computed_features(self) -> None:
        """Lets go of pages that are wholly computed: those of a long document would take several times what its keys
        and values take of the card, for a preemption that seldom comes."""
        stop = self.first_page_after(self.num_computed_tokens)
        for number in [number for number in self.features if number < stop]:
            del self.features[number]

    def wanted_pages(self) -> tuple[int, ...]:
        """Numbers of the pages that are neither fed nor wholly known."""
        first = self.first_page_after(self.num_known_tokens)
        return tuple(number for number in range(first, len(self._page_stops)) if number not in self.features)
