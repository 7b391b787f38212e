"""What comes in as JSON or as a form, checked: whatever is wrong with it is told by the name of its field."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from glyph_core.errors import InvalidRequestError

M = TypeVar("M", bound=BaseModel)


class Wire(BaseModel):
    """Base of what comes in. JSON knows no NaN and no infinity: what held one could not be sent back."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def json_of(body: bytes | bytearray) -> Any:
    """Raises InvalidRequestError for what is no JSON."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"the request body is no JSON: {error}") from error


def checked(model: type[M], value: Any) -> M:
    """Raises InvalidRequestError that names the field at fault."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_request(error) from error


def invalid_request(error: ValidationError, within: str = "") -> InvalidRequestError:
    """The first thing that is wrong, as our own error; ``within`` is the field whose contents were checked."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    param = ".".join(filter(None, (within, *map(str, first["loc"]))))
    if first["type"] == "extra_forbidden":
        return InvalidRequestError(f"{param} is not supported by this service; remove it", param=param)
    return InvalidRequestError(f"{param}: {first['msg'].removeprefix('Value error, ')}", param=param)
