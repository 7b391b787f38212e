"""OpenAI's Files API, and ours for the pages of a file."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from deployments.deadlines import Deadline
from deployments.files.upload import received_upload
from deployments.openai_answers import Json
from deployments.queries import Query, query_of
from deployments.visits import file_owner, visit_of
from glyph_core.documents.language import drawn_digest
from glyph_core.errors import NotFoundError, NotReadyError, OverloadedError, StageError
from glyph_core.storage.files import StoredFile

if TYPE_CHECKING:
    from deployments.gateway import Gateway


PAGE_NUMBER = re.compile("[0-9]{1,9}")


class ListQuery(Query):
    limit: int = Field(10_000, ge=1, le=10_000)
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"
    purpose: str | None = None


class FileRoutes:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._store, self._previews = gateway, gateway.files, gateway.previews

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/files")
        for method, path, answer in (
            ("POST", "", self.upload),
            ("GET", "", self.list_files),
            ("GET", "/{file_id}", self.retrieve),
            ("DELETE", "/{file_id}", self.delete),
            ("GET", "/{file_id}/content", self.content),
            ("POST", "/{file_id}/pin", self.pin),
            ("DELETE", "/{file_id}/pin", self.unpin),
            ("GET", "/{file_id}/pages", self.pages),
            ("GET", "/{file_id}/pages/{name}", self.page),
        ):
            router.add_api_route(path, answer, methods=[method])
        return router

    async def upload(self, request: Request) -> Json:
        visit = visit_of(request)

        async def arriving() -> StoredFile:
            async with received_upload(request, visit, self._gateway.limits.max_document_bytes) as sent:
                expiry = sent.fields.expires_after
                return await asyncio.to_thread(
                    self._store.add,
                    file_owner(request),
                    sent.name,
                    sent.fields.purpose,
                    sent.content,
                    sent.num_bytes,
                    expires_after_s=expiry.seconds if expiry else None,
                )

        return file_json(await Deadline(visit.arrived_at, self._gateway.timeout_s).wait(arriving()))

    async def list_files(self, request: Request) -> Response:
        query, owner = query_of(request, ListQuery), file_owner(request)

        def found() -> Response:
            files, has_more = self._store.list_after(owner, **query.model_dump())
            return JSONResponse(list_json([file_json(file) for file in files], has_more))

        return await asyncio.to_thread(found)  # ten thousand of them are megabytes, for which every stream would wait

    async def retrieve(self, request: Request, file_id: str) -> Json:
        return file_json(await asyncio.to_thread(self._store.get, file_owner(request), file_id))

    async def delete(self, request: Request, file_id: str) -> Json:
        with suppress(StageError, NotReadyError, OverloadedError):  # a decoder that is gone keeps nothing
            await self._gateway.unpin_file(file_owner(request), file_id)
        await asyncio.to_thread(self._store.delete, file_owner(request), file_id)
        return {"id": file_id, "object": "file", "deleted": True}

    async def content(self, request: Request, file_id: str) -> Response:
        file = await asyncio.to_thread(self._store.get, file_owner(request), file_id)
        chunks = await asyncio.to_thread(self._store.chunks, file_owner(request), file_id)
        headers = {
            "Content-Length": str(file.num_bytes),
            "Content-Disposition": f"attachment; filename*=utf-8''{quote(file.name, safe='')}",
        }
        # Read in threads, as Starlette does with what is no async generator.
        return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)

    async def pin(self, request: Request, file_id: str) -> Json:
        await self._gateway.readiness.wait()
        num_pages = await self._gateway.pin_file(visit_of(request), file_id)
        return {"id": file_id, "object": "file.pin", "pinned": True, "pages": num_pages}

    async def unpin(self, request: Request, file_id: str) -> Json:
        was_pinned = await self._gateway.unpin_file(file_owner(request), file_id)
        return {"id": file_id, "object": "file.pin", "pinned": False, "was_pinned": was_pinned}

    async def pages(self, request: Request, file_id: str) -> Json:
        render = self._previews.render_config(request.query_params)
        plan = await self._previews.plan(file_owner(request), file_id, render)
        sizes = [{"number": p.page_index + 1, "width_px": p.width_px, "height_px": p.height_px} for p in plan.pages]
        return {"object": "list", "data": sizes, "has_more": False, "warnings": list(plan.warnings)}

    async def page(self, request: Request, file_id: str, name: str) -> Response:
        number = name.removesuffix(".png")
        if number == name or not PAGE_NUMBER.fullmatch(number):
            raise NotFoundError(f"there is no page {name[:32]!r}: pages are 1.png, 2.png, …")
        render = self._previews.render_config(request.query_params)
        file = await asyncio.to_thread(self._store.get, file_owner(request), file_id)
        # The same bytes under the same configuration make the same picture, and whose it is is asked each time.
        tag = f'"{render.page_digest(drawn_digest(file.name, file.digest), int(number) - 1)}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        png = await self._previews.png(file_owner(request), file_id, int(number), render)
        return Response(png, media_type="image/png", headers=headers)


def file_json(file: StoredFile) -> Json:
    """OpenAI's file object. A file can be asked about as soon as it is there: it is always processed."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.num_bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def list_json(rows: list[Json], has_more: bool) -> Json:
    ids = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {"first_id": None, "last_id": None}
    return {"object": "list", "data": rows, **ids, "has_more": has_more}
