"""in_messages: order, the pace, errors, closing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from deployments.messages import PERIOD_S, Pace, in_messages
from glyph_core.errors import StageError


async def counted(until: int, every_s: float = 0.0, error: Exception | None = None) -> AsyncGenerator[int]:
    for number in range(until):
        if every_s:
            await asyncio.sleep(every_s)
        yield number
    if error:
        raise error


async def sent(made: AsyncGenerator[int], pace: Pace | None = None, max_length: int = 1000) -> list[tuple[int, ...]]:
    return [message async for message in in_messages(made, pace or Pace(), max_length=max_length)]


def test_all_that_is_made_comes_in_its_order() -> None:
    for every_s in (0.0, 0.001):
        messages = asyncio.run(sent(counted(100, every_s)))
        assert [one for message in messages for one in message] == list(range(100))
    assert asyncio.run(sent(counted(0))) == []


def test_the_first_goes_alone_and_the_others_together() -> None:
    started_at = time.monotonic()
    first, *rest = asyncio.run(sent(counted(60, PERIOD_S / 10)))
    assert len(first) == 1
    assert len(rest) <= (time.monotonic() - started_at) / PERIOD_S + 1  # every period, and the last


def test_what_comes_more_rarely_than_the_pace_goes_alone() -> None:
    assert asyncio.run(sent(counted(3, 2 * PERIOD_S))) == [(0,), (1,), (2,)]


def test_an_empty_message_says_that_there_is_nothing_yet() -> None:
    async def slow() -> AsyncGenerator[int]:
        yield 0
        await asyncio.sleep(0.5)
        yield 1

    async def messages() -> list[tuple[int, ...]]:
        return [message async for message in in_messages(slow(), Pace(), max_length=9, idle_s=0.1)]

    first, *idle, last = asyncio.run(messages())
    assert (first, last) == ((0,), (1,))
    assert idle
    assert set(idle) == {()}


def test_a_full_message_does_not_wait() -> None:
    pace = Pace(lambda: 10**6)  # the next would be due in half an hour
    messages = asyncio.run(asyncio.wait_for(sent(counted(9), pace, max_length=4), 10))
    assert [len(message) for message in messages] == [4, 4, 1]


def test_the_last_message_does_not_wait() -> None:
    pace = Pace(lambda: 10**6)
    pace.note_sent()
    assert asyncio.run(asyncio.wait_for(sent(counted(3), pace), 10)) == [(0, 1, 2)]


def test_many_rows_side_by_side_send_more_rarely() -> None:
    now = 0.0
    num_rows = 1
    pace = Pace(lambda: num_rows, lambda: now)
    assert pace.wait_s() < 0
    pace.note_sent()
    assert pace.wait_s() == PERIOD_S
    num_rows = 100
    assert pace.wait_s() == pytest.approx(0.2)
    now = 0.21
    assert pace.wait_s() < 0


def test_what_came_before_an_error_comes_first() -> None:
    async def test() -> None:
        received: list[int] = []

        async def receive() -> None:
            async for message in in_messages(counted(5, 0.001, StageError("broken")), Pace(), max_length=10):
                received.extend(message)

        with pytest.raises(StageError, match="broken"):
            await receive()
        assert received == [0, 1, 2, 3, 4]

    asyncio.run(test())


def test_what_is_made_runs_on_while_a_message_is_under_way() -> None:
    async def test() -> None:
        messages = in_messages(counted(20, 0.001), Pace(), max_length=100)
        async with aclosing(messages):
            assert await anext(messages) == (0,)
            await asyncio.sleep(0.5)
            assert await anext(messages) == tuple(range(1, 20))

    asyncio.run(test())


def test_closing_closes_what_makes() -> None:
    is_closed = False

    async def endless() -> AsyncGenerator[int]:
        nonlocal is_closed
        try:
            while True:
                yield 1
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0)  # closing may take a while
            is_closed = True

    async def test() -> None:
        messages = in_messages(endless(), Pace(), max_length=3)
        await anext(messages)
        await messages.aclose()
        assert is_closed

    asyncio.run(test())


def test_cancelling_the_reader_closes_what_makes() -> None:
    is_closed = False

    async def silent() -> AsyncGenerator[int]:
        nonlocal is_closed
        try:
            await asyncio.sleep(60)
            yield 1
        finally:
            is_closed = True

    async def test() -> None:
        reading = asyncio.create_task(sent(silent()))
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert is_closed

    asyncio.run(test())
