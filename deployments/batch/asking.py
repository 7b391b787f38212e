"""One endpoint, asked patiently: what will pass is tried again, what will not is an error of the question's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from deployments.client import reply_in, served_model, unreachable
from deployments.openai_answers import Json
from glyph_core.errors import GlyphError, NotReadyError, OverloadedError, StageError
from glyph_core.types import DocumentSource

FILE_LIFE_S = 86_400  # of an upload, in case that nobody is left to delete it
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
STAGE_RETRIES = 3  # a stage that dies with a request may have died of it


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The request, but for the document and the question."""

    model: str | None = None  # None: the one that is served
    system: str | None = None
    preset: str | None = None
    max_tokens: int = 256


class EndpointLostError(StageError):
    """Nothing has come from the endpoint for longer than somebody is willing to wait."""

    code = "endpoint_lost"


class BatchEndpoint:
    """Raises the endpoint's own errors, and EndpointLostError where nobody got anything from it for ``patience_s``."""

    def __init__(self, client: httpx.AsyncClient, options: BatchOptions, patience_s: float) -> None:
        self._client, self._options, self._patience_s = client, options, patience_s
        self._heard_at = time.monotonic()
        self._model = options.model or ""

    async def prepare(self) -> None:
        """Asks which model is served. Raises StageError where nobody answers: at the start that is no passing state."""
        try:
            response = await self._client.get("/models")
        except httpx.TransportError as error:
            raise unreachable(str(self._client.base_url), error) from error
        name = served_model(response)
        self._model = self._model or name

    async def upload(self, source: DocumentSource) -> str:
        """The file's id there."""
        fields = {
            "purpose": "user_data",
            "expires_after[anchor]": "created_at",
            "expires_after[seconds]": str(FILE_LIFE_S),
        }
        files = {"file": (source.name, source.content)}
        file = await self._patiently(lambda: self._client.post("/files", data=fields, files=files))
        return str(file["id"])

    async def delete(self, file_id: str) -> None:
        await self._client.delete(f"/files/{file_id}")

    async def ask(self, file_id: str, question: str) -> Json:
        """The endpoint's completion."""
        options = self._options
        system = [{"role": "system", "content": options.system}] if options.system else []
        content = [{"type": "file", "file": {"file_id": file_id}}, {"type": "text", "text": question}]
        body: Json = {
            "model": self._model,
            "messages": [*system, {"role": "user", "content": content}],
            "max_tokens": options.max_tokens,
        }
        if options.preset:
            body["glyph"] = {"preset": options.preset}
        return await self._patiently(lambda: self._client.post("/chat/completions", json=body))

    async def _patiently(self, call: Callable[[], Awaitable[httpx.Response]]) -> Json:
        wait_s, num_stage_errors = FIRST_WAIT_S, 0
        failing_since: float | None = None
        while True:
            try:
                response = await call()
                result = reply_in(response)
                self._heard_at = time.monotonic()
            except (OverloadedError, NotReadyError) as error:
                reason: GlyphError = error
                wait_s = max(wait_s, float(response.headers.get("Retry-After", 0)))
            except StageError as error:
                reason = error
                num_stage_errors += 1
                if num_stage_errors > STAGE_RETRIES:
                    raise
            except httpx.TransportError as error:
                reason = unreachable(str(self._client.base_url), error)
            else:
                return result
            failing_since = failing_since or time.monotonic()
            if time.monotonic() - max(failing_since, self._heard_at) > self._patience_s:
                raise EndpointLostError(
                    f"{reason.message} (for {self._patience_s:g} s); the same command again goes on from here"
                )
            await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))
            wait_s *= 2
