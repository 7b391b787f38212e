"""Pages of stored files as the model sees them, drawn by the renderers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from ray.serve.handle import DeploymentHandle

from deployments.faults import call_stage
from deployments.protocol import DocumentRef, RangeRequest
from deployments.render_choice import chosen_render
from glyph_core.config import RenderConfig
from glyph_core.errors import NotFoundError
from glyph_core.storage.files import FileStore
from glyph_core.types import DocumentPlan, DocumentSource


class Previews:
    """Raises, besides what it says, the errors of :meth:`PageRenderer.plan`."""

    def __init__(
        self,
        files: FileStore,
        renderer: DeploymentHandle,
        put: Callable[[DocumentSource], DocumentRef],
        render: RenderConfig,
    ) -> None:
        self._files, self._renderer, self._put, self._render = files, renderer, put, render

    def render_config(self, options: Mapping[str, str]) -> RenderConfig:
        """``preset`` and fields of RenderConfig, as text. Raises InvalidRequestError and RenderConfigError."""
        changes = dict(options)
        name = changes.pop("preset", None)
        return chosen_render(self._render, name, changes, preset_param="preset", fields_param="")

    async def plan(self, owner: str, file_id: str, render: RenderConfig) -> DocumentPlan:
        """Raises NotFoundError where ``owner`` has no such file."""
        return await self._plan(await self._document(owner, file_id), render)

    async def png(self, owner: str, file_id: str, page_number: int, render: RenderConfig) -> bytes:
        """``page_number`` counts from 1. Raises NotFoundError where there is no such file or page."""
        document = await self._document(owner, file_id)
        num_pages = (await self._plan(document, render)).num_pages
        if not 1 <= page_number <= num_pages:
            raise NotFoundError(f"there is no page {page_number} in {document.name!r}, which has {num_pages}")
        page = RangeRequest(document, render, page_number - 1, page_number)
        png: bytes = await call_stage(partial(self._renderer.page_png.remote, page), "renderer")
        return png

    async def _document(self, owner: str, file_id: str) -> DocumentRef:
        return await asyncio.to_thread(lambda: self._put(self._files.read(owner, file_id)))

    async def _plan(self, document: DocumentRef, render: RenderConfig) -> DocumentPlan:
        plan: DocumentPlan = await call_stage(partial(self._renderer.plan.remote, document, render), "renderer")
        return plan
