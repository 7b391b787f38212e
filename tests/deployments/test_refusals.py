"""Errors that are no fault of the service travel as values; all others stay exceptions."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from functools import partial

import pytest

from deployments.faults import call_stage, receive
from deployments.refusals import REFUSALS, Refusal, returns_refusals, yields_refusals
from glyph_core.errors import EmptyDocumentError, GlyphError, RequestTimeoutError, StageError
from tests.deployments.local import LocalHandle


class Stage:
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.num_open = 0

    @returns_refusals
    async def plan(self) -> str:
        raise self.error

    @yields_refusals
    async def pages(self, num_pages: int) -> AsyncGenerator[int]:
        self.num_open += 1
        try:
            for index in range(num_pages):
                yield index
            raise self.error
        finally:
            self.num_open -= 1


REFUSED = [EmptyDocumentError("nothing in it", param="messages.0"), RequestTimeoutError("too late")]


@pytest.mark.parametrize("error", REFUSED, ids=lambda error: type(error).__name__)
def test_a_refusal_is_a_value_on_the_way_and_an_error_again_at_the_caller(error: GlyphError) -> None:
    async def test() -> None:
        stage = Stage(error)
        assert await stage.plan() == Refusal(error)
        assert [reply async for reply in stage.pages(2)] == [0, 1, Refusal(error)]
        with pytest.raises(type(error)) as caught:
            await call_stage(LocalHandle(stage).plan.remote, "stage")
        assert caught.value is error
        replies = receive(partial(LocalHandle(stage).pages.options(stream=True).remote, 2), "stage")
        assert [await anext(replies), await anext(replies)] == [0, 1]
        with pytest.raises(type(error)):
            await anext(replies)

    asyncio.run(test())


@pytest.mark.parametrize("error", [StageError("it broke"), ZeroDivisionError()], ids=lambda error: type(error).__name__)
def test_a_fault_stays_an_exception(error: Exception) -> None:
    async def test() -> None:
        stage = Stage(error)
        with pytest.raises(type(error)):
            await stage.plan()
        with pytest.raises(type(error)):
            [reply async for reply in stage.pages(2)]

    asyncio.run(test())


def test_leaving_the_stream_closes_the_method() -> None:
    async def test() -> None:
        stage = Stage(StageError("never reached"))
        pages = stage.pages(5)
        await anext(pages)
        assert stage.num_open == 1
        await pages.aclose()
        assert stage.num_open == 0

    asyncio.run(test())


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_a_refusal_crosses_processes_whole(kind: type[GlyphError]) -> None:
    copy = pickle.loads(pickle.dumps(Refusal(kind("no", param="model"))))
    assert (type(copy.error), copy.error.message, copy.error.param) == (kind, "no", "model")
