"""The endpoint's HTTP API as the page uses it; each call brings the visitor's own API key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from deployments.answer_stream import AnswerStream, AskEvent
from deployments.client import async_endpoint_client, error_in, unreachable
from deployments.openai_answers import Json
from deployments.page.session import Document

KEEP_S = 7 * 24 * 3600  # uploads of the page; then the endpoint forgets them


class EndpointApi:
    """Belongs to one event loop. Every method raises the endpoint's own errors, and StageError where it is away."""

    def __init__(self, root: str) -> None:
        self._client = async_endpoint_client(root, send_own_key=False)
        self._root = root

    async def model(self, key: str) -> Json:
        """The served model's object: ``id``, ``limits``, ``render``."""
        models = await self._json("GET", "/v1/models", key)
        return dict(models["data"][0])

    async def templates(self, key: str) -> list[Json]:
        return list((await self._json("GET", "/v1/templates", key))["data"])

    async def upload(self, key: str, name: str, path: Path) -> Document:
        return await self.upload_bytes(key, name, await asyncio.to_thread(path.read_bytes))

    async def upload_bytes(self, key: str, name: str, content: bytes) -> Document:
        expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(KEEP_S)}
        files = {"file": (name, content, "application/octet-stream")}
        sent = await self._json("POST", "/v1/files", key, files=files, data={"purpose": "user_data", **expiry})
        return Document(id=sent["id"], name=sent["filename"], num_bytes=sent["bytes"])

    async def is_there(self, key: str, document: Document) -> bool:
        async with self._response("GET", f"/v1/files/{document.id}", key) as response:
            if response.status_code == httpx.codes.NOT_FOUND:
                return False
            await _checked(response)
        return True

    async def delete(self, key: str, document: Document) -> None:
        async with self._response("DELETE", f"/v1/files/{document.id}", key) as response:
            if response.status_code != httpx.codes.NOT_FOUND:  # gone already
                await _checked(response)

    async def pages(self, key: str, document: Document, query: Mapping[str, str]) -> Json:
        """``data``: number, width_px and height_px of each page; ``warnings``."""
        return await self._json("GET", f"/v1/files/{document.id}/pages", key, params=query)

    async def page_png(self, key: str, file_id: str, number: str, query: str, etag: str | None) -> httpx.Response:
        """``number`` of the page, from 1; what the endpoint says is returned whatever it is."""
        headers = {"If-None-Match": etag} if etag else {}
        path = f"/v1/files/{quote(file_id, safe='')}/pages/{quote(number, safe='')}.png"
        async with self._response("GET", f"{path}?{query}", key, headers=headers) as response:
            await response.aread()
            return response

    async def ask(self, key: str, body: Json) -> AsyncGenerator[AskEvent]:
        """Closing it cancels the request."""
        stream = AnswerStream()
        async with self._response("POST", "/v1/chat/completions", key, json=body) as response:
            await _checked(response)
            async for line in response.aiter_lines():
                for event in stream.events(line):
                    yield event
        yield stream.result()

    async def compare(self, key: str, first: Document, second: Document, options: Json) -> Json:
        files = [{"file_id": document.id, "filename": document.name} for document in (first, second)]
        return await self._json("POST", "/v1/compare", key, json={"files": files, **options})

    async def _json(self, method: str, path: str, key: str, **request: Any) -> Json:
        async with self._response(method, path, key, **request) as response:
            await _checked(response)
            await response.aread()
            return dict(await asyncio.to_thread(response.json))

    @asynccontextmanager
    async def _response(
        self, method: str, path: str, key: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> AsyncIterator[httpx.Response]:
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._client.stream(
                method, path, headers={**authorization, **(headers or {})}, **request
            ) as response:
                yield response
        except httpx.HTTPError as error:
            raise unreachable(self._root, error) from error


async def _checked(response: httpx.Response) -> None:
    if response.is_success:
        return
    await response.aread()
    raise error_in(response)
