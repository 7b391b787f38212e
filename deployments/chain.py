"""The gateway's way into the chain: documents into the object store, requests to the decoder, their events back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial

from ray.serve.handle import DeploymentHandle

from deployments.admission import Conversation
from deployments.deadlines import Deadline
from deployments.faults import call_stage, receive
from deployments.protocol import (
    DecoderStats,
    DocumentRef,
    EncoderStats,
    PinRequest,
    ServedRequest,
    StageReport,
)
from deployments.serve_side import ServeSide
from glyph_core.answering.request import new_request_id
from glyph_core.errors import NotReadyError, StageError
from glyph_core.types import Answer, AnswerEvent, DocumentSource, Progress

HEALTH_TIMEOUT_S = 5.0
STATUS_TIMEOUT_S = 20.0  # Serve's own share, its first time above all, takes seconds on a busy machine


class Chain:
    """Raises errors of ours only."""

    def __init__(
        self, decoder: DeploymentHandle, serve_side: ServeSide, put: Callable[[bytes], Awaitable[bytes]]
    ) -> None:
        self._decoder, self._serve_side, self._put = decoder, serve_side, put
        self._replica_name = serve_side.replica_name()

    def put(self, document: DocumentSource) -> DocumentRef:
        """Blocks."""
        return DocumentRef(document.name, document.digest, len(document.content), self._put(document.content))

    def store(self, conversation: Conversation, owner: str = "") -> ServedRequest:
        """The request as it travels, which owns its documents in the object store. Blocks."""
        return ServedRequest(
            new_request_id(),
            conversation.messages,
            tuple(self.put(document) for document in conversation.documents),
            conversation.sampling,
            conversation.render,
            evidence=conversation.evidence,
            pages=conversation.pages,
            reading=conversation.reading,
            pin=None if conversation.pin is None else PinRequest(owner, conversation.pin),
            gateway=self._replica_name,
        )

    async def begin(self, request: ServedRequest, deadline: Deadline) -> AsyncGenerator[AnswerEvent | None]:
        """Returns when the decoder has taken the request, with its events, the last of which is the Answer; None is a
        sign of life in between. Close them when done early: that cancels the request everywhere."""
        issue = partial(self._decoder.answer.options(stream=True).remote, request)
        messages: AsyncGenerator[tuple[AnswerEvent, ...]]
        messages = deadline.over(receive(issue, "decoder", may_repeat=_are_progress))
        first: tuple[AnswerEvent, ...] = ()
        with suppress(StopAsyncIteration):
            while not first:  # what is wrong with the request may still be found
                first = await anext(messages)

        async def events() -> AsyncGenerator[AnswerEvent | None]:
            event: AnswerEvent | None = None
            async with aclosing(messages):
                for event in first:
                    yield event
                async for message in messages:
                    for event in message or (None,):
                        yield event
            if not isinstance(event, Answer):
                raise StageError("the decoder ended its stream before its answer; try again")

        return events()

    async def answer(self, request: ServedRequest, deadline: Deadline) -> Answer:
        """The last event alone."""
        return await answer_of(await self.begin(request, deadline))

    async def unpin(self, owner: str, document_digest: str) -> bool:
        """Whether the document was pinned, in any decoder."""
        prefix = PinRequest(owner, is_wanted=False).name(document_digest)
        return any(await self._serve_side.ask_all(self._decoder, "unpin", "decoder", STATUS_TIMEOUT_S, prefix))

    async def check_health(self) -> None:
        """Raises NotReadyError where the decoder does not respond."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await call_stage(self._decoder.check_health.remote, "decoder")
        except (TimeoutError, StageError) as error:
            raise NotReadyError(f"the decoder does not respond: {str(error) or 'no answer in time'}") from error

    async def describe(self) -> tuple[StageReport, ...]:
        """Of all stages but the gateway."""
        reports: tuple[StageReport, ...] = await call_stage(self._decoder.describe.remote, "decoder")
        return reports

    async def stats(self) -> tuple[list[tuple[DecoderStats, EncoderStats]], dict[str, dict[str, int]]]:
        """Of each pair of decoder and encoder, and how many replicas of each stage are in which state. Raises
        NotReadyError where they cannot be told in time."""
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                stats = await self._serve_side.ask_all(self._decoder, "chain_stats", "decoder", STATUS_TIMEOUT_S)
                return stats, await asyncio.to_thread(self._serve_side.replicas)
        except (TimeoutError, StageError) as error:
            why = str(error) or "no answer in time"
            raise NotReadyError(f"the decoder or Ray Serve does not respond: {why}") from error


async def answer_of(events: AsyncGenerator[AnswerEvent | None]) -> Answer:
    """The last of a request's events, when it has come."""
    async with aclosing(events):
        return [event async for event in events if isinstance(event, Answer)][-1]


def _are_progress(events: tuple[AnswerEvent, ...]) -> bool:
    """Nothing of the answer yet: a decoder that dies after them may be replaced by another from the beginning."""
    return all(isinstance(event, Progress) for event in events)
