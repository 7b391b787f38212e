"""The collections of a gateway: what is in them, read in the background, and the pages that a question finds there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployments.protocol import DocumentRef
from deployments.renderers import Renderers
from deployments.vector_stores.filters import Filter
from deployments.vector_stores.indexing import Indexer
from glyph_core.config import RenderConfig
from glyph_core.storage.collections import Collections, Member
from glyph_core.storage.files import FileStore
from glyph_core.storage.page_index import PageIndex
from glyph_core.types import DocumentSource


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of a file that holds some of what was asked."""

    file: Member
    page_index: int
    text: str
    score: float


class Library:
    """``render`` is how the model sees pages unless a request says otherwise: those are the pages that are searched."""

    def __init__(
        self,
        files: FileStore,
        renderers: Renderers,
        put: Callable[[DocumentSource], DocumentRef],
        render: RenderConfig,
    ) -> None:
        self.render = render
        self.files = files
        self.collections = Collections(files, render.digest)
        self.index = PageIndex(files, render.digest)
        self.indexer = Indexer(self.index, files.blobs, renderers, put, render)

    def find(
        self,
        owner: str,
        collection_ids: Sequence[str],
        queries: Sequence[str],
        limit: int,
        *,
        only: Filter | None = None,
        min_score: float = 0.0,
        without: frozenset[tuple[str, int]] = frozenset(),
    ) -> list[FoundPage]:
        """The best ``limit`` pages for any of ``queries``, but for those in ``without`` (digest, page index). Raises
        NotFoundError for a collection. Blocks on disk."""
        members = self.collections.found_in(owner, collection_ids)
        files: dict[str, Member] = {}
        for member in members:
            if only is None or only.matches(member.attributes):
                files.setdefault(member.digest, member)
        best: dict[tuple[str, int], FoundPage] = {}
        for query in queries:
            for hit in self.index.search(files, query, limit, without):
                page = FoundPage(files[hit.digest], hit.page_index, hit.text, hit.score)
                key = (hit.digest, hit.page_index)
                if hit.score >= min_score and (key not in best or best[key].score < hit.score):
                    best[key] = page
        return sorted(best.values(), key=lambda page: -page.score)[:limit]
