"""Which chunks come next: order, budget, pages that are missing, blocks that run out."""

from __future__ import annotations

import pytest
import torch

from glyph_core.config import EngineConfig
from glyph_core.engine.block_manager import BlockManager
from glyph_core.engine.scheduler import Chunk, Scheduler
from glyph_core.engine.sequence import Sequence
from tests.engine.driving import prompt_of
from tests.engine.test_block_manager import SIZE, sequence_of

PAGE = torch.zeros(6, 1)


class Bench:
    """A scheduler, and a model that computes nothing."""

    def __init__(
        self, num_blocks: int = 64, budget: int = 64, max_num_seqs: int = 8, prefix_cache: bool = True
    ) -> None:
        config = EngineConfig(block_size=SIZE, max_num_batched_tokens=budget, max_num_seqs=max_num_seqs)
        self.blocks = BlockManager(num_blocks, SIZE, prefix_cache=prefix_cache)
        self.scheduler = Scheduler(config, self.blocks)
        self.num_added = 0

    def add(self, *parts: str | tuple[int, ...]) -> Sequence:
        sequence = sequence_of(prompt_of(*parts), self.num_added)
        self.num_added += 1
        self.scheduler.add(sequence)
        return sequence

    def step(self) -> list[Chunk]:
        chunks = self.scheduler.schedule()
        self.scheduler.complete(chunks)
        for chunk in chunks:
            if chunk.is_sampled:
                chunk.sequence.token_ids.append(9)
        self.blocks.check_integrity([*self.scheduler.running, *self.scheduler.waiting])
        return chunks

    def spans(self) -> list[tuple[str, int, int]]:
        return [(chunk.sequence.request_id, chunk.start, chunk.stop) for chunk in self.step()]


def test_decode_comes_first_and_prefill_takes_what_is_left_of_the_budget() -> None:
    bench = Bench(budget=10)
    bench.add((1,) * 6)
    assert bench.spans() == [("0", 0, 6)]
    bench.add((2,) * 30)
    assert bench.spans() == [("0", 6, 7), ("1", 0, 8)]  # to a block's end, though there is room for one token more
    assert bench.spans() == [("0", 7, 8), ("1", 8, 16)]
    bench.scheduler.remove(bench.scheduler.running[0])
    assert bench.spans() == [("1", 16, 24)]
    bench.add((3,) * 6)
    assert bench.spans() == [("1", 24, 30), ("2", 0, 4)]


def test_no_more_sequences_run_than_allowed() -> None:
    bench = Bench(max_num_seqs=2)
    for token in range(3):
        bench.add((token,) * 5)
    assert [name for name, _, _ in bench.spans()] == ["0", "1"]
    bench.scheduler.remove(bench.scheduler.running[0])
    assert [name for name, _, _ in bench.spans()] == ["1", "2"]


def test_prefill_stops_at_the_first_missing_page() -> None:
    bench = Bench()
    sequence = bench.add((1, 2, 3, 4, 5), "p", "q", (6,))  # pages at 5 and 11
    assert bench.spans() == [("0", 0, 4)]
    assert not bench.scheduler.can_schedule
    sequence.features[1] = PAGE  # the second page is of no use yet
    assert not bench.scheduler.can_schedule
    assert bench.spans() == []
    sequence.features[0] = PAGE
    assert bench.spans() == [("0", 4, 18)]


def test_one_that_waits_for_pages_keeps_nobody_out() -> None:
    bench = Bench()
    bench.add("p", (1,))
    bench.add((2,) * 5)
    assert bench.spans() == [("1", 0, 5)]


def test_one_that_finds_no_room_is_overtaken_by_as_many_tokens_as_it_has() -> None:
    bench = Bench(num_blocks=10, prefix_cache=False)
    bench.add((1,) * 20)
    waiting = bench.add((2,) * 20)
    bench.step()
    for number in range(2, 7):  # 4 tokens each: five times that is 20
        assert f"{number}" not in {name for name, _, _ in bench.spans()}  # nobody of that name has come
        assert bench.add((number,) * 4).request_id in {name for name, _, _ in bench.spans()}
        assert waiting.num_overtaken_tokens == 4 * (number - 1)
        bench.scheduler.remove(bench.scheduler.running[-1])
    bench.add((7,) * 4)
    for _ in range(2):
        assert {name for name, _, _ in bench.spans()} == {"0"}
    bench.scheduler.remove(bench.scheduler.running[0])
    assert {name for name, _, _ in bench.spans()} == {"1", "7"}


def test_the_shortest_shares_a_step_with_the_oldest() -> None:
    bench = Bench(num_blocks=200, budget=16)
    bench.add((1,) * 400)
    assert bench.spans() == [("0", 0, 16)]
    bench.add((2,) * 30)
    bench.add((3,) * 12)
    assert bench.spans() == [("2", 0, 8), ("0", 16, 24)]
    assert bench.spans() == [("2", 8, 12), ("1", 0, 4), ("0", 24, 32)]
    assert bench.spans() == [("2", 12, 13), ("1", 4, 8), ("0", 32, 40)]  # the last of 15 tokens would fill no block


def test_documents_of_one_length_are_read_one_after_another() -> None:
    bench = Bench(num_blocks=200, budget=16)
    for token in range(3):
        bench.add((token,) * 40)
    assert bench.spans() == [("0", 0, 16)]
    assert bench.spans() == [("0", 16, 32)]
    assert bench.spans() == [("0", 32, 40), ("1", 0, 8)]


