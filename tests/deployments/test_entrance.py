"""Room for requests: of all, of a key, by rate and by bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack

import pytest

from deployments.access import AccessConfig, ApiKeys
from deployments.deadlines import Deadline
from deployments.entrance import Entrance, OverloadConfig
from glyph_core.errors import OverloadedError, RateLimitError, RequestTimeoutError
from tests.clock import Clock


def entrance(clock: Clock | None = None, *, overload: OverloadConfig | None = None, **access: float) -> Entrance:
    config = AccessConfig.model_validate(access)
    return Entrance(ApiKeys({}), config, overload or OverloadConfig(), clock or Clock())


def test_a_key_may_come_in_a_burst_and_then_at_its_rate() -> None:
    clock = Clock()
    door = entrance(clock, requests_per_minute=30, burst=3)
    for _ in range(3):
        with door.open_request("ana"):
            pass
    with pytest.raises(RateLimitError, match="ana may send 30 requests a minute") as caught, door.open_request("ana"):
        pass
    assert caught.value.retry_after_s == pytest.approx(2.0)
    with door.open_request("bob"):  # has a rate of his own
        pass
    clock.now += 2.0
    with door.open_request("ana"):
        pass
    with pytest.raises(RateLimitError), door.open_request("ana"):
        pass
    clock.now += 1000.0
    assert sum(1 for _ in range(3) if door.open_request("ana").__enter__()) == 3
    with pytest.raises(RateLimitError), door.open_request("ana"):  # it never has more than a burst
        pass


def test_a_key_has_so_many_requests_open_and_no_more() -> None:
    door = entrance(max_concurrent=2)
    with door.open_request("ana"), door.open_request("ana"):
        with pytest.raises(RateLimitError, match="2 requests open"), door.open_request("ana"):
            pass
        with door.open_request("bob"):
            assert door.num_open == 3
    assert door.num_open == 0
    with door.open_request("ana"):
        pass


def test_all_together_have_so_many_open_and_a_refusal_costs_no_rate() -> None:
    door = entrance(overload=OverloadConfig(max_open_requests=2), requests_per_minute=1, burst=1)
    with door.open_request("ana"), door.open_request("bob"):
        with pytest.raises(OverloadedError, match="2 requests open") as caught, door.open_request("eve"):
            pass
        assert not isinstance(caught.value, RateLimitError)
    with door.open_request("eve"):
        pass


def test_the_bodies_of_open_requests_are_bounded_and_given_back() -> None:
    door = entrance(overload=OverloadConfig(max_open_bytes=100))
    with ExitStack() as others:
        first = others.enter_context(door.open_request("ana"))
        first.take(60)
        with door.open_request("bob") as second:
            second.take(40)
            with pytest.raises(OverloadedError, match="100 bytes"):
                second.take(1)
        with door.open_request("bob") as third:
            third.take(40)
    with door.open_request("ana") as alone:
        alone.take(100)


async def ticking(period_s: float, closed: list[bool]) -> AsyncGenerator[int]:
    try:
        for index in range(1000):
            await asyncio.sleep(period_s)
            yield index
    finally:
        closed.append(True)


def test_a_deadline_ends_the_events_and_closes_them() -> None:
    async def test() -> None:
        closed: list[bool] = []
        events = Deadline(time.monotonic(), 0.2).over(ticking(0.01, closed))
        assert [await anext(events), await anext(events)] == [0, 1]
        with pytest.raises(RequestTimeoutError, match=r"0\.2 s"):
            [event async for event in events]
        assert closed == [True]

    asyncio.run(test())


def test_leaving_before_the_deadline_closes_the_events() -> None:
    async def test() -> None:
        closed: list[bool] = []
        events = Deadline(time.monotonic(), 60).over(ticking(0.0, closed))
        await anext(events)
        await events.aclose()
        assert closed == [True]

    asyncio.run(test())


def test_a_deadline_that_has_passed_waits_for_nothing() -> None:
    async def test() -> None:
        with pytest.raises(RequestTimeoutError):
            await Deadline(time.monotonic() - 10, 5).wait(asyncio.sleep(1))

    asyncio.run(test())


def test_a_timeout_of_somebody_else_is_no_deadline() -> None:
    async def fail() -> None:
        raise TimeoutError("a socket's")

    async def test() -> None:
        with pytest.raises(TimeoutError, match="a socket's"):
            await Deadline(time.monotonic(), 5).wait(fail())

    asyncio.run(test())
