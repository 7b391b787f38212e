"""The HTTP routes: OpenAI's, and /healthz. Every error leaves in OpenAI's form."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from deployments.comparisons import comparison_json, parse_compare_request
from deployments.deadlines import Deadline
from deployments.entrance import Visit
from deployments.files.routes import FileRoutes
from deployments.openai_answers import Json, error_json, health_json, template_json
from deployments.running_answer import stream_chunks, whole_completion
from deployments.vector_stores.routes import VectorStoreRoutes
from deployments.visits import CLIENT_LEFT, Visits, error_response, visit_of
from glyph_core.errors import DocumentTooLargeError, GlyphError, NotFoundError, NotReadyError

if TYPE_CHECKING:
    from deployments.gateway import Gateway

PAGE_PREFIX = "/gradio"  # of the page, an application beside this one; what comes here finds none
UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the second for nginx, which else collects


def build_api(gateway: Gateway) -> FastAPI:
    # No documentation pages: they load their scripts from elsewhere.
    api = FastAPI(lifespan=gateway.lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    api.add_exception_handler(GlyphError, _on_glyph_error)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(ClientDisconnect, _on_client_left)
    api.add_exception_handler(Exception, _on_unforeseen_error)
    for routes in (ServiceRoutes(gateway), FileRoutes(gateway), VectorStoreRoutes(gateway)):
        api.include_router(routes.router())
    api.add_middleware(Visits, entrance=gateway.entrance, recent=gateway.recent)
    if gateway.cors_origins:  # outside Visits: a browser asks for leave without a key
        api.add_middleware(
            CORSMiddleware,
            allow_origins=gateway.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],  # OpenAI's client for browsers sends a dozen of its own, more in each release
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    return api


class ServiceRoutes:
    """What is no file and no vector store."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def router(self) -> APIRouter:
        router = APIRouter()
        for method, path, answer in (
            ("GET", "/", self.root),
            ("GET", PAGE_PREFIX, self.no_page),
            ("GET", "/healthz", self.health),
            ("HEAD", "/healthz", self.health),  # which is how some load balancers ask
            ("GET", "/status", self.status),
            ("GET", "/v1/models", self.models),
            ("GET", "/v1/models/{name:path}", self.model),
            ("GET", "/v1/templates", self.templates),
            ("POST", "/v1/compare", self.compare),
            ("POST", "/v1/chat/completions", self.chat_completions),
        ):
            router.add_api_route(path, answer, methods=[method])
        return router

    async def root(self) -> Response:
        """To the page: nobody types the address of an API into a browser."""
        return RedirectResponse(PAGE_PREFIX.removeprefix("/"))  # relative: a proxy may serve us under a path of its own

    async def no_page(self) -> Response:
        raise NotFoundError(f"there is no page here, only the API: {PAGE_PREFIX} is the page's where it is served")

    async def health(self) -> Response:
        gateway, error = self._gateway, None
        try:
            await gateway.check_ready()
        except NotReadyError as not_ready:
            error = not_ready
        reports = (gateway.gateway_report(), *gateway.reports)
        return JSONResponse(health_json(gateway.model, reports, error), error.status if error else 200)

    async def status(self) -> Json:
        return await self._gateway.status()

    async def models(self) -> Json:
        return {"object": "list", "data": [self._gateway.model_json()]}

    async def model(self, name: str) -> Json:
        self._gateway.check_model(name)
        return self._gateway.model_json()

    async def templates(self) -> Json:
        return {"object": "list", "data": [template_json(template) for template in self._gateway.templates.values()]}

    async def compare(self, request: Request) -> Response:
        await self._gateway.readiness.wait()
        visit = visit_of(request)
        deadline = Deadline(visit.arrived_at, self._gateway.timeout_s)
        body = await deadline.wait(read_body(request, visit, self._gateway.limits.max_request_bytes))
        asked = await asyncio.to_thread(parse_compare_request, body)
        comparison = await deadline.wait(self._gateway.compare(asked, visit))
        # In a thread: of two long documents it is megabytes, and every stream would wait for them.
        return await asyncio.to_thread(
            lambda: JSONResponse(comparison_json(comparison, include_same=asked.include_same))
        )

    async def chat_completions(self, request: Request) -> Response:
        await self._gateway.readiness.wait()
        visit = visit_of(request)
        arriving = read_body(request, visit, self._gateway.limits.max_request_bytes)
        running = await self._gateway.answer(Deadline(visit.arrived_at, self._gateway.timeout_s).wait(arriving), visit)
        if running.form.is_stream:
            return StreamingResponse(stream_chunks(running, visit), media_type="text/event-stream", headers=UNBUFFERED)
        return JSONResponse(await whole_completion(running, visit))


async def read_body(request: Request, visit: Visit, max_bytes: int) -> bytearray:
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
    return body


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
