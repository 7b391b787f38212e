"""KV blocks that fell out of the device's pool, kept in host memory: copied back, they need not be computed again.

:class:`HostTier` keeps the books and moves nothing; :class:`HostMemory` moves and keeps no books. Between them go the
:class:`Moves` of a step, which are made before the step computes: in the order of the device's stream everything that
is saved is still there, and everything that is loaded is there in time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, groupby

import torch

from glyph_core.engine.kv_cache import KVCache

MOVED_AT_ONCE = 64  # blocks: what a move takes of the device's memory meanwhile


@dataclass(slots=True)
class Moves:
    """``saves`` are made first: block of the pool → slot of host memory. Then ``loads``, as block → slot, too."""

    saves: dict[int, int] = field(default_factory=dict)
    loads: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.saves or self.loads)


class HostTier:
    """Which contents lie in which slot; those that were used longest ago go first."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.num_restored = 0  # blocks, since it was made
        self._slot_of: OrderedDict[bytes, int] = OrderedDict()
        self._moves = Moves()

    def __contains__(self, content: bytes) -> bool:
        return content in self._slot_of

    def __len__(self) -> int:
        return len(self._slot_of)

    def displace(self, block: int, content: bytes | None) -> None:
        """``block`` of the pool, whose contents are ``content`` if they are known, is given to somebody else."""
        self._moves.loads.pop(block, None)
        if content is None:
            return
        if content in self._slot_of:
            self._slot_of.move_to_end(content)
        elif (slot := self._free_slot()) is not None:
            self._moves.saves[block] = self._slot_of[content] = slot

    def load(self, content: bytes, block: int) -> bool:
        """Has ``content`` copied to ``block`` of the pool before the next step; False where it is not here."""
        if content not in self._slot_of:
            return False
        self._slot_of.move_to_end(content)
        self._moves.loads[block] = self._slot_of[content]
        self.num_restored += 1
        return True

    def take_moves(self) -> Moves:
        """What has to be moved before the next step computes."""
        moves, self._moves = self._moves, Moves()
        return moves

    def _free_slot(self) -> int | None:
        """A slot that nothing is to be loaded from; None where there is none."""
        if len(self._slot_of) < self.num_slots:
            return len(self._slot_of)
        awaited = set(self._moves.loads.values())
        oldest = next((content for content, slot in self._slot_of.items() if slot not in awaited), None)
        return None if oldest is None else self._slot_of.pop(oldest)


class HostMemory:
    """Room for ``num_slots`` blocks of ``cache``, page-locked on CUDA: (slots, 2, layers, block_size, Hk, D)."""

    def __init__(self, cache: KVCache, num_slots: int) -> None:
        self._cache = cache
        layers, _, *block_shape = cache.k.shape
        is_cuda = cache.device.type == "cuda"
        self._slots = torch.empty((num_slots, 2, layers, *block_shape), dtype=cache.k.dtype, pin_memory=is_cuda)

    @torch.inference_mode()
    def move(self, moves: Moves) -> None:
        """Queues ``moves`` on the device's current stream; waits for nothing on CUDA."""
        for blocks, slots in _parts(moves.saves):
            index = torch.tensor(blocks, device=self._cache.device)
            kept = torch.stack([_bits(pool).index_select(1, index) for pool in (self._cache.k, self._cache.v)])
            kept = kept.permute(2, 0, 1, *range(3, kept.dim())).contiguous()
            for here, there in _runs(slots):
                _bits(self._slots)[there].copy_(kept[here], non_blocking=True)
        for blocks, slots in _parts(moves.loads):
            index = torch.tensor(blocks, device=self._cache.device)
            shape = (len(slots), *self._slots.shape[1:])
            kept = torch.empty(shape, dtype=_bits(self._slots).dtype, device=self._cache.device)
            for here, there in _runs(slots):
                kept[here].copy_(_bits(self._slots)[there], non_blocking=True)
            for number, pool in enumerate((self._cache.k, self._cache.v)):
                _bits(pool).index_copy_(1, index, kept[:, number].transpose(0, 1))


def _parts(moves: dict[int, int]) -> Iterator[tuple[list[int], list[int]]]:
    blocks, slots = list(moves), list(moves.values())
    for first in range(0, len(blocks), MOVED_AT_ONCE):
        yield blocks[first : first + MOVED_AT_ONCE], slots[first : first + MOVED_AT_ONCE]


def _runs(slots: list[int]) -> Iterator[tuple[slice, slice]]:
    """Stretches of neighbouring slots, each one copy: where it is in ``slots``, and which slots these are."""
    steps = count()
    start = 0
    for _, run in groupby(slots, key=lambda slot: slot - next(steps)):
        neighbours = list(run)
        yield slice(start, start + len(neighbours)), slice(neighbours[0], neighbours[-1] + 1)
        start += len(neighbours)


def _bits(values: torch.Tensor) -> torch.Tensor:
    """PyTorch indexes no float8: its bits are bytes."""
    return values.view(torch.uint8) if values.dtype.itemsize == 1 else values
