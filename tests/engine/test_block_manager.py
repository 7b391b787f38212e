"""Who holds which block, and whose contents are whose."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glyph_core.config import SamplingConfig
from glyph_core.engine.block_manager import BlockManager
from glyph_core.engine.sampler import SamplerState
from glyph_core.engine.sequence import Sequence
from glyph_core.errors import StageError
from glyph_core.types import PagePlacement, PagePlan, Prompt
from tests.engine.driving import Parts, prompt_of

SIZE = 4


def sequence_of(prompt: Prompt, arrival: int = 0) -> Sequence:
    num_tokens = len(prompt.token_ids)
    return Sequence(
        request_id=f"{arrival}",
        prompt=prompt,
        arrival=arrival,
        max_num_tokens=1000,
        positions=torch.arange(num_tokens).expand(3, -1),
        position_delta=0,
        sampler_state=SamplerState(SamplingConfig(), prompt.token_ids, 32, torch.device("cpu")),
    )


def computed(blocks: BlockManager, *parts: str | tuple[int, ...], arrival: int = 0) -> Sequence:
    """A sequence whose prompt is computed: what the cache has of it is taken, the rest allocated and registered."""
    sequence = sequence_of(prompt_of(*parts), arrival)
    start = blocks.match_prefix(sequence)
    blocks.allocate(sequence)
    sequence.num_computed_tokens = sequence.num_tokens
    blocks.register(sequence, start, sequence.num_tokens)
    return sequence


def num_shared(blocks: BlockManager, first: Parts, second: Parts) -> int:
    a, b = computed(blocks, *first, arrival=0), computed(blocks, *second, arrival=1)
    blocks.check_integrity([a, b])
    return len(set(a.block_table) & set(b.block_table))


def test_the_same_document_is_shared_but_for_the_block_that_differs() -> None:
    document: Parts = ((1, 2), "p", "q")  # 14 tokens: three blocks and two tokens
    assert num_shared(BlockManager(32, SIZE), (*document, (7, 8, 9)), (*document, (8, 8, 9))) == 3


@pytest.mark.parametrize(
    "other",
    [("q", "p"), ("p", "p"), ("p", "r"), ((0,) * 12,)],
    ids=["order of pages", "a page twice", "last page", "text of the placeholder's id"],
)
def test_documents_of_the_same_length_share_only_what_is_the_same(other: Parts) -> None:
    shared = num_shared(BlockManager(32, SIZE), ("p", "q", (1, 2)), (*other, (1, 2)))
    assert shared == (1 if other[0] == "p" else 0)  # the block that lies wholly in the first page


@pytest.mark.parametrize("field", ["digest", "grid", "offset"])
def test_pages_that_differ_in_one_thing_share_nothing(field: str) -> None:
    def document(digest: str, grid: tuple[int, int, int], start: int) -> Prompt:
        plan = PagePlan(0, 84, 56, digest)
        return Prompt(token_ids=(0,) * 12, pages=(PagePlacement(plan, start, 8, grid),))

    first = document("digest of the page", (1, 4, 8), 0)
    second = {
        "digest": document("digest of the pagE", (1, 4, 8), 0),
        "grid": document("digest of the page", (1, 8, 4), 0),  # as many tokens
        "offset": document("digest of the page", (1, 4, 8), 1),  # after a text token of the placeholder's id
    }[field]
    blocks = BlockManager(32, SIZE)
    a = sequence_of(first)
    blocks.allocate(a)
    a.num_computed_tokens = 12
    blocks.register(a, 0, 12)
    b = sequence_of(second, 1)
    assert blocks.match_prefix(b) == 0
    assert not set(a.block_hashes) & set(b.block_hashes)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["p", "q", (1, 2), (1, 3), (2,)]), min_size=1, max_size=6).map(tuple),
    st.lists(st.sampled_from(["p", "q", (1, 2), (1, 3), (2,)]), min_size=1, max_size=6).map(tuple),
)
def test_shared_blocks_are_the_common_beginning(first: Parts, second: Parts) -> None:
    def contents(parts: Parts) -> list[object]:
        prompt = prompt_of(*parts)
        tokens: list[object] = list(prompt.token_ids)
        for page in prompt.pages:
            tokens[page.start : page.stop] = [(page.page.digest, i) for i in range(page.num_tokens)]
        return tokens

    a, b = contents(first), contents(second)
    num_common = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), min(len(a), len(b)))
    # The second takes what the first has, except for the block of its own last token.
    assert num_shared(BlockManager(64, SIZE), first, second) == min(num_common, len(b) - 1) // SIZE


def test_hashes_are_chained_and_of_full_width() -> None:
    """The same tokens after another beginning are other contents: their keys were computed from another context."""
    blocks = BlockManager(32, SIZE)
    a = computed(blocks, (1, 1, 1, 1), (5, 6, 7, 8), arrival=0)
    b = computed(blocks, (2, 2, 2, 2), (5, 6, 7, 8), arrival=1)
    assert not set(a.block_hashes) & set(b.block_hashes)
    assert {len(content) for content in a.block_hashes + b.block_hashes} == {16}


@pytest.mark.parametrize(("num_tokens", "num_matched"), [(7, 4), (8, 4), (9, 8)])
def test_the_last_token_is_always_computed(num_tokens: int, num_matched: int) -> None:
    blocks = BlockManager(32, SIZE)
    computed(blocks, tuple(range(num_tokens)))
    assert blocks.match_prefix(sequence_of(prompt_of(tuple(range(num_tokens))), 1)) == num_matched


def test_a_cached_block_replaces_one_that_was_allocated_for_the_same_tokens() -> None:
    blocks = BlockManager(8, SIZE)
    late = sequence_of(prompt_of((1,) * 9), arrival=1)
    blocks.allocate(late)
    early = computed(blocks, (1,) * 9)
    assert blocks.match_prefix(late) == 8
    assert late.block_table[:2] == early.block_table[:2]
    assert blocks.num_free_blocks == 8 - 4  # three of one, and the last of the other
    blocks.check_integrity([early, late])


def test_a_shared_block_is_free_when_its_last_holder_goes() -> None:
    blocks = BlockManager(8, SIZE)
    a, b = computed(blocks, (1,) * 9, arrival=0), computed(blocks, (1,) * 9, arrival=1)
    assert blocks.num_free_blocks == 4
    assert blocks.num_free_blocks_without([a]) == 5
    assert blocks.num_free_blocks_without([a, b]) == 8
    blocks.free(a)
    assert blocks.num_free_blocks == 5
    blocks.free(b)
    assert blocks.num_free_blocks == 8
    blocks.check_integrity([])


@pytest.mark.parametrize(("num_taken", "old_left", "new_left"), [(4, 8, 8), (5, 4, 8), (6, 0, 8), (7, 0, 4), (8, 0, 0)])
def test_eviction_takes_the_least_recently_used_and_ends_before_beginnings(
    num_taken: int, old_left: int, new_left: int
) -> None:
    blocks = BlockManager(8, SIZE)
    old, new = computed(blocks, (1,) * 8), computed(blocks, (2,) * 8)
    blocks.free(old)
    blocks.free(new)
    blocks.allocate(sequence_of(prompt_of((3,) * SIZE * num_taken)))
    assert blocks.num_cached_blocks == 8 - max(num_taken, 4)
    assert blocks.match_prefix(sequence_of(prompt_of((1,) * 9))) == old_left
    assert blocks.match_prefix(sequence_of(prompt_of((2,) * 9))) == new_left


def test_without_prefix_cache_nothing_is_kept() -> None:
    blocks = BlockManager(8, SIZE, prefix_cache=False)
    a, b = computed(blocks, (1,) * 9, arrival=0), computed(blocks, (1,) * 9, arrival=1)
    assert not set(a.block_table) & set(b.block_table)
    assert blocks.num_cached_blocks == 0


def test_check_integrity_finds_what_is_wrong() -> None:
    blocks = BlockManager(16, SIZE)
    a, b = computed(blocks, "p", (1, 2, 3), arrival=0), computed(blocks, "q", (1, 2, 3), arrival=1)
    blocks.check_integrity([a, b])
    with pytest.raises(StageError, match="reference counts"):
        blocks.check_integrity([a])  # b's blocks leaked
    tables = list(a.block_table), list(b.block_table)
    a.block_table[:], b.block_table[:] = tables[1], tables[0]
    with pytest.raises(StageError, match="holds other contents"):
        blocks.check_integrity([a, b])
    a.block_table[:], b.block_table[:] = tables
    a.block_table[2], b.block_table[2] = b.block_table[2], a.block_table[2]  # not full, so nothing is known of them
    blocks.check_integrity([a, b])
    a.num_computed_tokens = 13
    with pytest.raises(StageError, match="tokens in no block"):
        blocks.check_integrity([a, b])
