"""Handles that call an object as Ray Serve's handles call a replica, and what else stands in for Serve. No torch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from dataclasses import dataclass, field
from typing import Any

from deployments.serve_side import ServeSide


@dataclass(frozen=True)
class Stored:
    """What an ObjectRef is to its reader: something that can be awaited any number of times."""

    content: bytes

    def __await__(self) -> Generator[Any, None, bytes]:
        return asyncio.sleep(0, self.content).__await__()


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
        return LocalStream(reply) if self.stream else asyncio.ensure_future(reply)


class LocalHandle:
    """A DeploymentHandle to an object of this process."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> LocalMethod:
        return LocalMethod(self._target, name)


class FakeServeSide(ServeSide):
    """A gateway that listens on loopback, in an application with one renderer too few."""

    def listening_host(self) -> str:
        return "127.0.0.1"

    def replica_name(self) -> str:
        return ""

    async def ask_all(self, handle: Any, method: str, stage: str, timeout_s: float, *args: Any) -> list[Any]:
        return [await getattr(handle, method).remote(*args)]

    def replicas(self) -> dict[str, dict[str, int]]:
        one = {"RUNNING": 1}
        return {"Gateway": one, "Decoder": one, "Encoder": one, "Renderer": {"RUNNING": 2, "STARTING": 1}}
