"""Back-pressure between stages: bounded calls instead of one endless stream.

A Serve stream has no back-pressure: the callee runs to its end however slowly it is read. So a stage asks for its
pages in calls of a few pages and holds a few calls open; what is rendered ahead of use is then at most
``max_calls`` × the pages of a call. Calls go to any replica of the stage, which spreads one document over several.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from deployments.faults import MAX_REISSUES, REMOTE_ERRORS, Stream, as_glyph_error, is_replica_death
from deployments.protocol import RangeRequest
from deployments.refusals import Refusal, accepted
from glyph_core.errors import StageError

T = TypeVar("T")


class _RangeCall(Generic[T]):
    """One range under way, issued again where its replica dies."""

    def __init__(
        self, pages: RangeRequest, issue: Callable[[RangeRequest], Stream[Sequence[T] | Refusal]], stage: str
    ) -> None:
        self._pages, self._issue, self._stage = pages, issue, stage
        self._stream = issue(pages)
        self._num_reissues = 0

    async def next_pages(self) -> Sequence[T]:
        """The next message; empty when the whole range has come."""
        while len(self._pages):
            try:
                message = accepted(await self._stream.__anext__())
            except StopAsyncIteration:
                raise StageError(
                    f"the {self._stage} ended its stream {len(self._pages)} pages before page {self._pages.stop}"
                ) from None
            except REMOTE_ERRORS as error:
                if not is_replica_death(error) or self._num_reissues == MAX_REISSUES:
                    raise as_glyph_error(error, self._stage) from error
                self._num_reissues += 1
                self._stream = self._issue(self._pages)
            else:
                self._pages = self._pages.after(len(message))
                return message
        return ()

    def cancel(self) -> None:
        self._stream.cancel()


async def pull_ranges(
    ranges: Iterable[RangeRequest],
    issue: Callable[[RangeRequest], Stream[Sequence[T] | Refusal]],
    *,
    max_calls: int,
    stage: str,
) -> AsyncGenerator[T]:
    """The pages of ``ranges`` in their order, with at most ``max_calls`` ranges under way.

    ``ranges`` is asked for the next one only when it can be issued: it may depend on what has come meanwhile.
    Close it (``contextlib.aclosing``) when done early: that cancels the calls that are still open. Raises what the
    stage raised, as one of our errors, and StageError where a range was lost with its replica too often.
    """
    waiting = iter(ranges)
    calls: deque[_RangeCall[T]] = deque()
    try:
        while True:
            for pages_wanted in islice(waiting, max_calls - len(calls)):
                calls.append(_RangeCall(pages_wanted, issue, stage))
            if not calls:
                return
            while pages := await calls[0].next_pages():
                for page in pages:
                    yield page
            calls.popleft()
    finally:
        for call in calls:
            call.cancel()


async def call_each(calls: Iterable[Callable[[], Awaitable[T]]], *, max_calls: int) -> list[T]:
    """What the calls return, in their order, with at most ``max_calls`` of them under way. The first error ends all."""
    room = asyncio.Semaphore(max_calls)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with room:
            return await call()

    tasks = [asyncio.create_task(one(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
