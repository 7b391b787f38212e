"""The gateway: HTTP in front of the chain. Documents pass through it once, into the object store; pages and features
never do. Imports neither torch nor transformers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import ray
from fastapi import FastAPI
from ray.serve.handle import DeploymentHandle

from deployments import metrics
from deployments.access import AccessConfig, ApiKeys, check_exposure, owner_of
from deployments.admission import Admission, Conversation
from deployments.background import Background
from deployments.chain import Chain
from deployments.comparisons import CompareRequest
from deployments.deadlines import Deadline, check_timeout
from deployments.entrance import Entrance, OverloadConfig, Visit
from deployments.files.previews import Previews
from deployments.files.sweeping import keep_swept
from deployments.http_api import build_api
from deployments.logs import logger
from deployments.openai_answers import Json, model_json
from deployments.openai_types import ChatRequest, file_ids_of, parse_chat_request
from deployments.protocol import DocumentRef, ServedRequest, StageReport, versions_of
from deployments.readiness import Readiness
from deployments.recent import LastMinute
from deployments.renderers import Renderers
from deployments.running_answer import AnswerForm, RunningAnswer
from deployments.same_gpu import placement_warnings
from deployments.serve_side import ServeSide
from deployments.status import status_json
from deployments.vector_stores.file_search import Events, FileSearch
from deployments.vector_stores.library import Library
from glyph_core.answering.request import AnswerRequest
from glyph_core.answering.task_templates import load_templates
from glyph_core.config import EvidenceConfig, PipelineConfig, SamplingConfig, StoreConfig, preset
from glyph_core.errors import (
    DocumentTooLargeError,
    ModelNotFoundError,
    NotReadyError,
)
from glyph_core.evidence.comparison import Comparison
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCounter
from glyph_core.storage.files import FileStore
from glyph_core.types import DocumentSource

NO_EVIDENCE = EvidenceConfig(citations=False, grounding="off")
GAUGE_PERIOD_S = 1.0  # Ray forgets a gauge that nobody sets for two of its export intervals


class Gateway:
    def __init__(
        self,
        decoder: DeploymentHandle,
        renderer: DeploymentHandle,
        config: PipelineConfig,
        access: AccessConfig,
        overload: OverloadConfig,
        store: StoreConfig,
        *,
        serve_side: ServeSide,
        put: Callable[[bytes], Awaitable[bytes]] = ray.put,
    ) -> None:
        """Raises ConfigError for keys that cannot be read, for a store that cannot be used, and where it would be open
        to other machines unasked."""
        keys = ApiKeys.of(access)
        check_exposure(serve_side.listening_host(), keys, access)
        self.recent = LastMinute()
        self._chain = chain = Chain(decoder, serve_side, put)
        self.entrance = Entrance(keys, access, overload)
        self.cors_origins = access.cors_origins
        self.timeout_s = overload.timeout_s
        checkpoint = resolve_checkpoint(config.model.model)
        self._checkpoint, self.model = checkpoint, checkpoint.name
        self.created = int(time.time())
        self.max_model_len = config.engine.max_model_len or checkpoint.max_model_len
        self.limits = config.limits
        self.reports: tuple[StageReport, ...] = ()
        self._background = Background()
        self.readiness = Readiness()
        self._renderers = renderers = Renderers(renderer)
        render = config.render or preset(checkpoint.preset)
        self.files = FileStore(store)
        self.previews = Previews(self.files, renderers, chain.put, render)
        self.library = Library(self.files, renderers, chain.put, render)
        self.templates = load_templates(Path(config.templates) if config.templates else None)
        self._admission = Admission(
            config.limits,
            render,
            self.max_model_len,
            TokenCounter.from_checkpoint(checkpoint.path).count,
            self.templates,
            config.reading,
        )

    def __serve_build_asgi_app__(self) -> FastAPI:  # Serve calls it in the replica
        return build_api(self)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncGenerator[None]:
        work = {
            "warm-up": self.readiness.reach(self._warm_up),
            "count of open requests": self._tell_open_requests(),
            "sweeping of the store": keep_swept(self.files, self.library.collections),
            "reading of vector stores' files": self.library.indexer.run(),
        }
        with self._background.doing(work):
            yield

    def model_json(self) -> Json:
        return model_json(
            self.model, self._checkpoint.about, self.created, self.max_model_len, self.limits, self._admission.render
        )

    async def check_ready(self) -> None:
        """Raises NotReadyError until the whole chain has answered once, and whenever the decoder does not respond."""
        self.readiness.check()
        await self._chain.check_health()

    def check_model(self, model: str) -> None:
        """Raises ModelNotFoundError for a model that is not served here."""
        if model != self.model:
            raise ModelNotFoundError(f"model {model!r} is not served here; {self.model!r} is", param="model")

    async def answer(self, body: Awaitable[bytearray], visit: Visit) -> RunningAnswer:
        """Understands a chat completions request and hands it to the decoder.

        Returns when the decoder has taken it, so that whatever is wrong with the request is raised here.
        """
        form, request, search = await self._take(body, visit)
        deadline = Deadline(visit.arrived_at, form.timeout_s or self.timeout_s)
        visit.answer_id, visit.is_stream = request.request_id, form.is_stream
        events = await self._chain.begin(request, deadline)
        if search is not None:

            async def begin(conversation: Conversation) -> tuple[ServedRequest, Events]:
                further = await self._stored(conversation, visit)
                return further, await self._chain.begin(further, deadline)

            events = search.events(events, begin)
        return RunningAnswer(self.model, form, request, events, search)

    async def _take(
        self, body: Awaitable[bytearray], visit: Visit
    ) -> tuple[AnswerForm, ServedRequest, FileSearch | None]:
        """What a body asks for, its documents in the object store."""
        # In threads: bodies and files are up to hundreds of megabytes.
        owner = owner_of(visit.caller)
        chat = await asyncio.to_thread(self._understand, await body)
        await self._take_files(file_ids_of(chat), visit)
        conversation, search = await asyncio.to_thread(self._admit, chat, owner)
        return AnswerForm.of(chat), await self._stored(conversation, visit), search

    async def _stored(self, conversation: Conversation, visit: Visit) -> ServedRequest:
        request = await asyncio.to_thread(self._chain.store, conversation, owner_of(visit.caller))
        if conversation.pages:  # which were found; the files that a request names are counted already
            visit.take(sum(document.num_bytes for document in request.documents))
        return request

    def _understand(self, body: bytearray) -> ChatRequest:
        chat = parse_chat_request(body)
        self.check_model(chat.model)
        check_timeout(chat.glyph.timeout_s, self.timeout_s)
        return chat

    async def _take_files(self, file_ids: Sequence[str], visit: Visit) -> None:
        """Counts uploaded files that a request names as if its body brought them. Raises NotFoundError,
        DocumentTooLargeError where they are more than a body could hold, and OverloadedError."""
        owner = owner_of(visit.caller)
        num_bytes = await asyncio.to_thread(lambda: sum(self.files.get(owner, each).num_bytes for each in file_ids))
        if num_bytes > self.limits.max_request_bytes:
            raise DocumentTooLargeError(
                f"the files make {num_bytes} bytes; those of a request may make {self.limits.max_request_bytes}: ask "
                "about fewer at a time",
                param="messages",
            )
        visit.take(num_bytes)

    async def compare(self, asked: CompareRequest, visit: Visit) -> Comparison:
        """Two documents clause by clause. Raises what reading them raises."""
        owner = owner_of(visit.caller)

        def store() -> list[DocumentRef]:
            found = self._admission.documents_of(asked.files, lambda file_id: self.files.read(owner, file_id))
            return [self._chain.put(document) for document in found]

        await self._take_files([file.file_id for file in asked.files if file.file_id is not None], visit)
        render = self._admission.render_of(asked.preset, asked.render)
        first, second = await asyncio.to_thread(store)
        return await self._renderers.compare(first, second, render)

    def _admit(self, chat: ChatRequest, owner: str) -> tuple[Conversation, FileSearch | None]:
        """The request, and where it searches collections, that search, whose first pages are in the request."""
        conversation = self._admission.admit(chat, lambda file_id: self.files.read(owner, file_id))
        search = FileSearch.of(chat, self.library, owner, conversation, self._checkpoint, self.limits)
        return (search.begin_round() or conversation if search else conversation), search

    async def pin_file(self, visit: Visit, file_id: str) -> int:
        """Reads a file's pages and keeps them from eviction; returns their number. Raises NotFoundError and
        PinnedShareError."""
        owner = owner_of(visit.caller)
        await self._take_files([file_id], visit)
        document = await asyncio.to_thread(self.files.read, owner, file_id)
        asked = AnswerRequest.about([document], "Pinned.", sampling=SamplingConfig(max_tokens=1), evidence=NO_EVIDENCE)
        conversation = Conversation(
            asked.messages, asked.documents, asked.sampling, self._admission.render, asked.evidence, pin=True
        )
        request = await asyncio.to_thread(self._chain.store, conversation, owner)
        return (await self._chain.answer(request, Deadline(visit.arrived_at, self.timeout_s))).num_pages

    async def unpin_file(self, owner: str, file_id: str) -> bool:
        """Whether it was pinned. Raises NotFoundError."""
        return await self._chain.unpin(owner, (await asyncio.to_thread(self.files.get, owner, file_id)).digest)

    async def _warm_up(self) -> None:
        """One request through the whole chain."""
        warm_up = AnswerRequest.about(
            [DocumentSource("warm-up.txt", b"Glyph Serve answers this once before it is ready.")],
            "Ready?",
            sampling=SamplingConfig(max_tokens=1),
        )
        conversation = Conversation(warm_up.messages, warm_up.documents, warm_up.sampling, self._admission.render)
        await self._chain.answer(self._chain.store(conversation), Deadline(time.monotonic(), self.timeout_s))
        self.reports = await self._chain.describe()
        for warning in placement_warnings(self.reports):
            logger.warning(warning)

    async def status(self) -> Json:
        """The live picture. Raises NotReadyError where the decoder does not respond."""
        try:
            stats, replicas = await self._chain.stats()
        except NotReadyError as error:
            raise NotReadyError(self.readiness.why_not or error.message) from error
        reports = (self.gateway_report(), *self.reports)
        return status_json(self.model, self.readiness.why_not, self.entrance, self.recent, reports, replicas, stats)

    async def _tell_open_requests(self) -> None:
        while True:
            metrics.REQUESTS_OPEN.set(self.entrance.num_open)
            await asyncio.sleep(GAUGE_PERIOD_S)

    def gateway_report(self) -> StageReport:
        return StageReport("gateway", "cpu", versions_of("glyph-serve", "ray"), fallbacks=self._background.ended)
