"""PageBatcher: when a batch is cut, whose an error is, what a cancelled page costs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.batcher import PageBatcher
from glyph_core.errors import StageError


class FakeDevice:
    """Squares numbers at a fixed cost a batch; 13 breaks the batch that holds it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def encode(self, pages: Sequence[int]) -> list[int]:
        self.batches.append(list(pages))
        time.sleep(0.01)
        if 13 in pages:
            raise ValueError("13")
        return [page**2 for page in pages]


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_a_batch_takes_what_has_come_by_the_time_the_device_is_free(thread: ThreadPoolExecutor) -> None:
    async def run() -> None:
        device = FakeDevice()
        batcher = PageBatcher(device.encode, thread, max_batch=4)
        first = batcher.submit(0)
        await asyncio.sleep(0.002)  # the device is busy with it
        later = [batcher.submit(page) for page in range(1, 7)]
        assert await asyncio.gather(first, *later) == [page**2 for page in range(7)]
        assert device.batches == [[0], [1, 2, 3, 4], [5, 6]]
        assert (batcher.stats.num_batches, batcher.stats.num_pages) == (3, 7)

    asyncio.run(run())


def test_requests_take_turns_and_keep_their_own_order(thread: ThreadPoolExecutor) -> None:
    async def run() -> list[list[int]]:
        device = FakeDevice()
        batcher = PageBatcher(device.encode, thread, max_batch=4)
        giant = [batcher.submit(page, "giant") for page in range(100, 110)]
        small = [batcher.submit(page, owner) for owner, page in (("a", 1), ("b", 2), ("a", 3))]
        assert batcher.num_waiting == 13
        await asyncio.gather(*giant, *small)
        return device.batches

    assert asyncio.run(run()) == [[100, 1, 2, 101], [3, 102, 103, 104], [105, 106, 107, 108], [109]]


def test_an_error_is_its_own_pages_only(thread: ThreadPoolExecutor) -> None:
    async def run() -> list[int | BaseException]:
        batcher = PageBatcher(FakeDevice().encode, thread, max_batch=4)
        return await asyncio.gather(*(batcher.submit(page) for page in (12, 13, 14)), return_exceptions=True)

    good, bad, also_good = asyncio.run(run())
    assert (good, also_good) == (144, 196)
    assert isinstance(bad, ValueError)


def test_a_page_cancelled_in_time_is_not_encoded(thread: ThreadPoolExecutor) -> None:
    async def run() -> FakeDevice:
        device = FakeDevice()
        batcher = PageBatcher(device.encode, thread, max_batch=4)
        results = [batcher.submit(page) for page in (1, 2, 3)]
        results[1].cancel()
        await asyncio.gather(*results, return_exceptions=True)
        return device

    assert asyncio.run(run()).batches == [[1, 3]]


def test_it_works_again_after_a_pause(thread: ThreadPoolExecutor) -> None:
    async def run() -> list[int]:
        batcher = PageBatcher(FakeDevice().encode, thread, max_batch=4)
        return [await batcher.submit(page) for page in (1, 2, 3)]

    assert asyncio.run(run()) == [1, 4, 9]


def test_a_batch_that_comes_back_short_is_an_error(thread: ThreadPoolExecutor) -> None:
    async def run() -> None:
        await PageBatcher(lambda pages: pages[1:], thread, max_batch=4).submit(1)

    with pytest.raises(StageError, match="1 pages came back as 0"):
        asyncio.run(run())


def test_the_device_goes_on_while_the_event_loop_is_busy(thread: ThreadPoolExecutor) -> None:
    device = FakeDevice()
    all_are_encoded = threading.Event()

    def encode(pages: Sequence[int]) -> list[int]:
        encoded = device.encode(pages)
        if 7 in pages:
            all_are_encoded.set()
        return encoded

    async def run() -> list[int]:
        batcher = PageBatcher(encode, thread, max_batch=3)
        results = [batcher.submit(page) for page in range(8)]
        await asyncio.sleep(0)
        assert all_are_encoded.wait(30)  # the event loop does nothing meanwhile
        return await asyncio.gather(*results)

    assert asyncio.run(run()) == [page**2 for page in range(8)]
    assert device.batches == [[0, 1, 2], [3, 4, 5], [6, 7]]
