"""The time that a request may take, from its head to its last event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from glyph_core.errors import RequestTimeoutError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    started_at: float  # of time.monotonic
    timeout_s: float

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """What ``awaitable`` brings; cancels it and raises RequestTimeoutError when the time is over."""
        try:
            async with asyncio.timeout(self.started_at + self.timeout_s - time.monotonic()) as timer:
                return await awaitable
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise RequestTimeoutError(
                f"the request was not answered within {self.timeout_s:g} s; send less, or allow more time in "
                "glyph.timeout_s, up to the service's own limit"
            ) from error

    async def over(self, events: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """``events``, as long as they come in time; closes them when it ends, however it does."""
        async with aclosing(events):
            while True:
                try:
                    event = await self.wait(anext(events))
                except StopAsyncIteration:
                    return
                yield event
