"""Stages small enough to read at a glance, and handles that call an object as Ray Serve's handles call a replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from dataclasses import dataclass, field
from typing import Any

from ray.exceptions import ActorDiedError

from deployments.protocol import DocumentRef, RangeRequest
from glyph_core.config import PRESETS
from glyph_core.types import digest_of


@dataclass(frozen=True)
class Stored:
    """What an ObjectRef is to its reader: something that can be awaited any number of times."""

    content: bytes

    def __await__(self) -> Generator[Any, None, bytes]:
        return asyncio.sleep(0, self.content).__await__()


def stored(content: bytes, name: str = "document.txt") -> DocumentRef:
    return DocumentRef(name, digest_of(content), len(content), Stored(content))


def range_of(num_pages: int, document: DocumentRef | None = None, start: int = 0) -> RangeRequest:
    return RangeRequest(document or stored(b"text"), PRESETS["mini"], start, start + num_pages)


@dataclass
class LocalStream:
    """A streaming call: runs ahead of its reader to the end, as a Serve stream does, until it is cancelled."""

    replies: AsyncGenerator[Any]
    received: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self.received.put_nowait(None))

    async def _run(self) -> None:
        async for reply in self.replies:
            self.received.put_nowait(reply)

    def __aiter__(self) -> LocalStream:
        return self

    async def __anext__(self) -> Any:
        reply = await self.received.get()
        if reply is not None:
            return reply
        self.received.put_nowait(None)
        self._task.result()
        raise StopAsyncIteration

    def cancel(self) -> None:
        self._task.cancel()


@dataclass
class LocalMethod:
    target: Any
    name: str
    stream: bool = False

    def options(self, *, stream: bool) -> LocalMethod:
        return LocalMethod(self.target, self.name, stream)

    def remote(self, *args: Any) -> LocalStream | Awaitable[Any]:
        reply = getattr(self.target, self.name)(*args)
        return LocalStream(reply) if self.stream else reply


class LocalHandle:
    """A DeploymentHandle to an object of this process."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> LocalMethod:
        return LocalMethod(self._target, name)


@dataclass
class CountingStage:
    """Gives page numbers, two a message; counts what it made, and dies before the pages that it is told to."""

    page_s: float = 0.0
    deaths: list[int] = field(default_factory=list)
    error: Exception | None = None
    num_made: int = 0
    num_open: int = 0
    max_open: int = 0

    async def pages(self, request: RangeRequest) -> AsyncGenerator[tuple[int, ...]]:
        self.num_open += 1
        self.max_open = max(self.max_open, self.num_open)
        try:
            for part in request.cut(2):
                if self.deaths and part.start <= self.deaths[0] < part.stop:
                    self.deaths.pop(0)
                    raise ActorDiedError
                if self.error:
                    raise self.error
                await asyncio.sleep(self.page_s * len(part))
                self.num_made += len(part)
                yield tuple(range(part.start, part.stop))
        finally:
            self.num_open -= 1
