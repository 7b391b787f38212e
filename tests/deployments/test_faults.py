"""What the death of a replica means for a call on its way, without Ray: for the stream of an answer and for whoever
writes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from ray.exceptions import ActorDiedError

from deployments.faults import receive
from deployments.gateway_watch import GatewayWatch
from glyph_core.errors import StageError
from tests.deployments.local import LocalHandle


class DyingDecoder:
    """Two words of progress, two of an answer; dies so often before the word of that index."""

    WORDS = ("plans", "reads", "forty", "two")

    def __init__(self, dies_before: int, num_deaths: int) -> None:
        self.dies_before, self.num_deaths = dies_before, num_deaths

    async def words(self) -> AsyncGenerator[str]:
        for index, word in enumerate(self.WORDS):
            if index == self.dies_before and self.num_deaths:
                self.num_deaths -= 1
                raise ActorDiedError
            await asyncio.sleep(0)
            yield word

    async def all_words(self) -> list[str]:
        issue = LocalHandle(self).words.options(stream=True).remote
        words = receive(issue, "decoder", may_repeat=lambda word: word in ("plans", "reads"))
        return [word async for word in words]


def test_a_decoder_that_dies_before_the_first_word_is_asked_again() -> None:
    assert asyncio.run(DyingDecoder(0, 1).all_words()) == ["plans", "reads", "forty", "two"]
    assert asyncio.run(DyingDecoder(2, 1).all_words()) == ["plans", "reads", "plans", "reads", "forty", "two"]


@pytest.mark.parametrize(("dies_before", "num_deaths"), [(3, 1), (0, 2)], ids=["after a word", "twice"])
def test_otherwise_the_death_is_an_error(dies_before: int, num_deaths: int) -> None:
    with pytest.raises(StageError, match="the decoder died"):
        asyncio.run(DyingDecoder(dies_before, num_deaths).all_words())


def test_a_gateways_death_cancels_its_requests_and_no_others() -> None:
    alive = {"first", "second"}

    async def test() -> None:
        watch = GatewayWatch(alive.__contains__, period_s=0.01)
        left = asyncio.Event()

        async def write(gateway: str) -> str:
            with watch.cancelling(gateway):
                await left.wait()
            return gateway

        requests = [asyncio.create_task(write(gateway)) for gateway in ("first", "second", "", "first")]
        await asyncio.sleep(0.05)
        assert not any(request.done() for request in requests)
        alive.remove("first")
        await asyncio.wait(requests, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        left.set()
        assert await asyncio.gather(*requests, return_exceptions=True) == [Cancelled(), "second", "", Cancelled()]

    asyncio.run(test())


class Cancelled:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, asyncio.CancelledError)
