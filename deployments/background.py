"""Work that goes on beside the requests, for as long as a process serves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager

from deployments.logs import logger


class Background:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self.ended: tuple[str, ...] = ()  # what is not done any more, and why

    @contextmanager
    def doing(self, work: Mapping[str, Coroutine[object, object, None]]) -> Iterator[None]:
        """``work`` by what it is called, until the block ends."""
        tasks = [asyncio.create_task(task, name=name) for name, task in work.items()]
        for task in tasks:
            task.add_done_callback(self._note_end)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """An error that nobody foresaw: nobody waits for the task, so that it is told here."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error(f"the {task.get_name()} ended by {type(error).__name__}", exc_info=error)
        self.ended = (*self.ended, f"no {task.get_name()}: it ended by {type(error).__name__}, the log says how")
