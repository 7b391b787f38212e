"""An upload on its way in: a multipart form, spooled to disk piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from deployments.entrance import Visit
from deployments.wire import checked
from glyph_core.errors import DocumentTooLargeError, InvalidRequestError

FORM_BYTES = 64 * 1024  # of an upload's body, beside the file itself
MAX_FIELDS = 8
MAX_FIELD_BYTES = 4096
MAX_NAME_CHARS = 1024


class ExpiresAfter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class UploadFields(BaseModel):
    """The form beside the file. OpenAI's other purposes are for services that this one does not offer."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["assistants", "user_data", "vision"]
    expires_after: ExpiresAfter | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    name: str
    content: IO[bytes]  # at its beginning; read it in a thread
    num_bytes: int
    fields: UploadFields


@asynccontextmanager
async def received_upload(request: Request, visit: Visit, max_file_bytes: int) -> AsyncIterator[Upload]:
    """What was sent, while the block runs. Raises InvalidRequestError, and DocumentTooLargeError as soon as more than
    ``max_file_bytes`` were announced or have come."""
    form = await _form(request, visit, max_file_bytes)
    try:
        yield _upload(form, max_file_bytes)
    finally:
        await form.close()


async def _form(request: Request, visit: Visit, max_file_bytes: int) -> FormData:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidRequestError("an upload is a multipart/form-data body with the fields file and purpose")
    body = _limited(request, visit, max_file_bytes)
    parser = MultiPartParser(request.headers, body, max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise InvalidRequestError(f"the upload's form cannot be read: {error.message}") from error


async def _limited(request: Request, visit: Visit, max_file_bytes: int) -> AsyncGenerator[bytes]:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_file_bytes + FORM_BYTES:
        raise _too_large(max_file_bytes)
    num_bytes = 0
    async for piece in request.stream():
        visit.take(len(piece))
        num_bytes += len(piece)
        if num_bytes > max_file_bytes + FORM_BYTES:
            raise _too_large(max_file_bytes)
        yield piece


def _upload(form: FormData, max_file_bytes: int) -> Upload:
    values: dict[str, Any] = {}
    file: UploadFile | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "file":
                raise InvalidRequestError(f"the file belongs into the field 'file', not {name!r}", param=name)
            file = value
        elif name in ("expires_after[anchor]", "expires_after[seconds]"):
            values.setdefault("expires_after", {})[name[len("expires_after[") : -1]] = value
        else:
            values[name] = value
    if file is None or file.size is None:
        raise InvalidRequestError("the form holds no file in its field 'file'", param="file")
    if file.size > max_file_bytes:
        raise _too_large(max_file_bytes)
    name = file.filename or "upload"
    if len(name) > MAX_NAME_CHARS:
        raise InvalidRequestError(f"the file's name has more than {MAX_NAME_CHARS} characters", param="file")
    return Upload(name, file.file, file.size, checked(UploadFields, values))


def _too_large(max_file_bytes: int) -> DocumentTooLargeError:
    return DocumentTooLargeError(
        f"a file may have {max_file_bytes} bytes, and this one has more: split it", param="file"
    )
