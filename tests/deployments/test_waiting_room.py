"""Who is refused for want of KV memory, with what advice, and that nothing was done for him."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from deployments.refusals import accepted
from deployments.waiting_room import Place, WaitingRoom
from glyph_core.config import CreditConfig
from glyph_core.errors import ContextLengthError, OverloadedError
from glyph_core.types import Answer
from tests.clock import Clock
from tests.deployments.fakes import FakeChain, FakeEngine, request_about

PAGES = {"a": 100, "b": 100}


def test_what_one_wants_is_free_again_when_he_leaves() -> None:
    room = WaitingRoom(1000, 1.0)
    with room.place() as place:
        room.take(place, 50, PAGES)
        assert room.num_tokens == 250
    assert room.num_tokens == 0


def test_a_page_that_several_show_is_counted_until_the_last_of_them_leaves() -> None:
    room = WaitingRoom(1000, 1.0)
    with room.place() as first:
        room.take(first, 10, PAGES)
        with room.place() as second:
            room.take(second, 20, {"b": 100, "c": 100})
            assert room.num_tokens == 10 + 20 + 300
        assert room.num_tokens == 10 + 200
    assert room.num_tokens == 0


def test_one_that_would_overfill_the_room_is_refused_with_the_numbers() -> None:
    room = WaitingRoom(100, 4.0)
    with room.place() as first:
        room.take(first, 0, {"a": 350})
        with (
            pytest.raises(OverloadedError, match=r"350 tokens.*51 more.*holds 100 and lets 400"),
            room.place() as place,
        ):
            room.take(place, 51, {})
        with room.place() as place:
            room.take(place, 50, {"a": 350})  # the page is there already
            with pytest.raises(OverloadedError, match="want 400 tokens"), room.place():
                raise AssertionError("it is full: nobody comes in")
    assert room.num_tokens == 0


def test_whoever_is_alone_is_never_refused() -> None:
    room = WaitingRoom(100, 1.0)
    with room.place() as place:
        room.take(place, 100, PAGES)


def test_the_advice_goes_by_the_last_minute() -> None:
    clock = Clock()
    room = WaitingRoom(1000, 1.0, clock)

    def refused() -> float | None:
        with pytest.raises(OverloadedError) as caught, room.place() as place:
            room.take(place, 300, {})
        survivor: OverloadedError = pickle.loads(pickle.dumps(caught.value))
        return survivor.retry_after_s

    with room.place() as long:
        room.take(long, 900, {})
        assert refused() == 1.0  # nobody has left yet
        for _ in range(10):
            with room.place() as place:
                room.take(place, 100, {})
            clock.now += 2.0
        assert refused() == pytest.approx(200 / 50)  # 200 too many, 1000 in 20 s
        clock.now += 100
        assert refused() == 1.0


def test_places_of_requests_that_are_still_planned_count_nothing() -> None:
    room = WaitingRoom(100, 1.0)
    with room.place() as place, room.place():
        assert place == Place()
        room.take(place, 100, {})


def wait_for(chain: FakeChain, num_open: int) -> asyncio.Future[None]:
    async def wait() -> None:
        while (await chain.decoder.stats()).num_requests < num_open or len(chain.engine.prompts) < num_open:
            await asyncio.sleep(0.005)

    return asyncio.ensure_future(asyncio.wait_for(wait(), 10))


def test_a_request_that_overfills_the_room_costs_no_page() -> None:
    async def test() -> None:
        chain = FakeChain(engine=FakeEngine(is_stuck=True), num_kv_tokens=2000, max_kv_pools=2.0)
        first = asyncio.create_task(events_of(chain, 20))  # 16 tokens a page and some, twice the pool and more
        await wait_for(chain, 1)
        wanted = (await chain.decoder.stats()).num_kv_tokens_wanted
        assert 20 * 16 < wanted < 4000
        with pytest.raises(OverloadedError, match="KV memory"):
            await events_of(chain, 200)
        assert chain.drawing.num_pages <= 20  # the first one's
        assert (await chain.decoder.stats()).num_kv_tokens_wanted == wanted
        first.cancel()
        await asyncio.wait([first])
        assert (await chain.decoder.stats()).num_kv_tokens_wanted == 0
        chain.engine.is_stuck = False
        assert isinstance((await events_of(chain, 100))[-1], Answer)

    asyncio.run(asyncio.wait_for(test(), 30))


def test_a_page_that_fits_no_context_is_refused_before_anything_is_drawn() -> None:
    async def test() -> None:
        chain = FakeChain(credit_config=CreditConfig())
        chain.drawing.width_px = chain.drawing.height_px = 3000  # 2,800 tokens and more
        chain.drawing.height_px = 6000
        with pytest.raises(ContextLengthError, match=r"page 1 of document '3 pages' takes \d+ tokens"):
            await events_of(chain, 3)
        assert chain.drawing.num_pages == 0
        assert not chain.engine.prompts

    asyncio.run(asyncio.wait_for(test(), 30))


async def events_of(chain: FakeChain, num_pages: int):  # type: ignore[no-untyped-def]
    return [event async for message in chain.decoder.answer(request_about(num_pages)) for event in accepted(message)]
