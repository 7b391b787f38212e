"""DOCX files: mammoth makes HTML of them, and that is read as any other. Runs in a worker."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import mammoth

from glyph_core.documents.blocks import Document, TextBlock
from glyph_core.documents.docx.package import Package
from glyph_core.documents.docx.prepare import finish, margin_texts, prepare
from glyph_core.documents.html.reader import document_of
from glyph_core.errors import EmptyDocumentError, InvalidDocumentError
from glyph_core.types import DocumentSource

_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => h2:fresh
p[style-name='HTML Preformatted'] => pre:separator('\\n')
"""
# What mammoth raises on packages that are XML but no Word documents
_MAMMOTH_ERRORS = (KeyError, ValueError, AttributeError, TypeError, IndexError, LookupError, OSError)


def read_docx(source: DocumentSource, max_image_pixels: int) -> Iterator[Document]:
    """The document in ``source`` with its tracked changes accepted: headers, body, notes, footers."""
    package = Package(source)
    prepare(package)
    try:
        html = mammoth.convert_to_html(package.packed(), style_map=_STYLES, convert_image=_picture).value
    except _MAMMOTH_ERRORS as error:
        raise InvalidDocumentError(f"DOCX {source.name!r} is no whole Word document: {error}; save it again") from error
    headers, footers = (
        tuple(TextBlock(text, "note") for text in margin_texts(package, kind)) for kind in ("header", "footer")
    )
    try:
        document = document_of(source, _MEDIA_TYPE, finish(html, package), max_image_pixels)
    except EmptyDocumentError:
        if not headers and not footers:
            raise
        document = Document(source.name, source.digest, _MEDIA_TYPE, ())
    warnings = (*document.warnings, *_warnings(package))
    yield replace(document, blocks=(*headers, *document.blocks, *footers), warnings=warnings)


@mammoth.images.img_element  # type: ignore[untyped-decorator]
def _picture(image: Any) -> dict[str, str]:
    """A picture as a data URL, none where it is not in the package (nothing is fetched)."""
    try:
        with image.open() as content:
            data = base64.b64encode(content.read()).decode("ascii")
    except _MAMMOTH_ERRORS:
        return {"src": "missing"}
    return {"src": f"data:{image.content_type};base64,{data}"}


def _warnings(package: Package) -> Iterator[str]:
    if "word/comments.xml" in package.parts:
        num_comments = sum(1 for _ in package.xml("word/comments.xml").iter("{*}comment"))
        if num_comments:
            one = num_comments == 1
            yield f"{num_comments} comment{'' if one else 's'} in {package.name!r} {'is' if one else 'are'} left out"
