"""Pages of stored files as the model sees them, drawn by the renderers.

A browser asks for a file's pages one by one, side by side, and nobody refuses it. So a few are worked on at once, the
others wait, and those of one file share its content in the object store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from deployments.protocol import DocumentRef, RangeRequest
from deployments.render_choice import chosen_render
from deployments.renderers import Renderers
from glyph_core.config import RenderConfig
from glyph_core.errors import NotFoundError
from glyph_core.storage.files import FileStore
from glyph_core.types import DocumentPlan, DocumentSource

CALLS_AT_ONCE = 8  # each may bring a file of the largest size into memory


class Previews:
    """Raises, besides what it says, the errors of :meth:`PageRenderer.plan`."""

    def __init__(
        self,
        files: FileStore,
        renderers: Renderers,
        put: Callable[[DocumentSource], DocumentRef],
        render: RenderConfig,
    ) -> None:
        self._files, self._renderers, self._put, self._render = files, renderers, put, render
        self._room = asyncio.Semaphore(CALLS_AT_ONCE)
        self._reading = asyncio.Lock()  # so that a second call finds what the first one brings
        self._in_use: WeakValueDictionary[tuple[str, str], DocumentRef] = WeakValueDictionary()  # by name and digest

    def render_config(self, options: Mapping[str, str]) -> RenderConfig:
        """``preset`` and fields of RenderConfig, as text. Raises InvalidRequestError and RenderConfigError."""
        changes = dict(options)
        name = changes.pop("preset", None)
        return chosen_render(self._render, name, changes, preset_param="preset", fields_param="")

    async def plan(self, owner: str, file_id: str, render: RenderConfig) -> DocumentPlan:
        """Raises NotFoundError where ``owner`` has no such file."""
        async with self._room:
            return await self._renderers.plan(await self._document(owner, file_id), render)

    async def png(self, owner: str, file_id: str, page_number: int, render: RenderConfig) -> bytes:
        """``page_number`` counts from 1. Raises NotFoundError where there is no such file or page."""
        async with self._room:
            document = await self._document(owner, file_id)
            num_pages = (await self._renderers.plan(document, render)).num_pages
            if not 1 <= page_number <= num_pages:
                raise NotFoundError(f"there is no page {page_number} in {document.name!r}, which has {num_pages}")
            return await self._renderers.page_png(RangeRequest(document, render, page_number - 1, page_number))

    async def _document(self, owner: str, file_id: str) -> DocumentRef:
        """Raises NotFoundError."""
        file = await asyncio.to_thread(self._files.get, owner, file_id)
        async with self._reading:
            document = self._in_use.get((file.name, file.digest))
            if document is None:
                document = await asyncio.to_thread(lambda: self._put(self._files.read(owner, file_id)))
                self._in_use[file.name, file.digest] = document
        return document
