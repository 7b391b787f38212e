"""Around every HTTP request: the key, the room, and the one line in the log that says how it ended.

A layer of plain ASGI outside FastAPI's own, because only there a request's end is certain to be seen: also a client's
that left before the first byte, also an error's that nobody foresaw.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments import metrics
from deployments.access import owner_of
from deployments.entrance import Entrance, Visit
from deployments.logs import logger
from deployments.openai_answers import error_json
from deployments.recent import LastMinute
from glyph_core.errors import AuthenticationError, GlyphError, RequestTimeoutError

OPEN_PATHS = frozenset({"/", "/healthz"})  # to people who look for the page, and to load balancers: without a key
CLIENT_LEFT = 499  # nginx's; no client ever sees it


class Visits:
    """Lets in whom the entrance lets in. A POST takes room until its last byte; all else only wants a key."""

    def __init__(self, app: ASGIApp, entrance: Entrance, recent: LastMinute) -> None:
        self._app, self._entrance, self._recent = app, entrance, recent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].removeprefix(scope.get("root_path", "")) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        visit = Visit("unknown", time.monotonic())
        try:
            visit.caller = self._entrance.caller(Headers(scope=scope))
            scope["visit"] = visit
            if scope["method"] != "POST":
                await self._app(scope, receive, send)
                return
            with self._entrance.open_request(visit.caller) as visit:
                await self._serve(visit, scope, receive, send)
        except GlyphError as error:  # nobody came in
            visit.error, visit.status = error, error.status
            await error_response(error)(scope, receive, send)
            self._tell(visit, scope)

    async def _serve(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_noting_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
            await send(message)

        scope["visit"] = visit
        try:
            await self._app(scope, receive, send_noting_status)
        except asyncio.CancelledError:
            visit.status = CLIENT_LEFT
            raise
        except Exception:  # whatever it is: it goes on, once the visit's line in the log calls it a fault of ours
            visit.status, visit.error = 500, GlyphError("an error that nobody foresaw")
            raise
        finally:
            self._tell(visit, scope)

    def _tell(self, visit: Visit, scope: Scope) -> None:
        outcome = outcome_of(visit)
        self._recent.note(outcome, visit.answer)
        tell(visit, outcome, scope)


def visit_of(request: Request) -> Visit:
    """The visit that a request is part of; /healthz is visited by nobody."""
    visit: Visit = request.scope["visit"]
    return visit


def file_owner(request: Request) -> str:
    """Whose stored files and vector stores a request may see."""
    return owner_of(visit_of(request).caller)


def error_response(error: GlyphError) -> Response:
    """In OpenAI's form."""
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_json(error), error.status, headers)


def tell(visit: Visit, outcome: str, scope: Scope) -> None:
    """Counts the visit and logs how it ended."""
    seconds = time.monotonic() - visit.arrived_at
    code = visit.error.code if visit.error else ""
    metrics.REQUESTS.inc(1, outcome=outcome, status=str(visit.status), code=code, caller=visit.caller)
    metrics.REQUEST_S.observe(seconds, outcome=outcome)
    fields: dict[str, Any] = {
        "outcome": outcome,
        "http_status": visit.status,
        "error_code": code or None,
        "error_param": visit.error.param if visit.error else None,
        "caller": visit.caller,
        "method": scope["method"],
        "path": scope["path"],
        "answer_id": visit.answer_id,
        "stream": visit.is_stream,
        "body_bytes": visit.num_bytes,
        "seconds": round(seconds, 4),
        **_answer_fields(visit),
    }
    is_fault = outcome == "failed" and visit.error is not None
    fault = f": {visit.error.message}" if visit.error and is_fault else ""
    level = logging.ERROR if is_fault else logging.INFO
    logger.log(level, f"{outcome} {visit.status}{fault}", extra=fields)


def outcome_of(visit: Visit) -> str:
    """answered, refused (the request's or the load's fault), expired (its deadline passed), failed (our fault), or left
    (the client went away)."""
    if visit.status == CLIENT_LEFT:
        return "left"
    if isinstance(visit.error, RequestTimeoutError):
        return "expired"
    if visit.error is not None:
        return "failed" if visit.error.status >= 500 else "refused"
    return "answered" if visit.status is not None and visit.status < 400 else "refused"


def _answer_fields(visit: Visit) -> dict[str, Any]:
    if visit.answer is None:
        return {}
    usage, timings = visit.answer.usage, visit.answer.timings
    return {
        "pages": visit.answer.num_pages,
        "prompt_tokens": usage.num_prompt_tokens,
        "cached_tokens": usage.num_cached_tokens,
        "completion_tokens": usage.num_completion_tokens,
        "finish_reason": visit.answer.finish_reason,
        "ttft_s": round(timings.ttft_s, 4),
        "e2e_s": round(timings.e2e_s, 4),
    }
