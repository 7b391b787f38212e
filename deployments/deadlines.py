"""The time that a request may take, from its head to its last event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from glyph_core.errors import InvalidRequestError, RequestTimeoutError

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


def check_timeout(asked_s: float | None, longest_s: float) -> None:
    """Raises InvalidRequestError where a request asks for more time than the service gives."""
    if asked_s is not None and asked_s > longest_s:
        raise InvalidRequestError(
            f"glyph.timeout_s={asked_s:g} is more than this service gives a request, {longest_s:g} s; ask for less, or "
            "leave it out",
            param="glyph.timeout_s",
        )
