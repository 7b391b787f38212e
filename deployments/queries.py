"""Query strings and small bodies, checked as strictly as questions are."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from deployments.openai_types import invalid_request
from deployments.visits import visit_of
from glyph_core.errors import DocumentTooLargeError, InvalidRequestError

MAX_BODY_BYTES = 1024**2


class Query(BaseModel):
    """Base of what a query string may hold."""

    model_config = ConfigDict(extra="forbid")


Q = TypeVar("Q", bound=Query)


def query_of(request: Request, model: type[Q]) -> Q:
    """Raises InvalidRequestError that names the parameter at fault."""
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise invalid_request(error) from error


B = TypeVar("B", bound=BaseModel)


async def body_of(request: Request, model: type[B]) -> B:
    """Raises InvalidRequestError that names the field at fault, DocumentTooLargeError and OverloadedError."""
    visit, body = visit_of(request), bytearray()
    async for piece in request.stream():
        visit.take(len(piece))
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise DocumentTooLargeError(f"the request body has more than {MAX_BODY_BYTES} bytes")
    try:
        return model.model_validate(from_json(bytes(body) or b"{}"))
    except ValidationError as error:
        raise invalid_request(error) from error
    except ValueError as error:
        raise InvalidRequestError(f"the request body is no JSON: {error}") from error
