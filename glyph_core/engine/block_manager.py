"""The one owner of KV blocks: who holds which, which contents are known, which block is given away next.

A block is *referenced* while some sequence has it in its block table, else *free*. A block whose contents are
complete may be *cached* under their hash, referenced or free; a free cached block keeps its contents until it is
evicted: blocks without contents are given away first, then cached ones, least recently freed first. What is evicted
may be kept in host memory, and comes back into the block of a sequence that would have to compute it again.

Contents that a pin keeps (:mod:`glyph_core.engine.pins`) are *held* while no sequence has their block: it is not free,
and is given away only where nothing runs and nothing could run without it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

from glyph_core.engine.block_hash import ROOT, block_hash
from glyph_core.engine.host_tier import HostTier
from glyph_core.engine.pins import Pins
from glyph_core.engine.sequence import Sequence
from glyph_core.errors import StageError


class BlockManager:
    """Changes ``block_table`` and ``block_hashes`` of sequences; nobody else does. What it changes in a table's midst
    it takes off ``num_mirrored_blocks``."""

    def __init__(
        self,
        num_blocks: int,
        block_size: int,
        *,
        prefix_cache: bool = True,
        host: HostTier | None = None,
        pinned_share: float = 0.0,
    ) -> None:
        """``pinned_share``: of the pool, that pins may keep."""
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.prefix_cache = prefix_cache
        self._host = host
        self._ref_counts = [0] * num_blocks
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))  # the first is given away first
        self._block_of: dict[bytes, int] = {}  # cached contents
        self._hash_of: dict[int, bytes] = {}  # its inverse
        self._held: dict[int, None] = {}  # unreferenced and pinned, the first held first
        self.pins = Pins(int(num_blocks * pinned_share))
        self.num_pinned_evictions = 0

    @property
    def num_free_blocks(self) -> int:
        return len(self._free)

    @property
    def num_held_blocks(self) -> int:
        """Referenced by no sequence, and pinned."""
        return len(self._held)

    @property
    def num_pinned_blocks(self) -> int:
        return sum(content in self.pins for content in self._block_of) if len(self.pins) else 0

    @property
    def num_cached_blocks(self) -> int:
        return len(self._block_of)

    def num_missing_blocks(self, sequence: Sequence) -> int:
        """Blocks that ``sequence`` lacks to hold all of its tokens."""
        return -(-sequence.num_tokens // self.block_size) - len(sequence.block_table)

    def num_free_blocks_without(self, sequences: Iterable[Sequence], *, held_too: bool = False) -> int:
        """Blocks that would be free if ``sequences`` gave theirs up, and if ``held_too``, those that are held."""
        references = Counter(block for sequence in sequences for block in sequence.block_table)
        given_up = [block for block, count in references.items() if self._ref_counts[block] == count]
        if held_too:
            return self.num_free_blocks + len(self._held) + len(given_up)
        return self.num_free_blocks + sum(self._hash_of.get(block) not in self.pins for block in given_up)

    def can_allocate(self, sequence: Sequence) -> bool:
        return self.num_missing_blocks(sequence) <= self.num_free_blocks

    def allocate(self, sequence: Sequence) -> None:
        """Gives ``sequence`` the blocks that it lacks to hold all of its tokens; call :meth:`can_allocate` first."""
        for _ in range(self.num_missing_blocks(sequence)):
            self._give(sequence)

    def allocate_ahead(self, sequence: Sequence) -> None:
        """Gives ``sequence`` the block for the token after its last, if it needs one and one is free."""
        if sequence.num_tokens == len(sequence.block_table) * self.block_size and self._free:
            self._give(sequence)

    def match_prefix(self, sequence: Sequence) -> int:
        """Takes cached blocks for the tokens that come next in ``sequence``; returns the number of those tokens.

        Blocks that were allocated for them go back, or take what host memory has of them. The last token is left to
        compute: the next one is drawn from it.
        """
        index, offset = divmod(sequence.num_computed_tokens, self.block_size)
        if offset or not self.prefix_cache:
            return 0
        first, table = index, sequence.block_table
        while index < (sequence.num_tokens - 1) // self.block_size:
            content = self._hash(sequence, index)
            block = self._block_of.get(content)
            if block is None:
                if index == len(table) or not self._load(content, table[index]):
                    break
                self._note_pinned(sequence, index, content)
                index += 1
                continue
            self._reference(block)
            self._note_pinned(sequence, index, content)
            if index < len(table):
                self._release(table[index])
                table[index] = block
                sequence.num_mirrored_blocks = min(sequence.num_mirrored_blocks, index)
            else:
                table.append(block)
            index += 1
        sequence.num_computed_tokens = index * self.block_size
        return (index - first) * self.block_size

    def num_restorable_tokens(self, sequence: Sequence) -> int:
        """Of the tokens that come next in ``sequence`` and that no cached block has, those that host memory has now."""
        first, offset = divmod(sequence.num_computed_tokens, self.block_size)
        if self._host is None or offset or not self.prefix_cache:
            return 0
        index = first
        while index < (sequence.num_tokens - 1) // self.block_size and self._hash(sequence, index) in self._host:
            index += 1
        return (index - first) * self.block_size

    def next_hash(self, sequence: Sequence) -> bytes | None:
        """Hash of the block that ``sequence`` computes next; None where it stands within one or fills none."""
        index, offset = divmod(sequence.num_computed_tokens, self.block_size)
        if offset or not self.prefix_cache or (index + 1) * self.block_size > sequence.num_tokens:
            return None
        return self._hash(sequence, index)

    def hashes(self, sequence: Sequence, start: int, stop: int) -> list[bytes]:
        """Hashes of the blocks that are full once tokens ``[start, stop)`` are computed."""
        if not self.prefix_cache:
            return []
        return [self._hash(sequence, index) for index in range(start // self.block_size, stop // self.block_size)]

    def register(self, sequence: Sequence, start: int, stop: int) -> None:
        """Tokens ``[start, stop)`` of ``sequence`` are computed: caches the blocks that are full now."""
        first = start // self.block_size
        for index, content in enumerate(self.hashes(sequence, start, stop), first):
            if content not in self._block_of:
                self._know(sequence.block_table[index], content)
            self._note_pinned(sequence, index, content)

    def unpin(self, name: str) -> None:
        """What no other pin keeps may be evicted from now on, as if it was used just now."""
        for content in self.pins.remove(name):
            block = self._block_of[content]
            if block in self._held:
                del self._held[block]
                self._free[block] = None

    def let_go_of_held(self, num_blocks: int) -> None:
        """Makes so many held blocks free, if there are; their contents are pinned again when they are used again."""
        for block in list(self._held)[:num_blocks]:
            del self._held[block]
            self._free[block] = None
            self.num_pinned_evictions += 1

    def free(self, sequence: Sequence) -> None:
        """Takes every block from ``sequence``. Its last blocks are evicted before its first, which more can share."""
        for block in reversed(sequence.block_table):
            self._release(block)
        sequence.block_table.clear()
        sequence.num_mirrored_blocks = 0
        sequence.num_computed_tokens = 0

    def give_up_last_block(self, sequence: Sequence) -> None:
        """Takes the last block from a waiting sequence, which holds cached blocks only."""
        self._release(sequence.block_table.pop())
        sequence.num_mirrored_blocks = min(sequence.num_mirrored_blocks, len(sequence.block_table))
        sequence.num_computed_tokens = len(sequence.block_table) * self.block_size

    def check_integrity(self, sequences: Iterable[Sequence]) -> None:
        """Checks the books against the tables of all living ``sequences``; raises StageError saying what is wrong."""
        sequences = list(sequences)
        references = Counter(block for sequence in sequences for block in sequence.block_table)
        self._require(
            all(references[block] == count for block, count in enumerate(self._ref_counts)),
            "reference counts differ from the block tables",
        )
        self._require(
            set(self._free) | set(self._held) == {block for block, count in enumerate(self._ref_counts) if count == 0},
            "the free and the held blocks are not the unreferenced ones",
        )
        self._require(not set(self._free) & set(self._held), "a block is free and held")
        self._require(
            all(self._hash_of.get(block) in self.pins for block in self._held),
            "a block is held whose contents no pin keeps",
        )
        self._require(self.pins.are_known_in(self._block_of), "a pin keeps contents that no block has")
        self._require(
            self._hash_of == {block: content for content, block in self._block_of.items()},
            "a cached block and its hash don't name each other",
        )
        for sequence in sequences:
            self._check_table(sequence, references)

    def _check_table(self, sequence: Sequence, references: Counter[int]) -> None:
        table, name = sequence.block_table, sequence.request_id
        num_full = sequence.num_computed_tokens // self.block_size
        self._require(len(set(table)) == len(table), f"request {name!r} holds a block twice")
        self._require(
            sequence.num_computed_tokens <= len(table) * self.block_size, f"request {name!r} has tokens in no block"
        )
        for index, block in enumerate(table):
            cached = self._hash_of.get(block)
            self._require(
                cached is not None or references[block] == 1,
                f"block {block} is shared by request {name!r} and others, and its contents are not known",
            )
            self._require(
                cached is None or (index < num_full and cached == self._hash(sequence, index)),
                f"block {block} of request {name!r} holds other contents than its place {index} in the table says",
            )

    @staticmethod
    def _require(condition: bool, problem: str) -> None:
        if not condition:
            raise StageError(f"the KV block pool is inconsistent: {problem}; this is a bug in the engine, report it")

    def _hash(self, sequence: Sequence, index: int) -> bytes:
        hashes, size = sequence.block_hashes, self.block_size
        while len(hashes) <= index:
            parent, start = hashes[-1] if hashes else ROOT, len(hashes) * size
            hashes.append(block_hash(parent, sequence, start, start + size))
        return hashes[index]

    def _give(self, sequence: Sequence) -> None:
        block, _ = self._free.popitem(last=False)
        content = self._forget(block)
        if self._host is not None:
            self._host.displace(block, content)
        self._ref_counts[block] = 1
        sequence.block_table.append(block)

    def _reference(self, block: int) -> None:
        self._free.pop(block, None)
        self._held.pop(block, None)
        self._ref_counts[block] += 1

    def _release(self, block: int) -> None:
        self._ref_counts[block] -= 1
        if self._ref_counts[block] > 0:
            return
        if self._hash_of.get(block) in self.pins:
            self._held[block] = None
        else:
            self._free[block] = None
            if block not in self._hash_of:
                self._free.move_to_end(block, last=False)

    def _load(self, content: bytes, block: int) -> bool:
        """Has ``content`` copied into ``block`` before the next step, where host memory has it."""
        if self._host is None or not self._host.load(content, block):
            return False
        self._know(block, content)
        return True

    def _know(self, block: int, content: bytes) -> None:
        self._block_of[content], self._hash_of[block] = block, content

    def _note_pinned(self, sequence: Sequence, index: int, content: bytes) -> None:
        """Block ``index`` of ``sequence`` is cached as ``content``: a pin may want it kept."""
        if not len(self.pins):
            return
        self.pins.note(sequence, index * self.block_size, content)
        block = self._block_of[content]  # another's, where two computed the same at once
        if block in self._free and content in self.pins:
            del self._free[block]
            self._held[block] = None

    def _forget(self, block: int) -> bytes | None:
        content = self._hash_of.pop(block, None)
        if content is not None:
            del self._block_of[content]
            self.pins.forget(content)
        return content
