"""All pages of a rendering on one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Protocol

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
body { margin: 0 auto; max-width: 100rem; padding: 1.5rem }
h1 { font-size: 1.3rem; margin: 0 0 .5rem }
h2 { font-size: 1.05rem; margin: 2rem 0 .75rem; border-top: 1px solid #8884; padding-top: 1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 }
dt { opacity: .7 } dd { margin: 0 }
.warning { color: #b45309; margin: .25rem 0 0 }
.pages { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.25rem; align-items: start }
figure { margin: 0 }
figcaption { font-size: .85rem; opacity: .75; margin-top: .35rem }
.page { position: relative; display: block; background: #fff; box-shadow: 0 1px 5px #0006; cursor: zoom-in }
.page img { display: block; width: 100%; height: auto }
.page svg { position: absolute; inset: 0; width: 100%; height: 100% }
rect { fill: #2563eb; fill-opacity: 0 } rect:hover { fill-opacity: .18 }
input { position: absolute; opacity: 0 }
input:focus-visible + .page { outline: 3px solid #2563eb }
figure:has(input:checked) { grid-column: 1 / -1; max-width: max-content }
input:checked + .page { cursor: zoom-out }
input:checked + .page img { width: auto; max-width: 100% }
"""


class GalleryPage(Protocol):
    @property
    def file(self) -> str: ...
    @property
    def document(self) -> str: ...
    @property
    def page_index(self) -> int: ...
    @property
    def width_px(self) -> int: ...
    @property
    def height_px(self) -> int: ...
    @property
    def num_visual_tokens(self) -> int: ...
    @property
    def spans_file(self) -> str | None: ...


def gallery_html(summary: Mapping[str, str], warnings: Sequence[str], pages: Sequence[GalleryPage]) -> str:
    """The images and spans of ``pages`` are read from their files and become part of the page. A click on one shows it
    in its own size; where there are spans, the pointer shows what the text says that stands under it."""
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in summary.items() if name != "files"
    )
    told = "".join(f'<p class="warning">{escape(warning)}</p>' for warning in warnings)
    documents = dict.fromkeys(page.document for page in pages)
    sections = "".join(
        _section(document, [page for page in pages if page.document == document]) for document in documents
    )
    title = escape(", ".join(documents))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Pages of {title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>Pages as the model sees them</h1><dl>{facts}</dl>{told}{sections}</body></html>\n"
    )


def _section(document: str, pages: Sequence[GalleryPage]) -> str:
    return f'<h2>{escape(document)}</h2><div class="pages">{"".join(map(_figure, pages))}</div>'


def _figure(page: GalleryPage) -> str:
    image = base64.b64encode(Path(page.file).read_bytes()).decode()
    name = f"page {page.page_index + 1}"
    return (
        f'<figure><label><input type="checkbox" aria-label="{name} in its own size"><span class="page">'
        f'<img width="{page.width_px}" height="{page.height_px}" alt="{escape(page.document)}, {name}" '
        f'src="data:image/png;base64,{image}">{_overlay(page)}</span></label>'
        f"<figcaption>{name} · {page.width_px}×{page.height_px} px · {page.num_visual_tokens:,} visual tokens"
        "</figcaption></figure>"
    )


def _overlay(page: GalleryPage) -> str:
    if page.spans_file is None:
        return ""
    spans = json.loads(Path(page.spans_file).read_text(encoding="utf-8"))["spans"]
    boxes = "".join(
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}">'
        f"<title>{escape(span['text'])}</title></rect>"
        for span in spans
        for left, top, right, bottom in (span["box"],)
    )
    return f'<svg viewBox="0 0 {page.width_px} {page.height_px}" role="presentation">{boxes}</svg>'
