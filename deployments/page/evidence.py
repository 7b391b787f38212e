"""Pages as pictures, with what was found on them marked: an SVG over the picture, in the page's own pixels, so that it
stays on its words at any size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from deployments.openai_answers import Json
from deployments.page.session import Document
from deployments.page.strings import Words

MAX_PAGES_SHOWN = 200
MARGIN_PX = 2  # a mark is drawn so much larger than the text's box
PageUrl = Callable[[Document, int], str]  # of a page by its number, from 1


@dataclass(frozen=True, slots=True)
class PageView:
    """A page to be shown large."""

    url: str
    caption: str
    width_px: int
    height_px: int
    overlay: str  # SVG

    def as_json(self) -> Json:
        return {"url": self.url, "caption": self.caption, "width": self.width_px, "height": self.height_px,
                "overlay": self.overlay}  # fmt: skip


def overlay_svg(width_px: float, height_px: float, boxes: Iterable[Sequence[float]]) -> str:
    """``boxes`` are [left, top, right, bottom] in px of the page; the result covers it whole."""
    rects = "".join(
        f'<rect x="{left - MARGIN_PX:g}" y="{top - MARGIN_PX:g}" width="{right - left + 2 * MARGIN_PX:g}" '
        f'height="{bottom - top + 2 * MARGIN_PX:g}" rx="2"/>'
        for left, top, right, bottom in boxes
    )
    return f'<svg viewBox="0 0 {width_px:g} {height_px:g}" preserveAspectRatio="none" aria-hidden="true">{rects}</svg>'


def views_of(regions: Sequence[Json], document: Document, page_url: PageUrl, words: Words) -> list[PageView]:
    """The pages that ``regions`` (of a citation or a clause) are on, each with its own of them marked."""
    by_page: dict[int, list[Json]] = {}
    for region in regions:
        by_page.setdefault(region["page_index"], []).append(region)
    return [_view(document, page_index, found, page_url, words) for page_index, found in by_page.items()]


def _view(document: Document, page_index: int, regions: list[Json], page_url: PageUrl, words: Words) -> PageView:
    width, height = regions[0]["page_size"]
    overlay = overlay_svg(width, height, [region["box"] for region in regions])
    caption = f"{document.name}, {words('page_caption', number=page_index + 1)}"
    return PageView(page_url(document, page_index + 1), caption, width, height, overlay)


def view_button(views: Sequence[PageView], label: str, title: str, kind: str = "cite") -> str:
    """A button that shows ``views``; ``label`` is HTML."""
    shown = escape(json.dumps([view.as_json() for view in views], ensure_ascii=False), quote=True)
    return f'<button type="button" class="{kind}" title="{escape(title)}" data-views="{shown}">{label}</button>'


@dataclass(frozen=True, slots=True)
class DocumentPages:
    """A document's pages as the endpoint lists them."""

    document: Document
    sizes: Sequence[tuple[int, int]]  # px, by page
    warnings: Sequence[str] = ()


def gallery_html(documents: Sequence[DocumentPages], citations: Sequence[Json], page_url: PageUrl, words: Words) -> str:
    """All pages, small; ``citations`` (whose ``document`` counts in ``documents``) are marked on them."""
    heading = f"<h2>{escape(words('pages'))}</h2>"
    if not documents:
        return f'<div class="glyph-gallery">{heading}<p class="glyph-empty">{escape(words("pages_empty"))}</p></div>'
    sections = [_section(number, found, citations, page_url, words) for number, found in enumerate(documents)]
    return f'<div class="glyph-gallery">{heading}{"".join(sections)}</div>'


def _section(number: int, found: DocumentPages, citations: Sequence[Json], page_url: PageUrl, words: Words) -> str:
    regions = [r for citation in citations if citation["document"] == number for r in citation["regions"]]
    figures = []
    for index, (width, height) in enumerate(found.sizes[:MAX_PAGES_SHOWN]):
        boxes = [region["box"] for region in regions if region["page_index"] == index]
        caption = words("page_caption", number=index + 1)
        url = page_url(found.document, index + 1)
        figures.append(
            f'<figure><button type="button" class="thumb" data-url="{escape(url)}" data-width="{width}" '
            f'data-height="{height}" data-caption="{escape(f"{found.document.name}, {caption}")}">'
            f'<img loading="lazy" alt="{escape(f"{found.document.name}, {caption}")}" src="{escape(url)}" '
            f'width="{width}" height="{height}">{overlay_svg(width, height, boxes)}</button>'
            f"<figcaption>{escape(caption)} · {width}×{height}</figcaption></figure>"
        )
    hidden = len(found.sizes) - len(figures)
    more = f'<p class="glyph-note">{escape(words("more_pages", number=hidden))}</p>' if hidden > 0 else ""
    told = "".join(f'<p class="glyph-warning">{escape(warning)}</p>' for warning in found.warnings)
    return (
        f'<section><h4>{escape(found.document.name)}</h4>{told}<div class="sheets">{"".join(figures)}</div>{more}'
        "</section>"
    )
