"""The decoder stage: the language model on its share of the device, and the driver of every request.

A request's way: plan its documents → prompts, one for each window of pages → tokens, while the pages that the engine
wants are pulled from the encoder by credits. :class:`glyph_core.pipeline.Pipeline` does the same in one process and
gives the same answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments import metrics
from deployments.credits import call_each
from deployments.engine_loop import EngineLoop
from deployments.faults import call_stage
from deployments.gateway_watch import GatewayWatch
from deployments.loading import LoadedDecoder
from deployments.logs import logger, show_library
from deployments.messages import Pace, in_messages, newest_progress
from deployments.protocol import DecoderStats, EncoderStats, ServedRequest, StageReport
from deployments.refusals import yields_refusals
from deployments.renderers import Renderers
from deployments.request_driver import RequestDriver
from deployments.serve_side import near
from deployments.waiting_room import Place, WaitingRoom
from glyph_core.answering.course import Course, Task
from glyph_core.answering.demands import Count, Demand, Enlarge, LookUp, Read
from glyph_core.answering.request import plans_shown
from glyph_core.config import CreditConfig, LimitConfig
from glyph_core.errors import GlyphError
from glyph_core.model.token_counter import TokenCount
from glyph_core.types import Answer, AnswerEvent

EVIDENCE_TIMEOUT_S = 15.0  # a text of a million characters takes a quarter of a second, its parsing anew a few
MAX_EVENTS = 64  # of an answer, in one message
IDLE_S = 15.0  # after which an empty message says that the request lives: proxies give up after 60 s of silence
PLANS_AT_ONCE = 8  # of one request's documents: one with many leaves the renderers to others, too


class Decoder:
    def __init__(
        self,
        renderer: DeploymentHandle,
        encoder: DeploymentHandle,
        load: Callable[[], LoadedDecoder],
        credit_config: CreditConfig,
        limits: LimitConfig,
        max_kv_pools: float = 1.0,
    ) -> None:
        """``max_kv_pools``: what the open requests may want of KV memory together, in pools."""
        self._renderers, self._encoder = Renderers(renderer), near(encoder)
        self._credits, self._limits = credit_config, limits
        show_library()
        self._loaded = load()
        self._loop = EngineLoop(self._loaded.engine, metrics.EngineWatch())
        self._gateways = GatewayWatch()
        self._room = WaitingRoom(self._loaded.num_kv_tokens, max_kv_pools)
        self._num_requests = 0

    @yields_refusals
    async def answer(self, request: ServedRequest) -> AsyncGenerator[tuple[AnswerEvent, ...]]:
        """Progress, pieces of text and, at the end, the Answer; an empty message where there is nothing for a while.

        No event comes before the engine has taken the request: what is wrong with it is raised before the first.
        Cancelling frees all that the request holds, here and in the other stages; its gateway's death cancels it, too.
        """
        self._num_requests += 1
        try:
            with self._gateways.cancelling(request.gateway), self._room.place() as place:
                events = in_messages(
                    self._events(request, place),
                    Pace(lambda: self._num_requests),
                    max_length=MAX_EVENTS,
                    idle_s=IDLE_S,
                )
                async with aclosing(events):
                    async for message in events:
                        yield newest_progress(message)
        finally:
            self._num_requests -= 1

    async def _events(self, request: ServedRequest, place: Place) -> AsyncGenerator[AnswerEvent]:
        course = await self._open(request)
        self._room.take(place, *course.first.largest_window())
        await self._pin_documents(request, course)
        counts = asyncio.create_task(self._count_tokens(request))
        counts.add_done_callback(_look_at)
        steps = course.steps()
        told: Any = None
        try:
            while not isinstance(demand := _next_demand(steps, told), Answer):
                told = None
                if isinstance(demand, Read):
                    reading = replace(request, render=demand.render)
                    driver = RequestDriver(
                        reading, demand.inquiry, self._loop, self._encoder, self._credits, self._loaded.model
                    )
                    async with aclosing(driver.events()) as events:
                        async for event in events:
                            yield event
                elif isinstance(demand, Count):
                    told = await counts
                else:
                    told = await self._asked_of_renderers(request, demand)
            metrics.count_answer(demand)
            yield demand
        finally:
            counts.cancel()

    async def stats(self) -> DecoderStats:
        engine = await self._loop.stats()
        return DecoderStats(self._num_requests, engine, self._room.num_tokens, self._room.max_tokens)

    async def chain_stats(self) -> tuple[DecoderStats, EncoderStats]:
        """Of this stage and the one before it."""
        encoder: EncoderStats = await call_stage(self._encoder.stats.remote, "encoder")
        return await self.stats(), encoder

    async def unpin(self, prefix: str) -> list[str]:
        """Ends the pins whose names begin with ``prefix``, here and in the encoder; returns those names."""
        names = await self._loop.unpin(prefix)
        await call_stage(partial(self._encoder.unpin.remote, prefix), "encoder")
        return names

    async def describe(self) -> tuple[StageReport, ...]:
        """This stage and those before it."""
        before = (self._renderers.describe(), call_stage(self._encoder.describe.remote, "encoder"))
        return (*await asyncio.gather(*before), self._loaded.report)

    async def check_health(self) -> None:
        """Serve calls it and replaces the replica when it raises, which it does when the engine's thread died."""
        self._loop.check()

    async def _open(self, request: ServedRequest) -> Course:
        started_at = time.perf_counter()
        plans = await call_each(
            [partial(self._renderers.plan, document, request.render) for document in request.documents],
            max_calls=PLANS_AT_ONCE,
        )
        plans = plans_shown(plans, request.pages)
        queue_s = time.perf_counter() - started_at
        metrics.QUEUE_S.observe(queue_s)
        num_pages = sum(plan.num_pages for plan in plans)
        fields = {"answer_id": request.request_id, "pages": num_pages, "seconds": round(queue_s, 4)}
        logger.debug("reads", extra=fields)
        task = Task(
            request.request_id, request.messages, request.sampling, request.render, request.evidence, request.reading
        )
        return Course(
            task,
            tuple(plans),
            self._loaded.reader,
            max_model_len=self._loaded.max_model_len,
            limits=self._limits,
            started_at=started_at,
        )

    async def _pin_documents(self, request: ServedRequest, course: Course) -> None:
        """Pins the documents before they are read, or unpins them. Raises PinnedShareError where there is no room."""
        if request.pin is None:
            return
        for index, document in enumerate(request.documents):
            name = request.pin.name(document.digest)
            if not request.pin.is_wanted:
                await self.unpin(name)
                continue
            digests = tuple(page.digest for page in course.plans[index].pages)
            await self._loop.pin(name, digests, course.first.window_tokens(index))
            await call_stage(partial(self._encoder.pin.remote, name, digests), "encoder")

    async def _asked_of_renderers(self, request: ServedRequest, demand: LookUp | Enlarge) -> list[Any] | str:
        """They have the text. That they fail costs a warning, not the answer."""
        calls: list[Callable[[], Awaitable[Any]]]
        if isinstance(demand, LookUp):
            evidence = self._renderers.evidence
            calls = [partial(evidence, request.documents[d], demand.render, query) for d, query in demand.asked]
        else:
            plan, looks = self._renderers.plan_larger, (demand.render, demand.larger)
            shown = zip(request.documents, demand.pages, strict=True)
            calls = [partial(plan, document, *looks, pages) for document, pages in shown]
        try:
            async with asyncio.timeout(EVIDENCE_TIMEOUT_S):
                return await call_each(calls, max_calls=PLANS_AT_ONCE)
        except (GlyphError, TimeoutError) as error:
            why = str(error) or f"it took longer than {EVIDENCE_TIMEOUT_S:g} s"
            logger.warning("not told by the renderers", extra={"answer_id": request.request_id, "reason": why})
            return why

    async def _count_tokens(self, request: ServedRequest) -> TokenCount:
        shown = zip(request.documents, request.pages or [None] * len(request.documents), strict=True)
        calls = [partial(self._renderers.count_tokens, document, request.render, pages) for document, pages in shown]
        counts = await call_each(calls, max_calls=PLANS_AT_ONCE)
        return TokenCount(sum(count.num_tokens for count in counts), any(count.estimated for count in counts))


def _next_demand(steps: Generator[Demand, Any, Answer], told: object) -> Demand | Answer:
    """What the course wants after it is told what it wanted; its answer at its end."""
    try:
        return steps.send(told)
    except StopIteration as finished:
        answer: Answer = finished.value
        return answer


def _look_at(counts: asyncio.Task[TokenCount]) -> None:
    """An error that nobody waits for any more, because the request ended otherwise, is no news."""
    if not counts.cancelled():
        counts.exception()
