"""HTML files. :func:`read_html` runs in a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator

from glyph_core.documents.blocks import Document
from glyph_core.documents.text import decode_text
from glyph_core.errors import EmptyDocumentError
from glyph_core.types import DocumentSource

_DECLARATION = re.compile(
    rb"<\?xml[^>]*\bencoding\s*=\s*[\"']([\w:.-]+)|<meta[^>]*\bcharset\s*=\s*[\"']?\s*([\w:.-]+)", re.IGNORECASE
)
_PRESCAN_BYTES = 4096


def read_html(source: DocumentSource, max_image_pixels: int) -> Iterator[Document]:
    """The HTML file in ``source``."""
    match = _DECLARATION.search(source.content[:_PRESCAN_BYTES])
    declared = (match[1] or match[2]).decode("ascii") if match else None
    html, warnings = decode_text(source, declared)
    yield document_of(source, "text/html", html, max_image_pixels, warnings)


def document_of(
    source: DocumentSource, media_type: str, html: str, max_image_pixels: int, warnings: tuple[str, ...] = ()
) -> Document:
    """What ``html`` shows, as a document."""
    from glyph_core.documents.html.blocks import BlockBuilder

    builder = BlockBuilder(max_image_pixels)
    builder.add(html)
    if not builder.blocks:
        raise EmptyDocumentError(f"document {source.name!r} shows no text and no picture of its own")
    lost = tuple(
        f"{count} {kind}{'s' if count > 1 else ''} of {source.name!r} that it does not carry in itself, or not in a "
        f"form that can be read, {'are' if count > 1 else 'is'} left out"
        for kind, count in builder.lost.items()
        if count
    )
    return Document(source.name, source.digest, media_type, tuple(builder.blocks), warnings=(*warnings, *lost))
