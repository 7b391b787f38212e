"""Pinned documents keep their blocks, within their share, and whoever must run still runs."""

from __future__ import annotations

import pytest

from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import Engine
from glyph_core.errors import PinnedShareError
from tests.engine.conftest import EngineFactory
from tests.engine.driving import Case, Parts, drive, prompt_of
from tests.engine.fakes import FakeTextModel, page_features

LEASE: Parts = ((1, 2), "p", "q")  # 14 tokens: three blocks of four, and two tokens
MODEL = FakeTextModel()


def case_of(*parts: str | tuple[int, ...]) -> Case:
    features = [page_features(part) for part in parts if isinstance(part, str)]
    return Case(prompt_of(*parts), features, sampling=SamplingConfig(max_tokens=2, ignore_eos=True))


def ask(engine: Engine, *parts: str | tuple[int, ...]) -> int:
    """Tokens of the prompt that were cached."""
    outputs = drive(engine, {"r": case_of(*parts, (9, 9))})
    return outputs["r"][0].num_cached_tokens


def ask_others(engine: Engine, count: int = 12) -> None:
    for number in range(count):
        ask(engine, (number + 3, 5), f"o{number}", f"a{number}")


def pin(engine: Engine, name: str, parts: Parts, num_tokens: int = 14) -> None:
    engine.pin(name, [page.page.digest for page in prompt_of(*parts).pages], [num_tokens])


def engine_of(make_engine: EngineFactory, num_blocks: int = 16, share: float = 0.5) -> Engine:
    return make_engine(MODEL, block_size=4, num_blocks=num_blocks, pinned_share=share)


@pytest.mark.parametrize("is_read_before", [False, True], ids=["pinned, then read", "read, then pinned, then used"])
def test_a_pinned_document_is_still_there_after_many_others(make_engine: EngineFactory, is_read_before: bool) -> None:
    engine = engine_of(make_engine)
    if is_read_before:
        ask(engine, *LEASE)
    pin(engine, "lease", LEASE)
    ask(engine, *LEASE)
    assert engine.stats().num_pinned_blocks == 4
    ask_others(engine)
    assert ask(engine, *LEASE) == 12
    assert ask(engine, *LEASE[:2], "r") == 8  # what another prompt shares with it


def test_one_that_is_not_pinned_is_gone(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)
    ask(engine, *LEASE)
    ask_others(engine)
    assert ask(engine, *LEASE) == 0


def test_after_unpinning_it_goes_like_any_other(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)
    pin(engine, "lease", LEASE)
    ask(engine, *LEASE)
    assert engine.unpin("le") == ["lease"]
    assert engine.unpin("le") == []
    assert ask(engine, *LEASE) == 12
    ask_others(engine)
    assert ask(engine, *LEASE) == 0
    assert (engine.stats().num_pins, engine.stats().num_pinned_blocks) == (0, 0)


def test_what_two_pins_keep_stays_for_the_second(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)
    pin(engine, "mine", LEASE)
    pin(engine, "yours", LEASE)
    ask(engine, *LEASE)
    engine.unpin("mine")
    ask_others(engine)
    assert ask(engine, *LEASE) == 12


def test_pins_have_a_share_and_say_when_it_is_full(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)  # 8 blocks for pins
    pin(engine, "lease", LEASE)
    pin(engine, "lease", LEASE)  # again is nothing new
    pin(engine, "annex", ((3,), "r"), num_tokens=16)
    with pytest.raises(PinnedShareError, match=r"8 KV blocks; 2 of them have 8, and this one needs 1: unpin another"):
        pin(engine, "more", ((4,), "s"), num_tokens=1)
    engine.unpin("annex")
    pin(engine, "more", ((4,), "s"), num_tokens=1)
    assert engine.stats().num_pins == 2


def test_a_pin_keeps_no_more_than_it_was_given(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)
    pin(engine, "lease", LEASE, num_tokens=8)
    for number in range(5):  # each time behind other words, so in other blocks
        ask(engine, (number, 7), "p", "q")
    assert engine.stats().num_pinned_blocks == 2


def test_who_fits_the_empty_pool_only_takes_what_it_needs_of_the_pinned(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)
    pin(engine, "lease", LEASE)
    ask(engine, *LEASE)
    assert ask(engine, tuple(range(1, 30)), "r", "s", tuple(range(1, 9))) == 0  # 51 tokens: 13 of 16 blocks
    assert engine.stats().num_pinned_evictions >= 1
    assert ask(engine, *LEASE) > 0  # the others stayed
    engine.check_integrity()


def test_while_others_run_who_comes_waits_rather_than_take_pinned_blocks(make_engine: EngineFactory) -> None:
    engine = engine_of(make_engine)
    pin(engine, "lease", LEASE)
    ask(engine, *LEASE)
    cases = {f"{n}": case_of((n + 3, 5), f"o{n}", f"a{n}", (9, 9)) for n in range(6)}
    drive(engine, cases)
    assert engine.stats().num_pinned_evictions == 0
    assert ask(engine, *LEASE) == 12
