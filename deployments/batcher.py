"""Pages of all requests share the device, in batches that are cut when it is free.

``serve.batch`` cuts a batch and then waits for the device; what arrives meanwhile is left for the next. Here a batch
is cut at the moment the device can take it: whatever has come by then goes along, and nothing waits for company.
Where more has come than a batch holds, the requests take turns, so that no document keeps the others' pages waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

from deployments import metrics
from glyph_core.errors import StageError

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(slots=True)
class BatchStats:
    num_batches: int = 0
    num_pages: int = 0


class PageBatcher(Generic[In, Out]):
    """Runs ``encode`` on ``device``, an executor of one thread, over at most ``max_batch`` of what was submitted.

    Belongs to one event loop. A batch that fails is tried again one by one, so that the error is its own page's only.
    """

    def __init__(self, encode: Callable[[Sequence[In]], Sequence[Out]], device: Executor, max_batch: int) -> None:
        self._encode, self._device, self._max_batch = encode, device, max_batch
        # By owner, the first of whom has the next turn; with each page, its result and since when it waits.
        self._waiting: OrderedDict[str, deque[tuple[In, asyncio.Future[Out], float]]] = OrderedDict()
        self._worker: asyncio.Task[None] | None = None
        self.stats = BatchStats()

    @property
    def num_waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    def submit(self, page: In, owner: str = "") -> asyncio.Future[Out]:
        """The result to come. A cancelled one whose batch is not cut yet costs nothing. An owner's pages keep their
        order."""
        result: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append((page, result, time.perf_counter()))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return result

    async def _work(self) -> None:
        while batch := self._cut():
            await self._run(batch)

    def _cut(self) -> list[tuple[In, asyncio.Future[Out]]]:
        batch: list[tuple[In, asyncio.Future[Out]]] = []
        while self._waiting and len(batch) < self._max_batch:
            owner, pages = self._waiting.popitem(last=False)
            page, result, waiting_since = pages.popleft()
            if pages:
                self._waiting[owner] = pages  # again when everybody has had a turn
            if not result.cancelled():
                batch.append((page, result))
                metrics.ENCODE_WAIT_S.observe(time.perf_counter() - waiting_since)
        return batch

    async def _run(self, batch: list[tuple[In, asyncio.Future[Out]]]) -> None:
        call = asyncio.get_running_loop().run_in_executor(self._device, self._encode_all, [page for page, _ in batch])
        await asyncio.wait([call])
        error = call.exception()
        if error is not None and len(batch) > 1:
            for one in batch:
                await self._run([one])
            return
        metrics.ENCODE_BATCH_PAGES.observe(len(batch))
        self.stats.num_batches += 1
        self.stats.num_pages += len(batch)
        for index, (_, result) in enumerate(batch):
            if result.cancelled():
                continue
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(call.result()[index])

    def _encode_all(self, pages: Sequence[In]) -> Sequence[Out]:
        outputs = self._encode(pages)
        if len(outputs) != len(pages):
            raise StageError(f"a batch of {len(pages)} pages came back as {len(outputs)}")
        return outputs
