"""The HTTP routes: OpenAI's, and /healthz. Every error leaves in OpenAI's form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from deployments.comparisons import comparison_json, parse_compare_request
from deployments.deadlines import Deadline
from deployments.entrance import Visit
from deployments.files.routes import files_router
from deployments.openai_answers import Chunks, Json, completion_json, error_json, health_json, template_json
from deployments.vector_stores.routes import vector_stores_router
from deployments.visits import CLIENT_LEFT, Visits, error_response, visit_of
from glyph_core.errors import DocumentTooLargeError, GlyphError, NotReadyError
from glyph_core.types import Answer, Progress, TextDelta

if TYPE_CHECKING:
    from deployments.gateway import Gateway, RunningAnswer

UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the second for nginx, which else collects


def build_api(gateway: Gateway) -> FastAPI:
    # No documentation pages: they load their scripts from elsewhere.
    api = FastAPI(lifespan=gateway.lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    api.add_exception_handler(GlyphError, _on_glyph_error)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(ClientDisconnect, _on_client_left)
    api.add_exception_handler(Exception, _on_unforeseen_error)
    api.include_router(files_router(gateway))
    api.include_router(vector_stores_router(gateway))
    api.add_middleware(Visits, entrance=gateway.entrance, recent=gateway.recent)
    if gateway.cors_origins:  # outside Visits: a browser asks for leave without a key
        api.add_middleware(
            CORSMiddleware,
            allow_origins=gateway.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],  # OpenAI's client for browsers sends a dozen of its own, more in each release
            expose_headers=["Retry-After", "X-Request-ID"],
        )

    @api.get("/healthz")
    async def healthz() -> Response:
        error: NotReadyError | None = None
        try:
            await gateway.check_ready()
        except NotReadyError as not_ready:
            error = not_ready
        reports = (gateway.gateway_report(), *gateway.reports)
        return JSONResponse(health_json(gateway.model, reports, error), error.status if error else 200)

    @api.get("/status")
    async def status() -> Json:
        return await gateway.status()

    @api.get("/v1/models")
    async def models() -> Json:
        return {"object": "list", "data": [gateway.model_json()]}

    @api.get("/v1/models/{name:path}")
    async def model(name: str) -> Json:
        gateway.check_model(name)
        return gateway.model_json()

    @api.get("/v1/templates")
    async def templates() -> Json:
        return {"object": "list", "data": [template_json(template) for template in gateway.templates.values()]}

    @api.post("/v1/compare")
    async def compare(request: Request) -> Json:
        await gateway.readiness.wait()
        visit = visit_of(request)
        deadline = Deadline(visit.arrived_at, gateway.timeout_s)
        body = await deadline.wait(read_body(request, visit, gateway.limits.max_request_bytes))
        asked = await asyncio.to_thread(parse_compare_request, body)
        comparison = await deadline.wait(gateway.compare(asked, visit))
        return comparison_json(comparison, include_same=asked.include_same)

    @api.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        await gateway.readiness.wait()
        visit = visit_of(request)
        arriving = read_body(request, visit, gateway.limits.max_request_bytes)
        running = await gateway.answer(Deadline(visit.arrived_at, gateway.timeout_s).wait(arriving), visit)
        if running.form.is_stream:
            return StreamingResponse(stream_chunks(running, visit), media_type="text/event-stream", headers=UNBUFFERED)
        return JSONResponse(await whole_completion(running, visit))

    return api


async def read_body(request: Request, visit: Visit, max_bytes: int) -> bytes:
    """Raises DocumentTooLargeError as soon as more than ``max_bytes`` were announced or have come, and OverloadedError
    where the bodies of all open requests are too many bytes."""
    announced = request.headers.get("content-length", "")
    body = bytearray()
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    async for piece in request.stream():
        visit.take(len(piece))
        body += piece
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


async def whole_completion(running: RunningAnswer, visit: Visit) -> Json:
    async with aclosing(running.events) as events:
        visit.answer = [event async for event in events if isinstance(event, Answer)][-1]
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


def _too_large(max_bytes: int) -> DocumentTooLargeError:
    return DocumentTooLargeError(f"the request body has more than {max_bytes} bytes; send fewer or smaller documents")


async def _on_glyph_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GlyphError)
    if "visit" in request.scope:
        visit_of(request).error = error
    return error_response(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the router raises: no such path, no such method."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    details = {"message": message, "type": "invalid_request_error", "code": "not_found", "param": None}
    return JSONResponse({"error": details}, error.status_code, error.headers)


async def _on_client_left(_: Request, __: Exception) -> Response:
    """In the middle of its body. Nobody reads the response; the log knows by its status how the request ended."""
    return Response(status_code=CLIENT_LEFT)


async def _on_unforeseen_error(_: Request, __: Exception) -> Response:
    """A fault of ours; Starlette raises it again for the log."""
    return JSONResponse(error_json(GlyphError("the service failed on this request; its logs say why")), 500)
