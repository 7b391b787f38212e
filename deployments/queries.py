"""Query strings and small bodies, checked as strictly as questions are."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from deployments.visits import visit_of
from deployments.wire import Wire, checked, json_of
from glyph_core.errors import DocumentTooLargeError

MAX_BODY_BYTES = 1024**2


class Query(BaseModel):
    """Base of what a query string may hold."""

    model_config = ConfigDict(extra="forbid")


Q = TypeVar("Q", bound=Query)


def query_of(request: Request, model: type[Q]) -> Q:
    """Raises InvalidRequestError that names the parameter at fault."""
    return checked(model, dict(request.query_params))


B = TypeVar("B", bound=Wire)


async def body_of(request: Request, model: type[B]) -> B:
    """Raises InvalidRequestError that names the field at fault, DocumentTooLargeError and OverloadedError."""
    visit, body = visit_of(request), bytearray()
    async for piece in request.stream():
        visit.take(len(piece))
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise DocumentTooLargeError(f"the request body has more than {MAX_BODY_BYTES} bytes")
    return checked(model, json_of(body or b"{}"))
