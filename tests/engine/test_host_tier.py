"""Blocks that fell out of the pool come back from host memory as they were, and what depended on them is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from glyph_core.config import EngineConfig
from glyph_core.engine.host_tier import MOVED_AT_ONCE, HostMemory, HostTier, Moves
from glyph_core.engine.kv_cache import KVCache
from tests.engine.conftest import CaseFactory, EngineFactory, TextModel
from tests.engine.driving import Case, drive, feed_wanted, prompt_of, token_ids
from tests.engine.fakes import FakeTextModel, page_features

MODEL = FakeTextModel()
BLOCK_SIZE, NUM_BLOCKS = 4, 12
BLOCK_BYTES = KVCache.num_block_bytes(MODEL, BLOCK_SIZE)
POOL = {"block_size": BLOCK_SIZE, "num_blocks": NUM_BLOCKS}


def host(num_slots: int) -> dict[str, float]:
    return {"host_kv_gb": num_slots * BLOCK_BYTES / 1024**3}


def case_of(*pages: str, num_tokens: int = 4) -> Case:
    """A document of ``pages`` and a question; 6 tokens a page and 3 of the question."""
    prompt, features = prompt_of(*pages, (1, 2, 3)), [page_features(page) for page in pages]
    case = Case(prompt, features, MODEL.greedy(prompt, features, num_tokens))
    return replace(case, sampling=case.sampling.model_copy(update={"max_tokens": num_tokens}))


FIRST, SECOND = case_of("p", "q", "r", "s"), case_of("t", "u", "v", "w", "x", "y")  # the second takes the whole pool


def test_what_was_pushed_out_is_restored_and_nothing_is_asked_for_again(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, **POOL, **host(16))
    drive(engine, {"a": FIRST})
    drive(engine, {"b": SECOND})
    engine.add("again", FIRST.prompt, FIRST.sampling)
    assert engine.wanted_pages("again") == ()
    outputs = []
    while engine.has_work:
        assert engine.can_step
        outputs += engine.step()
        engine.check_integrity()
    assert token_ids(outputs) == FIRST.expected
    assert outputs[0].num_cached_tokens == 24  # of 27: six whole blocks
    assert engine.stats().num_restored_blocks == 5  # one was still in the pool


def test_without_host_memory_it_is_computed_again(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, **POOL)
    drive(engine, {"a": FIRST})
    drive(engine, {"b": SECOND})
    engine.add("again", FIRST.prompt, FIRST.sampling)
    assert engine.wanted_pages("again") != ()
    assert engine.stats().num_host_blocks == 0


def test_two_who_want_the_same_share_what_is_restored(make_engine: EngineFactory) -> None:
    engine = make_engine(MODEL, block_size=BLOCK_SIZE, num_blocks=20, **host(40))
    drive(engine, {"a": FIRST})
    drive(engine, {"b": SECOND})
    drive(engine, {"c": case_of("1", "2", "3", "4", "5", "6", "7", "8")})
    before = engine.stats().num_restored_blocks
    outputs = drive(engine, {"d": FIRST, "e": FIRST})
    assert [token_ids(outputs[name]) for name in "de"] == [FIRST.expected] * 2
    assert engine.stats().num_restored_blocks - before <= 6


def test_what_host_memory_lost_meanwhile_is_asked_for_and_computed(make_engine: EngineFactory) -> None:
    """It is promised when the request is queued, and pushed out of host memory before the request can run."""
    engine = make_engine(MODEL, **POOL, max_num_seqs=1, **host(6))
    drive(engine, {"a": FIRST})
    drive(engine, {"b": SECOND})
    engine.add("long", SECOND.prompt, SECOND.sampling.model_copy(update={"max_tokens": 8}))
    engine.add("again", FIRST.prompt, FIRST.sampling)
    outputs: dict[str, list[int]] = {"long": [], "again": []}
    cases = {"long": SECOND, "again": FIRST}
    while engine.has_work:
        for name, case in cases.items():
            feed_wanted(engine, name, case)
        assert engine.can_step
        for output in engine.step():
            outputs[output.request_id].append(output.token_id)
        engine.check_integrity()
    assert outputs["again"] == FIRST.expected


def test_equals_transformers_after_a_way_through_host_memory(
    text_model: TextModel, tiny_case: CaseFactory, make_engine: EngineFactory
) -> None:
    first, second = tiny_case(((112, 56), (84, 84)), 1), tiny_case(((112, 112), (84, 112)), 2)
    slot = KVCache.num_block_bytes(text_model, 4) / 1024**3
    engine = make_engine(
        text_model, block_size=4, num_blocks=-(-(len(second.prompt.token_ids) + 32) // 4), host_kv_gb=64 * slot
    )
    for case in (first, second, first, second):
        assert token_ids(drive(engine, {"a": case})["a"]) == list(case.expected)
    assert engine.stats().num_restored_blocks > 0


@pytest.mark.parametrize("kv_dtype", ["auto", "fp8"])
def test_blocks_move_as_they_are(kv_dtype: str) -> None:
    cache = KVCache(MODEL, 3 * MOVED_AT_ONCE, BLOCK_SIZE, kv_dtype)
    random = torch.Generator().manual_seed(0)
    for pool in (cache.k, cache.v):
        pool.copy_(torch.randn(pool.shape, generator=random, dtype=torch.float64))
    k, v = cache.k.clone(), cache.v.clone()
    num_moved = 2 * MOVED_AT_ONCE + 3
    blocks = torch.randperm(cache.num_blocks, generator=random)[:num_moved].tolist()
    slots = torch.randperm(num_moved, generator=random).tolist()
    memory = HostMemory(cache, num_moved)
    memory.move(Moves(saves=dict(zip(blocks, slots, strict=True))))
    cache.k.zero_()
    cache.v.zero_()
    memory.move(Moves(loads=dict(zip(blocks, slots, strict=True))))
    for pool, was in ((cache.k, k), (cache.v, v)):
        assert torch.equal(pool[:, blocks].double(), was[:, blocks].double())


def test_a_slot_that_is_to_be_loaded_from_is_not_given_away() -> None:
    tier = HostTier(2)
    tier.displace(0, b"old")
    tier.displace(1, b"new")
    assert tier.load(b"old", 2)
    tier.displace(3, b"third")  # "old" is now the younger, and is awaited anyway
    assert b"old" in tier
    tier.displace(4, b"fourth")
    assert [content in tier for content in (b"old", b"new", b"fourth")] == [True, False, True]
    assert tier.take_moves() == Moves(saves={0: 0, 1: 1, 3: 1, 4: 1}, loads={2: 0})


def test_a_block_that_is_given_on_at_once_is_not_loaded() -> None:
    tier = HostTier(2)
    tier.displace(0, b"old")
    assert tier.load(b"old", 1)
    tier.displace(1, b"old")
    assert tier.take_moves() == Moves(saves={0: 0})
    assert not tier.take_moves()


def test_no_host_memory_is_the_default() -> None:
    assert EngineConfig().host_kv_gb == 0
