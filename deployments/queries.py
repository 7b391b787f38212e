"""Query strings, checked as strictly as bodies are."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from deployments.openai_types import invalid_request


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
