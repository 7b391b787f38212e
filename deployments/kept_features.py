"""The features that the encoder keeps: of the pages seen last in memory, of more of them on disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from deployments.protocol import EncodedPage
from glyph_core.types import PagePlan
from glyph_core.vision.feature_cache import FeatureCache
from glyph_core.vision.feature_store import FeatureStore

MAX_UNWRITTEN = 256  # pages: where the disk is slower than the encoder, what is more is not kept there


class KeptFeatures:
    """By page digest. Used from one event loop; the disk from a thread of its own."""

    def __init__(self, max_bytes: int, store: FeatureStore | None = None) -> None:
        self._cache: FeatureCache[EncodedPage] = FeatureCache(max_bytes)
        self._store = store
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="features")
        self._num_unwritten = 0

    def __contains__(self, page_digest: str) -> bool:
        return page_digest in self._cache or (self._store is not None and page_digest in self._store)

    async def get(self, page_digest: str) -> EncodedPage | None:
        """None where it is not kept after all: a file may be gone or damaged."""
        page = self._cache.get(page_digest)
        if page is None and self._store is not None and page_digest in self._store:
            page = await asyncio.get_running_loop().run_in_executor(self._disk, _read, self._store, page_digest)
            if page is not None:
                self._cache.put(page_digest, page, page.values.nbytes)
        return page

    def pin(self, name: str, page_digests: Iterable[str]) -> None:
        """As :meth:`FeatureCache.pin`, in memory; what is on disk goes by its age."""
        self._cache.pin(name, page_digests)

    def unpin(self, prefix: str) -> None:
        self._cache.unpin(prefix)

    def put(self, page_digest: str, page: EncodedPage) -> None:
        self._cache.put(page_digest, page, page.values.nbytes)
        if self._store is not None and self._num_unwritten < MAX_UNWRITTEN:
            self._num_unwritten += 1
            written = asyncio.get_running_loop().run_in_executor(self._disk, _write, self._store, page_digest, page)
            written.add_done_callback(self._note_written)

    def _note_written(self, _: asyncio.Future[None]) -> None:
        self._num_unwritten -= 1


def _read(store: FeatureStore, page_digest: str) -> EncodedPage | None:
    if (kept := store.read(page_digest)) is None:
        return None
    values, about = kept
    plan = PagePlan(**json.loads(about["plan"]))
    t, h, w = json.loads(about["grid_thw"])
    return EncodedPage(plan, (t, h, w), values, about["dtype"], render_s=0.0, encode_s=0.0)


def _write(store: FeatureStore, page_digest: str, page: EncodedPage) -> None:
    about = {"plan": json.dumps(asdict(page.plan)), "grid_thw": json.dumps(page.grid_thw), "dtype": page.dtype}
    store.write(page_digest, page.values, about)
