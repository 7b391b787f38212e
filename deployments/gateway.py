"""The gateway: HTTP in front of the chain. Documents pass through it once, into the object store; pages and features
never do. Imports neither torch nor transformers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import ray
from fastapi import FastAPI
from ray.serve.handle import DeploymentHandle

from deployments import metrics
from deployments.access import AccessConfig, ApiKeys, check_exposure
from deployments.admission import Admission, Conversation
from deployments.deadlines import Deadline
from deployments.entrance import Entrance, OverloadConfig, Visit
from deployments.faults import call_stage, receive
from deployments.http_api import build_api
from deployments.openai_answers import Json
from deployments.openai_types import ChatRequest, parse_chat_request
from deployments.protocol import DecoderStats, DocumentRef, EncoderStats, ServedRequest, StageReport, versions_of
from deployments.recent import LastMinute
from deployments.serve_side import ServeSide
from deployments.status import status_json
from glyph_core.answering.request import AnswerRequest, new_request_id
from glyph_core.config import PipelineConfig, SamplingConfig, preset
from glyph_core.errors import GlyphError, InvalidRequestError, ModelNotFoundError, NotReadyError, StageError
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCounter
from glyph_core.types import AnswerEvent, DocumentSource

WARM_UP_RETRY_S = 1.0
HEALTH_TIMEOUT_S = 5.0
STATUS_TIMEOUT_S = 20.0  # Serve's own share, its first time above all, takes seconds on a busy machine
GAUGE_PERIOD_S = 1.0  # Ray forgets a gauge that nobody sets for two of its export intervals


@dataclass(frozen=True, slots=True)
class RunningAnswer:
    """A request that the decoder has taken."""

    model: str
    chat: ChatRequest
    request: ServedRequest  # owns the documents in the object store
    events: AsyncGenerator[AnswerEvent]  # close it when done early: that cancels the request everywhere


class Gateway:
    def __init__(
        self,
        decoder: DeploymentHandle,
        config: PipelineConfig,
        access: AccessConfig,
        overload: OverloadConfig,
        *,
        serve_side: ServeSide,
        put: Callable[[bytes], Awaitable[bytes]] = ray.put,
    ) -> None:
        """Raises ConfigError for keys that cannot be read, and where it would be open to other machines unasked."""
        keys = ApiKeys.of(access)
        check_exposure(serve_side.listening_host(), keys, access)
        self.recent = LastMinute()
        self._serve_side = serve_side
        self.entrance = Entrance(keys, access, overload)
        self.cors_origins = access.cors_origins
        self.timeout_s = overload.timeout_s
        checkpoint = resolve_checkpoint(config.model.model)
        self.model = checkpoint.name
        self.created = int(time.time())
        self.max_model_len = config.engine.max_model_len or checkpoint.max_model_len
        self.limits = config.limits
        self.reports: tuple[StageReport, ...] = ()
        self._not_ready: str | None = "the service is starting; try again in a few seconds"
        self._decoder, self._put = decoder, put
        self._admission = Admission(
            config.limits,
            config.render or preset(checkpoint.preset),
            self.max_model_len,
            TokenCounter.from_checkpoint(checkpoint.path).count,
        )

    def __serve_build_asgi_app__(self) -> FastAPI:  # Serve calls it in the replica
        return build_api(self)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncGenerator[None]:
        tasks = [asyncio.create_task(self._warm_up()), asyncio.create_task(self._tell_open_requests())]
        yield
        for task in tasks:
            task.cancel()

    async def check_ready(self) -> None:
        """Raises NotReadyError until the whole chain has answered once, and whenever the decoder does not respond."""
        self.check_started()
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await call_stage(self._decoder.check_health.remote, "decoder")
        except (TimeoutError, StageError) as error:
            raise NotReadyError(f"the decoder does not respond: {str(error) or 'no answer in time'}") from error

    def check_model(self, model: str) -> None:
        """Raises ModelNotFoundError for a model that is not served here."""
        if model != self.model:
            raise ModelNotFoundError(f"model {model!r} is not served here; {self.model!r} is", param="model")

    def check_started(self) -> None:
        """Raises NotReadyError until the whole chain has answered once."""
        if self._not_ready:
            raise NotReadyError(self._not_ready)

    async def answer(self, body: bytes, visit: Visit) -> RunningAnswer:
        """Understands a chat completions request and hands it to the decoder.

        Returns when the decoder has taken it, so that whatever is wrong with the request is raised here.
        """
        # In a thread: bodies are up to hundreds of megabytes.
        chat, request = await asyncio.to_thread(self._admit, body)
        visit.answer_id, visit.is_stream = request.request_id, chat.stream
        deadline = Deadline(visit.arrived_at, chat.glyph.timeout_s or self.timeout_s)
        return RunningAnswer(self.model, chat, request, await self._begin(request, deadline))

    def _check_timeout(self, asked: float | None) -> None:
        if asked is not None and asked > self.timeout_s:
            raise InvalidRequestError(
                f"glyph.timeout_s={asked:g} is more than this service gives a request, {self.timeout_s:g} s; ask for "
                "less, or leave it out",
                param="glyph.timeout_s",
            )

    def _admit(self, body: bytes) -> tuple[ChatRequest, ServedRequest]:
        chat = parse_chat_request(body)
        self.check_model(chat.model)
        self._check_timeout(chat.glyph.timeout_s)
        return chat, self._store(self._admission.admit(chat))

    def _store(self, conversation: Conversation) -> ServedRequest:
        return ServedRequest(
            new_request_id(),
            conversation.messages,
            tuple(self._put_document(document) for document in conversation.documents),
            conversation.sampling,
            conversation.render,
        )

    def _put_document(self, document: DocumentSource) -> DocumentRef:
        return DocumentRef(document.name, document.digest, len(document.content), self._put(document.content))

    async def _begin(self, request: ServedRequest, deadline: Deadline) -> AsyncGenerator[AnswerEvent]:
        events: AsyncGenerator[AnswerEvent] = deadline.over(
            receive(self._decoder.answer.options(stream=True).remote(request), "decoder")
        )
        first = await anext(events)

        async def all_events() -> AsyncGenerator[AnswerEvent]:
            async with aclosing(events):
                yield first
                async for event in events:
                    yield event

        return all_events()

    async def _warm_up(self) -> None:
        """One request through the whole chain, again and again until it is answered."""
        warm_up = AnswerRequest.about(
            [DocumentSource("warm-up.txt", b"Glyph Serve answers this once before it is ready.")],
            "Ready?",
            sampling=SamplingConfig(max_tokens=1),
        )
        while self._not_ready:
            try:
                request = self._store(
                    Conversation(warm_up.messages, warm_up.documents, warm_up.sampling, self._admission.render)
                )
                async for _ in await self._begin(request, Deadline(time.monotonic(), self.timeout_s)):
                    pass
                self.reports = await call_stage(self._decoder.describe.remote, "decoder")
                self._not_ready = None
            except GlyphError as error:
                self._not_ready = f"the service has not answered its warm-up request: {error.message}"
                await asyncio.sleep(WARM_UP_RETRY_S)

    async def status(self) -> Json:
        """The live picture. Raises NotReadyError where the decoder does not respond."""
        stats: tuple[DecoderStats, EncoderStats]
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                stats = await call_stage(self._decoder.chain_stats.remote, "decoder")
                replicas = await asyncio.to_thread(self._serve_side.replicas)
        except (TimeoutError, StageError) as error:
            why = f"the decoder or Ray Serve does not respond: {str(error) or 'no answer in time'}"
            raise NotReadyError(self._not_ready or why) from error
        reports = (self.gateway_report(), *self.reports)
        return status_json(self.model, self._not_ready, self.entrance, self.recent, reports, replicas, *stats)

    async def _tell_open_requests(self) -> None:
        while True:
            metrics.REQUESTS_OPEN.set(self.entrance.num_open)
            await asyncio.sleep(GAUGE_PERIOD_S)

    def gateway_report(self) -> StageReport:
        return StageReport("gateway", "cpu", versions_of("glyph-serve", "ray"))
