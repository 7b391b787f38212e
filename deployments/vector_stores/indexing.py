"""The background reader: contents that collections hold become findable, page by page of what the model sees."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from deployments.logs import logger
from deployments.protocol import DocumentRef, RangeRequest
from deployments.renderers import Renderers
from glyph_core.config import RenderConfig
from glyph_core.errors import GlyphError, InvalidInputError, UnsupportedDocumentError
from glyph_core.storage.blobs import BlobStore
from glyph_core.storage.page_index import Claim, PageIndex
from glyph_core.types import DocumentSource

POLL_S = 2.0  # another gateway may have been told of a file
PAGES_PER_CALL = 16


class Indexer:
    """Belongs to one event loop."""

    def __init__(
        self,
        index: PageIndex,
        blobs: BlobStore,
        renderers: Renderers,
        put: Callable[[DocumentSource], DocumentRef],
        render: RenderConfig,
    ) -> None:
        self._index, self._blobs, self._renderers, self._put, self._render = index, blobs, renderers, put, render
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something to read."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        is_enqueued = False
        while True:
            self._woken.clear()
            try:
                if not is_enqueued:  # what another configuration has read is not read for this one
                    await asyncio.to_thread(self._index.enqueue_members)
                    is_enqueued = True
                while claim := await asyncio.to_thread(self._index.claim):
                    await self._read(claim)
            except (OSError, sqlite3.Error) as error:  # a disk that is full or away may come back
                logger.warning(f"the page index could not be written: {error}")
            try:
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _read(self, claim: Claim) -> None:
        try:
            pages = await self._page_texts(claim)
        except FileNotFoundError:
            return  # deleted meanwhile
        except InvalidInputError as error:
            code = "unsupported_file" if isinstance(error, UnsupportedDocumentError) else "invalid_file"
            await asyncio.to_thread(self._index.fail, claim, code, error.message)
        except GlyphError as error:  # a renderer that died, or is not there yet
            if claim.is_last:
                await asyncio.to_thread(self._index.fail, claim, "server_error", error.message)
            else:
                await asyncio.to_thread(self._index.give_back, claim)
                await asyncio.sleep(POLL_S)
        else:
            if any(text.strip() for text in pages):
                await asyncio.to_thread(self._index.complete, claim, pages)
            else:
                why = "no page holds text: pictures can be asked about with file_id, but not searched"
                await asyncio.to_thread(self._index.fail, claim, "unsupported_file", why)

    async def _page_texts(self, claim: Claim) -> list[str]:
        document = await asyncio.to_thread(self._document, claim)
        plan = await self._renderers.plan(document, self._render)
        texts: list[str] = []
        for part in RangeRequest(document, self._render, 0, plan.num_pages).cut(PAGES_PER_CALL):
            texts += [page.text for page in await self._renderers.page_texts(part)]
            await asyncio.to_thread(self._index.prolong, claim)
        return texts

    def _document(self, claim: Claim) -> DocumentRef:
        return self._put(DocumentSource(claim.name, self._blobs.read(claim.digest), claim.digest))
