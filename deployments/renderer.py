"""The renderer stage: documents to page images, on CPU cores. Autoscaled; imports neither torch nor transformers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol, TypeVar

from deployments import metrics
from deployments.drawing import DrawingThread
from deployments.logs import logger
from deployments.messages import Pace, in_messages
from deployments.protocol import DocumentRef, RangeRequest, RenderedPage, StageReport, versions_of
from deployments.refusals import returns_refusals, yields_refusals
from deployments.sources import SourceCache
from glyph_core.config import LimitConfig, RenderConfig, preset
from glyph_core.documents import given_up
from glyph_core.evidence.comparison import ComparedDocuments, Comparison, compare
from glyph_core.evidence.finder import DocumentEvidence, EvidenceFinder, EvidenceQuery
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCount, TokenCounter
from glyph_core.rendering.page_text import PageText
from glyph_core.rendering.png import encode_png
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.rendering.same_pages import same_pages
from glyph_core.types import DocumentPlan, DocumentSource, Page

MAX_CONFIGS = 8  # render configurations whose glyphs are kept
MAX_COUNTS = 10_000  # documents whose token counts are kept
DRAW_S = 0.005  # that pages are drawn at one go
DRAW_S_WEIGHT = 0.1  # of the newest pages in the running mean
WARM_UP = DocumentSource("warm-up.txt", b"Glyph Serve renders this page while it starts.")


T = TypeVar("T")


class DocumentRenderer(ComparedDocuments, Protocol):
    """What the stage needs of a PageRenderer; called from several threads at once."""

    def plan(self, source: DocumentSource) -> DocumentPlan: ...
    def text(self, source: DocumentSource, pages: Sequence[int] | None = None) -> str: ...
    def page_text(self, source: DocumentSource, page_index: int) -> PageText: ...
    def render(self, source: DocumentSource, start: int, stop: int) -> list[Page]: ...


@dataclass(frozen=True, slots=True)
class LoadedRenderer:
    make_renderer: Callable[[RenderConfig], DocumentRenderer]
    count_tokens: Callable[[str], TokenCount]


@dataclass(slots=True)
class RendererStats:
    num_pages: int = 0  # rendered since the replica started
    num_calls_open: int = 0


class Renderer:
    """Plans documents and draws ranges of their pages.

    All work runs in threads; the event loop stays free, so that a cancelled range stops at its next pages. Ranges are
    drawn one after another: a renderer is one core's work, and the first that came are wanted first.
    """

    def __init__(self, load: Callable[[], LoadedRenderer], pages_per_message: int) -> None:
        loaded = load()
        self._renderer_of = lru_cache(MAX_CONFIGS)(loaded.make_renderer)
        self._finder_of = lru_cache(MAX_CONFIGS)(lambda render: EvidenceFinder(self._renderer_of(render)))
        self._count_tokens = loaded.count_tokens
        self._pages_per_message = pages_per_message
        self._counts: dict[object, TokenCount] = {}  # by document digest and pages
        self._sources = SourceCache()
        self._stats = RendererStats()
        self._pace = Pace()
        self._thread = DrawingThread()
        self._comparing = ThreadPoolExecutor(1, thread_name_prefix="comparing")
        self._page_s = DRAW_S  # that drawing one takes, a running mean

    @returns_refusals
    async def plan(self, document: DocumentRef, render: RenderConfig) -> DocumentPlan:
        source = await self._sources.get(document)
        started_at = time.perf_counter()
        plan = await _in_thread(lambda: self._renderer_of(render).plan(source))
        plan_s = time.perf_counter() - started_at
        metrics.PLAN_S.observe(plan_s)
        logger.debug("planned", extra={"pages": plan.num_pages, "seconds": round(plan_s, 4)})
        return plan

    @returns_refusals
    async def plan_larger(
        self, document: DocumentRef, render: RenderConfig, larger: RenderConfig, pages: tuple[int, ...]
    ) -> DocumentPlan:
        """Of the pages alone that show, as ``larger`` draws them, what ``pages`` show as ``render`` draws them."""
        source = await self._sources.get(document)
        first, second = self._renderer_of(render), self._renderer_of(larger)
        return await asyncio.to_thread(lambda: second.plan(source).showing(same_pages(first, second, source, pages)))

    @returns_refusals
    async def count_tokens(
        self, document: DocumentRef, render: RenderConfig, pages: tuple[int, ...] | None = None
    ) -> TokenCount:
        """What the document's text, or that of some of its pages, would cost the model as tokens; counted once for many
        questions."""
        counted = (document.digest, pages, None if pages is None else render.digest)
        count = self._counts.get(counted)
        if count is None:
            source = await self._sources.get(document)
            count = await _in_thread(lambda: self._count_tokens(self._renderer_of(render).text(source, pages)))
            self._counts[counted] = count
            if len(self._counts) > MAX_COUNTS:
                del self._counts[next(iter(self._counts))]
        return count

    @returns_refusals
    async def page_texts(self, pages: RangeRequest) -> tuple[PageText, ...]:
        """What stands on the pages, as text, and where."""
        source = await self._sources.get(pages.document)
        renderer = self._renderer_of(pages.render)
        return await _in_thread(
            lambda: tuple(renderer.page_text(source, index) for index in range(pages.start, pages.stop))
        )

    @returns_refusals
    async def page_png(self, page: RangeRequest) -> bytes:
        """The one page of the range, for people."""
        source = await self._sources.get(page.document)
        return await _in_thread(lambda: encode_png(self._render(source, page)[0].page.pixels))

    @returns_refusals
    async def evidence(self, document: DocumentRef, render: RenderConfig, query: EvidenceQuery) -> DocumentEvidence:
        """What the document says of an answer that was read from its pages."""
        source = await self._sources.get(document)
        return await _in_thread(lambda: self._finder_of(render).find(source, query))

    @returns_refusals
    async def compare(self, first: DocumentRef, second: DocumentRef, render: RenderConfig) -> Comparison:
        """Two documents clause by clause, with the clauses' places on the pages. One pair after another, whoever has
        left: long ones take minutes of computing that nothing ends, and pages are drawn beside them."""
        sources = await self._sources.get(first), await self._sources.get(second)
        return await _in_thread(lambda: compare(self._renderer_of(render), *sources), self._comparing)

    @yields_refusals
    async def render_range(self, pages: RangeRequest) -> AsyncGenerator[tuple[RenderedPage, ...]]:
        self._stats.num_calls_open += 1
        logger.debug("renders", extra={"first_page": pages.start, "pages": len(pages)})
        try:
            drawn = in_messages(self._drawn(pages), self._pace, max_length=self._pages_per_message)
            async with aclosing(drawn):
                async for message in drawn:
                    yield message
        finally:
            self._stats.num_calls_open -= 1

    async def stats(self) -> RendererStats:
        return self._stats

    async def describe(self) -> StageReport:
        return StageReport("renderer", "cpu", versions_of("pymupdf", "numba", "freetype-py"))

    async def _drawn(self, pages: RangeRequest) -> AsyncGenerator[RenderedPage]:
        """Ranges are drawn in the order in which they came; one that meets a slow page stands aside for the others."""
        source = await self._sources.get(pages.document)
        is_left = threading.Event()

        def parts() -> Iterator[tuple[RenderedPage, ...]]:
            rest = pages
            while len(rest) and not is_left.is_set():
                part = rest.cut(max(1, int(DRAW_S / self._page_s)))[0]
                with given_up.until(is_left.is_set):
                    drawn = self._render(source, part)
                yield drawn
                rest = rest.after(len(part))

        try:
            async with aclosing(self._thread.run(parts)) as drawn:
                async for part in drawn:
                    for page in part:
                        yield page
        finally:
            is_left.set()

    def _render(self, source: DocumentSource, part: RangeRequest) -> tuple[RenderedPage, ...]:
        started_at = time.perf_counter()
        pages = self._renderer_of(part.render).render(source, part.start, part.stop)
        render_s = (time.perf_counter() - started_at) / len(pages)
        self._page_s += DRAW_S_WEIGHT * (render_s - self._page_s)
        self._stats.num_pages += len(pages)
        metrics.PAGES_RENDERED.inc(len(pages))
        for _ in pages:
            metrics.RENDER_PAGE_S.observe(render_s)
        return tuple(RenderedPage(page, render_s) for page in pages)


async def _in_thread(work: Callable[[], T], threads: Executor | None = None) -> T:
    """What ``work`` returns in one of ``threads``, or of the event loop's own. Cancelled, it leaves the thread behind,
    whose parser is then ended soon."""
    is_left = threading.Event()
    with given_up.until(is_left.is_set):
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)
        except asyncio.CancelledError:
            is_left.set()
            raise


def load_renderer(model: str, limits: LimitConfig) -> LoadedRenderer:
    """The renderer of a checkpoint's documents, warm: the compositor is compiled and the default glyphs are drawn."""
    checkpoint = resolve_checkpoint(model)
    PageRenderer(preset(checkpoint.preset), limits).render(WARM_UP, 0, 1)
    return LoadedRenderer(partial(PageRenderer, limits=limits), TokenCounter.from_checkpoint(checkpoint.path).count)
