"""The thread in which a renderer draws, one range after another.

It goes from page to page and from range to range by itself. The event loop, which is busy for milliseconds with every
message that it sends, is told of what was made and never waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SLOW_S = 0.25  # that others wait for one part of a job; then theirs are made beside it


class _Job(Generic[T]):
    """Parts that are made in a thread, for the event loop in which the job was made."""

    thread: ThreadPoolExecutor
    future: Future[None]

    def __init__(self, parts: Callable[[], Iterable[T]]) -> None:
        self._parts, self._context = parts, copy_context()
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[T | None] = asyncio.Queue()  # None: no more will come
        self._part_begun_at: float | None = None  # None: it waits, or has ended

    def start(self, thread: ThreadPoolExecutor) -> None:
        self.thread, self.future = thread, thread.submit(self._context.run, self._make)
        self.future.add_done_callback(self._tell_end)

    @property
    def is_slow(self) -> bool:
        begun_at = self._part_begun_at
        return begun_at is not None and time.monotonic() - begun_at >= SLOW_S

    async def next_part(self) -> T | None:
        """None at the end. Raises what ended it early."""
        part = await self._made.get()
        if part is None:
            self.future.result()
        return part

    def _make(self) -> None:
        self._part_begun_at = time.monotonic()
        try:
            for part in self._parts():
                self._loop.call_soon_threadsafe(self._made.put_nowait, part)
                self._part_begun_at = time.monotonic()
        finally:
            self._part_begun_at = None

    def _tell_end(self, future: Future[None]) -> None:
        if not future.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._made.put_nowait, None)


class DrawingThread:
    """Runs jobs in the order in which they came. One that is slow keeps its thread, and those behind it get another."""

    def __init__(self) -> None:
        self._jobs: list[_Job[Any]] = []
        self._thread = _new_thread()

    async def run(self, parts: Callable[[], Iterable[T]]) -> AsyncGenerator[T]:
        """What ``parts`` yields, called in the thread. Closed early, it takes back what has not begun;
        what has begun goes on until ``parts`` ends it."""
        job = _Job(parts)
        job.start(self._thread)
        self._jobs.append(job)
        coming = asyncio.ensure_future(job.next_part())
        try:
            while True:
                while not (await asyncio.wait([coming], timeout=SLOW_S))[0]:
                    self._pass(job)
                if (part := coming.result()) is None:
                    return
                coming = asyncio.ensure_future(job.next_part())
                yield part
        finally:
            coming.cancel()
            job.future.cancel()
            self._jobs.remove(job)

    def _pass(self, job: _Job[Any]) -> None:
        """Where others wait behind ``job`` and it is slow, they get a thread of their own."""
        if not job.is_slow or job.thread is not self._thread:
            return
        self._thread = _new_thread()
        for other in self._jobs:
            if other.future.cancel():  # which tells that it had not begun
                other.start(self._thread)
        job.thread.shutdown(wait=False)  # with the job's end


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="drawing")
