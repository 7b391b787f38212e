"""Which tokens of which sequences the next step computes.

Policy, in this order:

1. Every running sequence that decodes gets its token, the oldest first.
2. What is left of ``max_num_batched_tokens`` goes to prefill, in chunks that end at a block's end where they can, and
   never beyond the first page whose features are missing. Half of it is the oldest's; whoever has less left to compute
   than the oldest, the least first, shares the other half. So small questions pass a giant document, which still gets
   on at half speed at least, and documents of one length are read one after another, which is soonest for all.
3. A waiting sequence is admitted when it has a chunk to compute and the pool has room for all of its tokens at once,
   so that two half-done prefills never wait for each other's blocks. Later ones may be admitted before it until those
   have as many tokens as itself; then it keeps them out.

When blocks run out, free cached blocks are evicted first; then waiting sequences give up what the prefix cache gave
them, the newest first, block by block from the end; then the newest running sequence is preempted, to be computed again
later. The oldest running sequence is therefore never preempted by another, and any sequence fits the empty pool, so
everything ends.

A sequence whose next block is being computed in the same step by another sits the step out and then takes that block
from the cache: many questions about one document prefill it once, even when they come together.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter

from glyph_core.config import EngineConfig
from glyph_core.engine.block_manager import BlockManager
from glyph_core.engine.sequence import Sequence, SequenceStatus

ARRIVAL = attrgetter("arrival")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens ``[start, stop)`` of a sequence, to be computed in this step."""

    sequence: Sequence
    start: int
    stop: int
    is_sampled: bool  # it ends with the sequence's last token, from which the next is drawn

    @property
    def num_tokens(self) -> int:
        return self.stop - self.start


