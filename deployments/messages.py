"""What goes from stage to stage in messages that grow where it comes fast.

Ray takes one to several milliseconds of computing for a message, whatever is in it. So a stage sends what it has made
at once where it has sent nothing for a while, and otherwise waits a moment and sends all that is ready by then: the
first page or token is never held up, and where a thousand come in a second they travel together.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from itertools import zip_longest
from typing import TypeVar

from glyph_core.types import AnswerEvent, Progress

T = TypeVar("T")

PERIOD_S = 0.025
MESSAGE_S = 0.002  # what a message takes its sender, about


class Pace:
    """When the next of a row of messages is due: a period after the last, and that is longer where ``num_rows`` says
    that so many rows are sent side by side that their messages alone would keep a core busy."""

    def __init__(self, num_rows: Callable[[], int] = lambda: 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._num_rows, self._clock = num_rows, clock
        self._sent_at = -math.inf

    def wait_s(self) -> float:
        """From now until then; not positive where it is due."""
        return self._sent_at + max(PERIOD_S, self._num_rows() * MESSAGE_S) - self._clock()

    def note_sent(self) -> None:
        self._sent_at = self._clock()


async def in_messages(
    made: AsyncGenerator[T], pace: Pace, *, max_length: int, idle_s: float | None = None
) -> AsyncGenerator[tuple[T, ...]]:
    """What ``made`` yields, in its order, in messages of 1 … ``max_length``; ``made`` goes on while they are sent. An
    empty one whenever nothing was made for ``idle_s``.

    A message waits for the pace at most once, and not where it is full or the last. What came before an error of
    ``made`` is sent before the error is raised. Closing it closes ``made``.
    """
    ready: deque[T] = deque()
    changed = asyncio.Event()

    async def make() -> None:
        async with aclosing(made):
            async for one in made:
                ready.append(one)
                changed.set()

    async def until(condition: Callable[[], object], timeout_s: float | None = None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition():
                    changed.clear()
                    await changed.wait()

    making = asyncio.create_task(make())
    making.add_done_callback(lambda _: changed.set())
    try:
        while True:
            await until(lambda: ready or making.done(), idle_s)
            if not ready and not making.done():
                yield ()
                continue
            if (wait_s := pace.wait_s()) > 0:
                await until(lambda: len(ready) >= max_length or making.done(), wait_s)
            if not ready:
                making.result()  # raises what ended it early
                return
            pace.note_sent()
            yield tuple(ready.popleft() for _ in range(min(len(ready), max_length)))
    finally:
        making.cancel()
        await asyncio.wait([making])


def newest_progress(events: tuple[AnswerEvent, ...]) -> tuple[AnswerEvent, ...]:
    """Without the progress that others overtook."""
    return tuple(
        event
        for event, next_event in zip_longest(events, events[1:])
        if not (isinstance(event, Progress) and isinstance(next_event, Progress))
    )