def test_many_small_ones_leave_the_giant_half_of_every_step() -> None:
    bench = Bench(num_blocks=400, budget=16)
    giant = bench.add((1,) * 400)
    bench.step()
    for number in range(20):
        bench.add((number + 2,) * 8)
        before = giant.num_computed_tokens
        bench.step()
        assert giant.num_computed_tokens >= before + 4
        if bench.scheduler.running[-1] is not giant:  # answers end at once here, or they would fill the step
            bench.scheduler.remove(bench.scheduler.running[-1])


def test_questions_about_one_document_share_its_prefill_though_one_is_shorter() -> None:
    bench = Bench(num_blocks=200, budget=16)
    bench.add((1,) * 80 + (2,) * 9)
    bench.add((1,) * 80 + (3,))
    for start in range(0, 80, 16):
        assert bench.spans() == [("0", start, start + 16)]
    assert bench.spans() == [("1", 80, 81), ("0", 80, 89)]


def test_admission_leaves_each_running_sequence_a_block_to_grow_into() -> None:
    bench = Bench(num_blocks=8)
    bench.add((1,) * 9)  # 3 blocks
    bench.step()
    tight = bench.add((2,) * 17)  # 5 blocks
    assert {name for name, _, _ in bench.spans()} == {"0"}
    bench.scheduler.remove(tight)
    bench.add((2,) * 16)
    assert {name for name, _, _ in bench.spans()} == {"0", "2"}


def test_the_newest_is_preempted_and_computed_again() -> None:
    bench = Bench(num_blocks=8, prefix_cache=False)
    old, new = bench.add((1,) * 11), bench.add((2,) * 11)  # 3 blocks each; one is left over for each that runs
    bench.step()
    while not bench.scheduler.num_preemptions:
        bench.step()
    assert (old.num_tokens, new.num_tokens) == (18, 17)  # 5 and 4 blocks would be 9
    assert (old.num_preemptions, new.num_preemptions) == (0, 1)
    assert [*new.block_table, new.num_computed_tokens] == [0]
    assert bench.scheduler.waiting == [new]
    assert {name for name, _, _ in bench.spans()} == {"0"}
    bench.scheduler.remove(old)
    assert bench.spans() == [("1", 0, 17)]
    assert bench.spans() == [("1", 17, 18)]


def test_waiting_sequences_give_up_cached_blocks_before_anyone_is_preempted() -> None:
    bench = Bench(num_blocks=8, max_num_seqs=1)
    document = bench.add("p", "q", (1,))
    document.features.update({0: PAGE, 1: PAGE})
    bench.step()
    bench.scheduler.remove(document)
    running = bench.add((5,) * 16)
    bench.step()
    waiting = bench.add("p", "q", (2,))
    assert (waiting.num_computed_tokens, waiting.wanted_pages()) == (12, ())
    while running.num_tokens <= 24:
        bench.step()
    assert (waiting.num_computed_tokens, waiting.wanted_pages()) == (8, (1,))  # of 8 blocks, 6 are the other's now
    while running.num_tokens <= 32:
        bench.step()
    assert (waiting.num_computed_tokens, waiting.wanted_pages()) == (0, (0, 1))
    assert waiting.num_cached_tokens == 0
    assert bench.scheduler.num_preemptions == 0


def test_two_that_wait_for_pages_with_half_the_pool_each_do_not_lock_each_other() -> None:
    bench = Bench(num_blocks=8)
    first, second = bench.add((1,) * 4, "p", "q", (2,) * 4), bench.add((3,) * 4, "q", "p", (4,) * 4)  # 5 blocks each
    assert bench.spans() == [("0", 0, 4)]  # the second would never find the rest of its blocks
    second.features.update({0: PAGE, 1: PAGE})
    assert not bench.scheduler.can_schedule
    first.features.update({0: PAGE, 1: PAGE})
    assert bench.spans() == [("0", 4, 20)]
    bench.scheduler.remove(first)
    assert bench.spans() == [("1", 0, 20)]


@pytest.mark.parametrize(("budget", "leader"), [(12, [(0, 12), (12, 21)]), (64, [(0, 21)])])
def test_the_same_beginning_is_computed_once_when_requests_come_together(
    budget: int, leader: list[tuple[int, int]]
) -> None:
    bench = Bench(budget=budget)
    bench.add((1,) * 20, (2,))
    bench.add((1,) * 20, (3,))
    for start, stop in leader:
        assert bench.spans() == [("0", start, stop)]
    assert bench.spans() == [("0", 21, 22), ("1", 20, 21)]


def test_what_a_preempted_sequence_finds_of_its_own_is_not_counted_as_cached() -> None:
    bench = Bench(num_blocks=8)
    bench.add((1,) * 11)
    new = bench.add((2,) * 11)
    while not bench.scheduler.num_preemptions:
        bench.step()
    assert new.num_computed_tokens > 0
    assert new.num_cached_tokens == 0


def test_a_running_sequence_takes_what_another_has_computed() -> None:
    bench = Bench()
    early, late = bench.add("p", "q", (1,)), bench.add("p", "q", (2,))
    early.features[0] = PAGE
    assert bench.spans() == [("0", 0, 4)]
    late.features.update({0: PAGE, 1: PAGE})
    assert bench.spans() == [("1", 4, 13)]
    assert (early.num_computed_tokens, early.num_cached_tokens, early.wanted_pages()) == (12, 8, ())
    assert bench.spans() == [("1", 13, 14), ("0", 12, 13)]
