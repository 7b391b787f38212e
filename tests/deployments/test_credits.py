"""pull_ranges: order, the window, deaths, cancellation."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial

import pytest
from ray.exceptions import RayTaskError

from deployments.credits import MAX_REISSUES, call_each, pull_ranges
from glyph_core.errors import EmptyDocumentError, StageError
from tests.deployments.fakes import CountingStage, range_of
from tests.deployments.local import LocalHandle

PAGES_PER_CALL, CALLS = 4, 3


def pull(stage: CountingStage, num_pages: int):  # type: ignore[no-untyped-def]
    issue = LocalHandle(stage).pages.options(stream=True).remote
    return pull_ranges(range_of(num_pages).cut(PAGES_PER_CALL), issue, max_calls=CALLS, stage="renderer")


async def all_of(stage: CountingStage, num_pages: int) -> list[int]:
    return [page async for page in pull(stage, num_pages)]


def test_pages_come_in_order_from_calls_that_run_side_by_side() -> None:
    stage = CountingStage(page_s=0.001)
    assert asyncio.run(all_of(stage, 30)) == list(range(30))
    assert stage.max_open == CALLS
    assert stage.num_made == 30


def test_no_pages() -> None:
    assert asyncio.run(all_of(CountingStage(), 0)) == []


def test_a_reader_that_stops_leaves_at_most_the_window_made() -> None:
    async def read_some() -> CountingStage:
        stage = CountingStage()
        pages = pull(stage, 300)
        async with aclosing(pages):
            for _ in range(20):
                await anext(pages)
            await asyncio.sleep(0.05)  # long enough for any stage of no cost to run away
            assert stage.num_made <= 20 + PAGES_PER_CALL * CALLS
        return stage

    stage = asyncio.run(read_some())
    assert stage.num_made <= 20 + PAGES_PER_CALL * CALLS


def test_closing_cancels_the_open_calls() -> None:
    async def close_early() -> None:
        stage = CountingStage(page_s=0.05)
        pages = pull(stage, 300)
        await anext(pages)
        assert stage.num_open == CALLS
        await pages.aclose()
        await asyncio.sleep(0.02)  # left alone, they would be open for five times as long
        assert stage.num_open == 0

    asyncio.run(close_early())


@pytest.mark.parametrize("deaths", [[0], [5], [4, 6, 7], [29]])
def test_a_range_that_dies_is_asked_for_again_from_where_it_was(deaths: list[int]) -> None:
    stage = CountingStage(deaths=deaths)
    assert asyncio.run(all_of(stage, 30)) == list(range(30))
    assert stage.num_made == 30  # what had come was not made twice


def test_a_range_that_always_dies_is_an_error() -> None:
    stage = CountingStage(deaths=[7] * (MAX_REISSUES + 1))
    with pytest.raises(StageError, match="renderer died"):
        asyncio.run(all_of(stage, 30))


def test_an_error_of_ours_comes_out_as_itself() -> None:
    ours = EmptyDocumentError("nothing to read", param="messages")
    wrapped = RayTaskError("pages", "traceback", ours).as_instanceof_cause()
    with pytest.raises(EmptyDocumentError, match="nothing to read") as caught:
        asyncio.run(all_of(CountingStage(error=wrapped), 30))
    assert caught.value is ours
    assert caught.value.param == "messages"


def test_another_error_of_the_stage_names_the_stage() -> None:
    wrapped = RayTaskError("pages", "traceback", ZeroDivisionError("by zero")).as_instanceof_cause()
    with pytest.raises(StageError, match="renderer failed: ZeroDivisionError: by zero"):
        asyncio.run(all_of(CountingStage(error=wrapped), 30))


def test_a_stream_that_ends_early_is_an_error() -> None:
    class Short(CountingStage):
        async def pages(self, request):  # type: ignore[no-untyped-def]
            yield (request.start,)

    with pytest.raises(StageError, match="3 pages before page 4"):
        asyncio.run(all_of(Short(), 30))


def test_calls_come_back_in_order_with_no_more_under_way_than_allowed() -> None:
    async def test() -> None:
        num_open = max_open = 0

        async def call(number: int) -> int:
            nonlocal num_open, max_open
            num_open += 1
            max_open = max(max_open, num_open)
            await asyncio.sleep(0.002 * (5 - number % 5))
            num_open -= 1
            return number

        assert await call_each([partial(call, number) for number in range(20)], max_calls=3) == list(range(20))
        assert max_open == 3

    asyncio.run(test())


def test_the_first_error_ends_the_other_calls() -> None:
    async def test() -> None:
        num_begun = num_ended = 0

        async def wait() -> None:
            nonlocal num_begun, num_ended
            num_begun += 1
            try:
                await asyncio.sleep(60)
            finally:
                num_ended += 1

        async def fail() -> None:
            await asyncio.sleep(0.01)
            raise EmptyDocumentError("nothing in it")

        with pytest.raises(EmptyDocumentError):
            await call_each([wait, fail, wait, wait], max_calls=3)
        await asyncio.sleep(0)
        assert num_begun == num_ended >= 2

    asyncio.run(test())
