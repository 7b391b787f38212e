"""Documents in, pages out: the renderer that the pipeline and the served app share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from glyph_core.config import LimitConfig, RenderConfig
from glyph_core.documents.blocks import Document
from glyph_core.documents.language import drawn_digest
from glyph_core.documents.paged import check_num_pages
from glyph_core.documents.parse import parse
from glyph_core.documents.rasterise import rasterise
from glyph_core.documents.scripts import ScriptCounts, count_scripts
from glyph_core.errors import EmptyDocumentError, InvalidRequestError
from glyph_core.rendering.atlas import GlyphAtlas
from glyph_core.rendering.page_text import PageText, page_text
from glyph_core.rendering.paper import FRESH, Paper
from glyph_core.rendering.placed import PlacedGlyphs, Span
from glyph_core.rendering.sections import Pages, lay_out_document
from glyph_core.types import DocumentPlan, DocumentSource, Page, PageError, PagePlan

_DEFAULT_LIMITS = LimitConfig()


class LaidOut(NamedTuple):
    document: Document  # its figures without their pixels
    pages: Pages
    scripts: ScriptCounts  # the text's letters by script
    failed: dict[int, PageError]  # pages that could not be drawn, by their index

    @property
    def num_bytes(self) -> int:
        """About."""
        return 2 * len(self.document.text) + self.pages.num_bytes


class PageRenderer:
    """Lays documents out and draws ranges of their pages. Thread-safe; one per process is enough.

    Every method takes the document's source, so that any renderer can draw any range: what one has laid out before it
    remembers, up to ``max_cached_layouts`` documents of ``max_cached_bytes`` together, and always the last one.
    """

    def __init__(
        self,
        config: RenderConfig,
        limits: LimitConfig = _DEFAULT_LIMITS,
        max_cached_layouts: int = 16,
        max_cached_bytes: int = 512 * 1024**2,
    ) -> None:
        self.config = config
        self.limits = limits
        self._atlas = GlyphAtlas(config)
        self._max_cached_layouts, self._max_cached_bytes = max_cached_layouts, max_cached_bytes
        self._layouts: OrderedDict[tuple[str, str], LaidOut] = OrderedDict()  # by source digest and name
        self._turns: dict[tuple[str, str], threading.Lock] = {}  # of documents that are being laid out
        self._lock = threading.Lock()

    def plan(self, source: DocumentSource) -> DocumentPlan:
        """What the pages of ``source`` will be. Raises the errors of :func:`~glyph_core.documents.parse.parse` and
        DocumentTooLargeError if there are more than ``limits.max_pages``."""
        document, pages, scripts, failed = self._layout(source)
        return DocumentPlan(
            document_digest=source.digest,
            name=source.name,
            media_type=document.media_type,
            pages=tuple(self._page_plan(source, index, size) for index, size in enumerate(pages.sizes)),
            num_text_chars=len(document.text),
            warnings=(*document.warnings, *pages.warnings),
            page_errors=(*document.page_errors, *failed.values()),
            scripts=scripts,
            num_picture_pages=pages.num_picture_pages,
        )

    def render(self, source: DocumentSource, start: int, stop: int, paper: Paper = FRESH) -> list[Page]:
        """Pages ``[start, stop)``, those of black text on ``paper``; one that could not be drawn says so. Raises
        InvalidRequestError if they don't exist."""
        laid_out = self._layout(source)
        sizes = laid_out.pages.sizes
        if not 0 <= start <= stop <= len(sizes):
            raise InvalidRequestError(
                f"no pages [{start}, {stop}) in document {source.name!r}, which has {len(sizes)}", param="start"
            )
        drawn = list(enumerate(laid_out.pages.draw(start, stop, paper), start))
        laid_out.failed.update({index: page.error for index, page in drawn if page.error is not None})
        return [Page(self._page_plan(source, index, sizes[index]), page.pixels, page.error) for index, page in drawn]

    def text(self, source: DocumentSource, pages: Sequence[int] | None = None) -> str:
        """The document's text, or that of some of its pages, whose tokens the pages stand for; empty for pictures."""
        if pages is not None:
            return "\n".join(self.page_text(source, index).text for index in pages)
        return self._layout(source).document.text

    def placed_glyphs(self, source: DocumentSource, page_index: int) -> PlacedGlyphs:
        """What stands on a page, read back from the glyphs as placed; nothing for a page that the file draws. Raises
        InvalidRequestError if there is no such page."""
        return self._pages_with(source, page_index).placed(page_index)

    def spans(self, source: DocumentSource, page_index: int) -> list[Span]:
        """Which characters of the text stand where on a page, line by line. Raises InvalidRequestError if there is no
        such page."""
        return self._pages_with(source, page_index).spans(page_index)

    def page_text(self, source: DocumentSource, page_index: int) -> PageText:
        """The part of the text that stands on a page, and where. Raises InvalidRequestError if there is no such
        page."""
        return page_text(self.text(source), page_index, self.spans(source, page_index))

    def page_sizes(self, source: DocumentSource) -> tuple[tuple[int, int], ...]:
        """(width, height) px of each page."""
        return self._layout(source).pages.sizes

    def text_ranges(self, source: DocumentSource) -> np.ndarray:
        """(num_pages, 2) int32: the characters on each page lie in [start, stop) of the text; 0, 0 where none does."""
        return self._layout(source).pages.text_ranges()

    def document(self, source: DocumentSource) -> Document:
        """The document's blocks in reading order."""
        return self._layout(source).document

    def _pages_with(self, source: DocumentSource, page_index: int) -> Pages:
        pages = self._layout(source).pages
        if not 0 <= page_index < len(pages.sizes):
            raise InvalidRequestError(
                f"no page {page_index} in document {source.name!r}, which has {len(pages.sizes)}", param="page_index"
            )
        return pages

    def _page_plan(self, source: DocumentSource, page_index: int, size: tuple[int, int]) -> PagePlan:
        digest = drawn_digest(source.name, source.digest)
        return PagePlan(page_index, *size, self.config.page_digest(digest, page_index))

    def _layout(self, source: DocumentSource) -> LaidOut:
        key = source.digest, source.name  # warnings name the document: nobody is told another's name for the same bytes
        with self._lock:
            if (known := self._known(key)) is not None:
                return known
            turn = self._turns.setdefault(key, threading.Lock())
        # Outside the lock: one long document must not hold up the others. Who wants the same one waits for the first.
        with turn:
            with self._lock:
                if (known := self._known(key)) is not None:
                    return known
            try:
                laid_out = self._laid_out(source)
                with self._lock:
                    self._layouts[key] = laid_out
                    while len(self._layouts) > 1 and self._has_too_many():
                        self._layouts.popitem(last=False)
            finally:
                with self._lock:
                    self._turns.pop(key, None)
        return laid_out

    def _known(self, key: tuple[str, str]) -> LaidOut | None:
        if key in self._layouts:
            self._layouts.move_to_end(key)
        return self._layouts.get(key)

    def _laid_out(self, source: DocumentSource) -> LaidOut:
        document = parse(source, self.limits, self.config.mode, with_pixels=self.config.figures == "set")
        pages = self._lay_out(document, source)
        return LaidOut(document.without_pixels(), pages, count_scripts(document.text), {})

    def _has_too_many(self) -> bool:
        num_bytes = sum(laid_out.num_bytes for laid_out in self._layouts.values())
        return len(self._layouts) > self._max_cached_layouts or num_bytes > self._max_cached_bytes

    def _lay_out(self, document: Document, source: DocumentSource) -> Pages:
        def rasterised(pages: Sequence[int], dpi: float) -> Sequence[np.ndarray | PageError]:
            return rasterise(source, pages, dpi, self.limits)

        pages = lay_out_document(document, self.config, self._atlas, rasterised)
        num_pages = len(pages.sizes)
        if not num_pages:
            raise EmptyDocumentError(f"document {document.name!r} holds no visible character")
        check_num_pages(document.name, num_pages, self.limits)
        return pages
