"""DrawingThread: whom it waits for, and who waits for whom."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import aclosing
from contextvars import ContextVar

import pytest

from deployments.drawing import DrawingThread

LONG_S = 30.0


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(test, LONG_S))


async def all_of(thread: DrawingThread, *parts: int) -> list[int]:
    return [part async for part in thread.run(lambda: iter(parts))]


def test_it_goes_on_while_the_event_loop_is_busy() -> None:
    """Also from one job to the next."""
    second_is_made = threading.Event()

    def second() -> Iterator[int]:
        yield 3
        second_is_made.set()

    async def test() -> None:
        thread = DrawingThread()
        async with aclosing(thread.run(lambda: iter((1, 2)))) as first, aclosing(thread.run(second)) as later:
            taking, taking_later = asyncio.ensure_future(anext(first)), asyncio.ensure_future(anext(later))
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # both jobs are in line
            assert second_is_made.wait(LONG_S)  # the event loop does nothing meanwhile
            assert (await taking, await taking_later) == (1, 3)
            assert [part async for part in first] == [2]

    run(test())


def test_jobs_take_turns_in_their_order() -> None:
    made: list[int] = []

    def noted(parts: range) -> Iterator[int]:
        for part in parts:
            time.sleep(0.001)
            made.append(part)
            yield part

    async def test() -> None:
        thread = DrawingThread()

        async def take(start: int) -> None:
            async for _ in thread.run(lambda: noted(range(start, start + 3))):
                pass

        await asyncio.gather(*(take(start) for start in (6, 0, 3)))

    run(test())
    assert made == [6, 7, 8, 0, 1, 2, 3, 4, 5]


def test_those_behind_a_slow_job_are_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.drawing.SLOW_S", 0.02)
    may_end = threading.Event()

    def slow() -> Iterator[int]:
        assert may_end.wait(LONG_S)
        yield 1

    async def test() -> None:
        thread = DrawingThread()
        taking = asyncio.create_task(anext(thread.run(slow)))
        await asyncio.sleep(0)
        assert await asyncio.gather(all_of(thread, 2), all_of(thread, 3)) == [[2], [3]]
        assert not taking.done()
        may_end.set()
        assert await taking == 1
        assert await all_of(thread, 4) == [4]

    run(test())


def test_an_error_comes_after_what_was_made_and_ends_its_own_job_only() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("page 2")

    async def test() -> None:
        thread = DrawingThread()
        async with aclosing(thread.run(broken)) as parts:
            assert await anext(parts) == 1
            with pytest.raises(ValueError, match="page 2"):
                await anext(parts)
        assert await all_of(thread, 3) == [3]

    run(test())


def test_a_job_that_was_left_while_it_waits_is_never_begun() -> None:
    begun: list[int] = []
    may_end = threading.Event()

    def first() -> Iterator[int]:
        assert may_end.wait(LONG_S)
        yield 1

    def left() -> Iterator[int]:
        begun.append(1)
        yield 2

    async def test() -> None:
        thread = DrawingThread()
        taking = asyncio.create_task(anext(thread.run(first)))
        leaving = asyncio.create_task(anext(thread.run(left)))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        may_end.set()
        assert await taking == 1
        assert await all_of(thread, 3) == [3]

    run(test())
    assert begun == []


def test_a_job_runs_in_its_callers_context() -> None:
    request_id: ContextVar[str] = ContextVar("request_id")

    async def test() -> None:
        request_id.set("req-1")
        assert [part async for part in DrawingThread().run(lambda: iter([request_id.get()]))] == ["req-1"]

    run(test())
