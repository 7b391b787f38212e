"""An answer under way, as it leaves: whole, or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from deployments.chain import answer_of
from deployments.entrance import Visit
from deployments.openai_answers import Chunks, Json, completion_json, error_json
from deployments.openai_types import ChatRequest
from deployments.protocol import ServedRequest
from deployments.vector_stores.file_search import FileSearch
from glyph_core.errors import GlyphError
from glyph_core.types import Answer, AnswerEvent, Progress, TextDelta


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """In which form an answer is wanted, and until when."""

    is_stream: bool
    include_usage: bool
    tells_progress: bool
    timeout_s: float | None

    @classmethod
    def of(cls, chat: ChatRequest) -> AnswerForm:
        options, glyph = chat.stream_options, chat.glyph
        return cls(chat.stream, options is not None and options.include_usage, glyph.progress, glyph.timeout_s)


@dataclass(frozen=True, slots=True)
class RunningAnswer:
    """A request that the decoder has taken. What it was understood from is gone: that is hundreds of megabytes."""

    model: str
    form: AnswerForm
    request: ServedRequest  # owns the documents in the object store
    events: AsyncGenerator[AnswerEvent | None]  # close it when done early: that cancels the request everywhere
    search: FileSearch | None = None  # what it looks up in collections


async def whole_completion(running: RunningAnswer, visit: Visit) -> Json:
    visit.answer = await answer_of(running.events)
    return _with_search(completion_json(running.request.request_id, running.model, visit.answer), running)


def _with_search(reply: Json, running: RunningAnswer) -> Json:
    if running.search is not None:
        reply["glyph"]["file_search"] = running.search.as_json()
    return reply


async def stream_chunks(running: RunningAnswer, visit: Visit) -> AsyncGenerator[bytes]:
    """Server-sent events. An error on the way is one event of its own, after which nothing comes, not even [DONE]."""
    chunks = Chunks(running.request.request_id, running.model, include_usage=running.form.include_usage)
    shown = {False: "", True: ""}  # of the answer and of the reasoning
    try:
        async with aclosing(running.events) as events:
            yield _event(chunks.first())
            async for event in events:
                match event:
                    case TextDelta():
                        shown[event.is_reasoning] += event.text
                        yield _event(chunks.delta(event))
                    case Progress() if running.form.tells_progress:
                        yield _event(chunks.progress(event))
                    case None:
                        yield b": still at work\n\n"  # a comment, which clients pass over
                    case Answer():
                        visit.answer = event
                        for rest in _not_shown(event, shown):
                            yield _event(chunks.delta(rest))
                        yield _event(_with_search(chunks.finish(event), running))
                        if running.form.include_usage:
                            yield _event(chunks.usage(event.usage))
    except GlyphError as error:
        visit.error = error
        yield _event(error_json(error))
    else:
        yield b"data: [DONE]\n\n"


def _not_shown(answer: Answer, shown: dict[bool, str]) -> list[TextDelta]:
    """What comes with the answer only: all of it, where it is one of several windows'. What was shown is never taken
    back: a repaired text stands in the last chunk's ``glyph``."""
    as_written = answer.text if answer.written is None else answer.written
    texts = ((True, answer.reasoning), (False, as_written))
    rests = [TextDelta(text.removeprefix(shown[is_reasoning]), is_reasoning) for is_reasoning, text in texts]
    return [rest for rest in rests if rest.text]


def _event(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
