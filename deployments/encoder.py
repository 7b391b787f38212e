"""The encoder stage: page images to features, on a share of the device. Pages of all requests go in common batches."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from itertools import groupby

from ray.serve.handle import DeploymentHandle

from deployments import metrics
from deployments.batcher import PageBatcher
from deployments.credits import pull_ranges
from deployments.kept_features import KeptFeatures
from deployments.loading import LoadedEncoder
from deployments.logs import logger, show_library
from deployments.messages import Pace, in_messages
from deployments.packing import pack
from deployments.protocol import EncodedPage, EncoderStats, RangeRequest, RenderedPage, StageReport
from deployments.refusals import yields_refusals
from glyph_core.config import CreditConfig
from glyph_core.errors import StageError

RENDER_CALL_S = 0.05
LAST_CALL_S = 0.01  # the call itself costs a third of that
LAST_CALLS = 4  # at least, of what is left at any time
RENDER_S_WEIGHT = 0.05  # of the newest page in the running mean


class _How(Enum):
    """Where a page's features come from."""

    DRAWN = auto()  # drawn and encoded for this range
    BORROWED = auto()  # kept from before, or under way for another range


class Encoder:
    """Pulls ranges of pages from the renderers and gives their features on."""

    def __init__(
        self,
        renderer: DeploymentHandle,
        load: Callable[[], LoadedEncoder],
        credit_config: CreditConfig,
        feature_cache_gb: float = 0.0,
    ) -> None:
        self._renderer, self._credits = renderer, credit_config
        show_library()
        self._loaded = load()
        self._features = KeptFeatures(int(feature_cache_gb * 1e9), self._loaded.store)
        self._promises: dict[str, asyncio.Future[EncodedPage]] = {}  # of pages under way, by digest
        self._num_ranges_open = self._num_pages_kept = 0
        self._render_s = 0.0  # of a page, a running mean
        self._pace = Pace()
        device = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._batcher = PageBatcher(self._encode, device, credit_config.max_encode_batch)

    @yields_refusals
    async def encode_range(self, pages: RangeRequest) -> AsyncGenerator[tuple[EncodedPage, ...]]:
        """Features of the pages in order. Raises StageError where they are wanted for another model."""
        if pages.model != self._loaded.model:
            raise StageError("the service is changing its model, and this request was for the old one; ask again")
        self._num_ranges_open += 1
        logger.debug("encodes", extra={"first_page": pages.start, "pages": len(pages)})
        encoded = in_messages(self._encoded(pages), self._pace, max_length=self._credits.pages_per_message)
        try:
            async with aclosing(encoded):
                async for message in encoded:
                    yield message
        finally:
            self._num_ranges_open -= 1

    async def _encoded(self, pages: RangeRequest) -> AsyncGenerator[EncodedPage]:
        under_way: asyncio.Queue[asyncio.Future[EncodedPage] | None] = asyncio.Queue()
        pull = asyncio.create_task(self._pull(pages, under_way))
        pull.add_done_callback(lambda _: under_way.put_nowait(None))
        features = None
        try:
            while (features := await under_way.get()) is not None:
                yield await features
            pull.result()  # raises what ended it early
        finally:
            pull.cancel()
            while features is not None:
                features.cancel()
                features = None if under_way.empty() else under_way.get_nowait()

    async def pin(self, name: str, page_digests: tuple[str, ...]) -> None:
        """Keeps these pages' features longer than others'."""
        self._features.pin(name, page_digests)

    async def unpin(self, prefix: str) -> None:
        self._features.unpin(prefix)

    async def stats(self) -> EncoderStats:
        batches = self._batcher.stats
        return EncoderStats(
            self._num_ranges_open,
            self._batcher.num_waiting,
            batches.num_batches,
            batches.num_pages,
            self._num_pages_kept,
        )

    async def describe(self) -> StageReport:
        return self._loaded.report

    async def _pull(self, pages: RangeRequest, under_way: asyncio.Queue[asyncio.Future[EncodedPage] | None]) -> None:
        """Puts the pages' features under way, in order: what is kept at once, what another range has under way when it
        comes, the others when they are drawn."""
        for how, run in groupby(range(pages.start, pages.stop), key=lambda index: self._how(pages, index)):
            indices = list(run)
            part = replace(pages, start=indices[0], stop=indices[-1] + 1)
            if how is _How.DRAWN:
                drawn = self._draw(part)
                async with aclosing(drawn):
                    async for features in drawn:
                        under_way.put_nowait(features)
            else:
                for page in part.cut(1):
                    under_way.put_nowait(asyncio.ensure_future(self._borrow(page)))

    def _how(self, pages: RangeRequest, index: int) -> _How:
        digest = pages.page_digest(index)
        return _How.BORROWED if digest in self._features or digest in self._promises else _How.DRAWN

    async def _borrow(self, page: RangeRequest) -> EncodedPage:
        """The features of one page that is kept or that another range has under way; drawn here after all where that
        range was left."""
        digest = page.page_digest(page.start)
        while True:
            features = await self._features.get(digest)
            if features is None and (promise := self._promises.get(digest)):
                await asyncio.wait([promise])
                features = None if promise.cancelled() else promise.result()
            elif features is None:
                break
            if features is not None:
                self._num_pages_kept += 1
                metrics.PAGES_KEPT.inc()
                return replace(features, render_s=0.0, encode_s=0.0)  # they cost this request neither
        drawn = self._draw(page)
        async with aclosing(drawn):
            return await (await anext(drawn))

    async def _draw(self, pages: RangeRequest) -> AsyncGenerator[asyncio.Future[EncodedPage]]:
        """Draws the pages and submits them to the batcher; whoever wants one meanwhile waits for it."""
        digests = deque(pages.page_digest(index) for index in range(pages.start, pages.stop))
        self._promises |= {digest: asyncio.get_running_loop().create_future() for digest in digests}
        ranges = self._cut(pages)
        issue = self._renderer.render_range.options(stream=True).remote
        rendered = pull_ranges(ranges, issue, max_calls=self._num_calls(len(ranges[0])), stage="renderer")
        try:
            async with aclosing(rendered):
                async for page in rendered:
                    self._render_s += RENDER_S_WEIGHT * (page.render_s - self._render_s)
                    features = self._batcher.submit(page, pages.owner)
                    features.add_done_callback(partial(self._settle, digests.popleft()))
                    yield features
        finally:
            for digest in digests:
                self._promises.pop(digest).cancel()

    def _cut(self, pages: RangeRequest) -> list[RangeRequest]:
        """Into calls of as many pages as a renderer draws in :data:`RENDER_CALL_S`, and ever fewer towards the end of
        what is asked for, down to :data:`LAST_CALL_S`: the renderers then end together, and no page waits for those
        that are drawn in one call with it."""
        most, least = self._pages_drawn_in(RENDER_CALL_S), self._pages_drawn_in(LAST_CALL_S)
        if not pages.is_last:
            return pages.cut(most)
        calls: list[RangeRequest] = []
        while len(pages):
            calls.append(pages.cut(max(least, min(most, len(pages) // LAST_CALLS)))[0])
            pages = pages.after(len(calls[-1]))
        return calls

    def _pages_drawn_in(self, seconds: float) -> int:
        """At least one, and at most what the credits allow for a call."""
        most = self._credits.pages_per_render_call
        return max(1, min(most, int(seconds / self._render_s))) if self._render_s else most

    def _num_calls(self, pages_per_call: int) -> int:
        """More where they are short, so that many renderers have something to do; never for more pages."""
        credits = self._credits
        return min(2 * credits.render_calls, credits.render_calls * credits.pages_per_render_call // pages_per_call)

    def _settle(self, digest: str, features: asyncio.Future[EncodedPage]) -> None:
        promise = self._promises.pop(digest)
        if features.cancelled() or features.exception() is not None:
            promise.cancel()  # whoever waits tries it for himself
            return
        promise.set_result(features.result())
        page = features.result()
        if page.error is None:  # what could not be drawn may be drawn next time
            self._features.put(digest, page)

    def _encode(self, pages: Sequence[RenderedPage]) -> list[EncodedPage]:
        started_at = time.perf_counter()
        features = self._loaded.encoder.encode([rendered.page for rendered in pages])
        batch_s = time.perf_counter() - started_at
        encode_s = batch_s / len(pages)
        metrics.ENCODE_BATCH_S.observe(batch_s)
        metrics.PAGES_ENCODED.inc(len(pages))
        metrics.PAGES_WAITING.set(self._batcher.num_waiting)
        return [
            pack(page, render_s=rendered.render_s, encode_s=encode_s)
            for page, rendered in zip(features, pages, strict=True)
        ]