class Scheduler:
    """Changes the status and the token counts of sequences. ``waiting`` and ``running`` are in order of arrival."""

    def __init__(self, config: EngineConfig, blocks: BlockManager, *, looks_ahead: bool = False) -> None:
        """``looks_ahead``: one that decodes gets room for its next token with that for this one, if blocks are free."""
        self.blocks = blocks
        self.max_num_seqs = config.max_num_seqs
        self.max_num_batched_tokens = config.max_num_batched_tokens
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self.num_preemptions = 0
        self._looks_ahead = looks_ahead

    def add(self, sequence: Sequence) -> None:
        """Queues ``sequence`` and holds what the prefix cache has of it."""
        insort(self.waiting, sequence, key=ARRIVAL)
        self._take_cached(sequence)
        if num_tokens := self.blocks.num_restorable_tokens(sequence):
            sequence.restorable_until = sequence.num_computed_tokens + num_tokens

    def remove(self, sequence: Sequence) -> None:
        """Ends ``sequence`` and frees its blocks."""
        self.blocks.free(sequence)
        (self.running if sequence.status is SequenceStatus.RUNNING else self.waiting).remove(sequence)

    @property
    def can_schedule(self) -> bool:
        """Whether :meth:`schedule` has something to do, rather than only wait for pages."""
        if any(self._has_chunk(sequence) for sequence in self.running):
            return True
        return any(self._may_enter(sequence) for sequence in self.waiting if self._has_chunk(sequence))

    def schedule(self) -> list[Chunk]:
        """The chunks of the next step, decoding sequences first; may preempt and admit."""
        chunks = self._schedule_decode()
        return chunks + self._schedule_prefill(self.max_num_batched_tokens - len(chunks))

    def complete(self, chunks: Iterable[Chunk]) -> None:
        """``chunks`` are computed: caches the blocks that are full now and gives them to whoever waits for them."""
        for chunk in chunks:
            chunk.sequence.num_computed_tokens = chunk.stop
            self.blocks.register(chunk.sequence, chunk.start, chunk.stop)
        for sequence in (*self.running, *self.waiting):
            if not sequence.is_decoding:
                self._take_cached(sequence)

    def _schedule_decode(self) -> list[Chunk]:
        # One that another's growth has just preempted decodes no more, so this asks each when its turn comes.
        return [
            self._chunk(sequence, sequence.num_tokens)
            for sequence in tuple(self.running)
            if sequence.is_decoding and self._grow(sequence)
        ]

    def _schedule_prefill(self, budget: int) -> list[Chunk]:
        ready = [s for s in (*self.running, *self.waiting) if not s.is_decoding and self._has_chunk(s)]
        oldest = self._first_to_run(ready) if budget else None
        if oldest is None:
            return []
        is_full = False
        kept = max(1, self._chunk_stop(oldest, (budget + 1) // 2) - oldest.num_computed_tokens)  # the oldest's
        chunks: list[Chunk] = []
        in_progress = {self.blocks.next_hash(oldest)} - {None}  # hashes of the blocks that this step will fill
        for sequence in sorted(ready, key=lambda s: s.num_tokens - s.num_computed_tokens):
            is_oldest = sequence is oldest
            kept = 0 if is_oldest else kept
            if budget - kept < (1 if is_oldest else self.blocks.block_size):  # less only where it is all there is
                continue
            stop = self._chunk_stop(sequence, budget - kept)
            if stop <= sequence.num_computed_tokens:
                continue
            if not is_oldest and self.blocks.next_hash(sequence) in in_progress:
                continue
            if sequence.status is SequenceStatus.WAITING and (is_full or not self._admit(sequence)):
                is_full = is_full or not self._has_room(sequence)  # nor has it for the larger ones, which come next
                continue
            stop = self._chunk_stop(sequence, budget - kept)  # further on where it was restored when it was admitted
            if stop <= sequence.num_computed_tokens:
                continue
            chunks.append(self._chunk(sequence, stop))
            budget -= chunks[-1].num_tokens
            in_progress.update(self.blocks.hashes(sequence, chunks[-1].start, stop))
        return chunks

    def _first_to_run(self, ready: Iterable[Sequence]) -> Sequence | None:
        """The oldest that runs already or can be admitted, which it is then."""
        fewest_refused = self.blocks.num_blocks + 1  # blocks; who needs as many need not be tried
        for sequence in ready:
            if sequence.status is SequenceStatus.RUNNING or (
                self.blocks.num_missing_blocks(sequence) < fewest_refused and self._admit(sequence)
            ):
                return sequence
            fewest_refused = min(fewest_refused, self.blocks.num_missing_blocks(sequence))
        return None

    def _has_chunk(self, sequence: Sequence) -> bool:
        """Whether it has something to compute, rather than only wait for a page."""
        return self._chunk_stop(sequence, 1) > sequence.num_computed_tokens

    def _chunk_stop(self, sequence: Sequence, budget: int) -> int:
        """Where the next chunk ends. A chunk that leaves tokens behind ends at a block's end if it reaches one: only
        whole blocks can be shared."""
        start, block_size = sequence.num_computed_tokens, self.blocks.block_size
        ready = sequence.num_ready_tokens
        if ready < sequence.num_tokens:
            ready -= ready % block_size  # the rest of the block is computed with the missing page
        stop = min(ready, start + budget)
        block_end = stop - stop % block_size
        return block_end if stop < sequence.num_tokens and block_end > start else stop

    @staticmethod
    def _chunk(sequence: Sequence, stop: int) -> Chunk:
        return Chunk(sequence, sequence.num_computed_tokens, stop, is_sampled=stop == sequence.num_tokens)

    def _take_cached(self, sequence: Sequence) -> None:
        num_tokens = self.blocks.match_prefix(sequence)
        if sequence.num_preemptions == 0:  # afterwards it would find what it computed itself
            sequence.num_cached_tokens += num_tokens

    def _has_room(self, sequence: Sequence) -> bool:
        """Whether ``sequence`` can be admitted, if need be by taking cached blocks from others that wait. One block
        for each running sequence is left over, or it would soon be preempted again."""
        num_needed = self.blocks.num_missing_blocks(sequence) + len(self.running)
        return len(self.running) < self.max_num_seqs and (
            num_needed <= self.blocks.num_free_blocks
            or num_needed <= self.blocks.num_free_blocks_without(self._holders(sequence), held_too=not self.running)
        )

    def _holders(self, sequence: Sequence) -> list[Sequence]:
        return [other for other in self.waiting if other is not sequence and other.block_table]

    def _may_enter(self, sequence: Sequence) -> bool:
        if len(self.running) >= self.max_num_seqs:
            return False
        overtaken, num_tokens = self._overtaken_by(sequence), sequence.num_tokens
        return all(s.num_overtaken_tokens + num_tokens <= s.num_tokens for s in overtaken) and self._has_room(sequence)

    def _overtaken_by(self, sequence: Sequence) -> Iterator[Sequence]:
        """Those that came before it and could be computed if they had the room."""
        earlier = takewhile(lambda other: other.arrival < sequence.arrival, self.waiting)
        return filter(self._has_chunk, earlier)

    def _admit(self, sequence: Sequence) -> bool:
        if not self._may_enter(sequence):
            return False
        while not self.blocks.can_allocate(sequence):
            if holders := self._holders(sequence):
                self._give_up_block(holders[-1])
            else:  # it is the only one, and pinned documents give way to it, as far as it takes
                self.blocks.let_go_of_held(self.blocks.num_missing_blocks(sequence) - self.blocks.num_free_blocks)
        self.blocks.allocate(sequence)
        for other in self._overtaken_by(sequence):
            other.num_overtaken_tokens += sequence.num_tokens
        self._move(sequence, SequenceStatus.RUNNING)
        sequence.restorable_until = 0
        self._take_cached(sequence)  # what host memory has comes into the blocks that are there for it now
        return True

    def _grow(self, sequence: Sequence) -> bool:
        """Makes room for the newest token of a running sequence; False if that took the sequence's own blocks."""
        while not self.blocks.can_allocate(sequence):
            if holders := self._holders(sequence):
                self._give_up_block(holders[-1])
                continue
            if self.running == [sequence] and self.blocks.num_held_blocks:
                self.blocks.let_go_of_held(1)
                continue
            victim = self.running[-1]
            self._preempt(victim)
            if victim is sequence:
                return False
        self.blocks.allocate(sequence)
        if self._looks_ahead:
            self.blocks.allocate_ahead(sequence)
        return True

    def _give_up_block(self, sequence: Sequence) -> None:
        self.blocks.give_up_last_block(sequence)
        sequence.num_cached_tokens = min(sequence.num_cached_tokens, sequence.num_computed_tokens)

    def _preempt(self, sequence: Sequence) -> None:
        self.blocks.free(sequence)
        self._move(sequence, SequenceStatus.WAITING)
        sequence.num_preemptions += 1
        self.num_preemptions += 1

    def _move(self, sequence: Sequence, status: SequenceStatus) -> None:
        source, target = self.waiting, self.running
        if status is SequenceStatus.WAITING:
            source, target = target, source
        source.remove(sequence)
        insort(target, sequence, key=ARRIVAL)
        sequence.status = status
