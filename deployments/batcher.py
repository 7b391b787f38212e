"""Pages of all requests share the device, in batches that are cut when it is free.

``serve.batch`` cuts a batch and then waits for the device; what arrives meanwhile is left for the next. Here a batch
is cut at the moment the device can take it: whatever has come by then goes along, and nothing waits for company.
Where more has come than a batch holds, the requests take turns, so that no document keeps the others' pages waiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from deployments import metrics
from glyph_core.errors import StageError

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(slots=True)
class BatchStats:
    num_batches: int = 0
    num_pages: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[In, Out]):
    page: In
    result: asyncio.Future[Out]
    since: float


class PageBatcher(Generic[In, Out]):
    """Runs ``encode`` on ``device``, an executor of one thread, over at most ``max_batch`` of what was submitted.

    Belongs to one event loop. The device's thread cuts its batches itself: between two of them it does not wait for a
    loop that is busy with messages. A batch that fails is tried again one by one, so that the error is its own page's
    only.
    """

    def __init__(self, encode: Callable[[Sequence[In]], Sequence[Out]], device: Executor, max_batch: int) -> None:
        self._encode, self._device, self._max_batch = encode, device, max_batch
        self._lock = threading.Lock()  # of what waits
        # By owner, the first of whom has the next turn.
        self._waiting: OrderedDict[str, deque[_Waiting[In, Out]]] = OrderedDict()
        self._is_calling = False
        self.stats = BatchStats()

    @property
    def num_waiting(self) -> int:
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def submit(self, page: In, owner: str = "") -> asyncio.Future[Out]:
        """The result to come. A cancelled one whose batch is not cut yet costs nothing. An owner's pages keep their
        order."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Out] = loop.create_future()
        with self._lock:
            self._waiting.setdefault(owner, deque()).append(_Waiting(page, result, time.perf_counter()))
        if not self._is_calling:
            self._is_calling = True
            loop.call_soon(self._call_device)  # when all that came with it has been submitted, too
        return result

    def _call_device(self) -> None:
        """As often as all that waits may take; a call that finds nothing left costs nothing."""
        self._is_calling = False
        for _ in range(0, self.num_waiting, self._max_batch):
            self._run([], self._encode_next)

    def _run(self, batch: list[_Waiting[In, Out]], encode: Callable[[list[_Waiting[In, Out]]], Sequence[Out]]) -> None:
        call = asyncio.get_running_loop().run_in_executor(self._device, encode, batch)
        call.add_done_callback(partial(self._settle, batch))

    def _encode_next(self, batch: list[_Waiting[In, Out]]) -> Sequence[Out]:
        """In the device's thread. Puts into ``batch`` what it took."""
        with self._lock:
            while self._waiting and len(batch) < self._max_batch:
                owner, pages = self._waiting.popitem(last=False)
                one = pages.popleft()
                if pages:
                    self._waiting[owner] = pages  # again when everybody has had a turn
                if not one.result.cancelled():
                    batch.append(one)
        now = time.perf_counter()
        for one in batch:
            metrics.ENCODE_WAIT_S.observe(now - one.since)
        return self._encode_all(batch)

    def _encode_all(self, batch: list[_Waiting[In, Out]]) -> Sequence[Out]:
        outputs = self._encode([one.page for one in batch]) if batch else ()
        if len(outputs) != len(batch):
            raise StageError(f"a batch of {len(batch)} pages came back as {len(outputs)}")
        return outputs

    def _settle(self, batch: list[_Waiting[In, Out]], call: asyncio.Future[Sequence[Out]]) -> None:
        if not batch:
            return
        error = call.exception()
        if error is not None and len(batch) > 1:
            for one in batch:
                self._run([one], self._encode_all)
            return
        metrics.ENCODE_BATCH_PAGES.observe(len(batch))
        self.stats.num_batches += 1
        self.stats.num_pages += len(batch)
        for index, one in enumerate(batch):
            if one.result.cancelled():
                continue
            if error is not None:
                one.result.set_exception(error)
            else:
                one.result.set_result(call.result()[index])
