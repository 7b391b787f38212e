"""Bytes → :class:`~glyph_core.types.Document`, told apart by content and never by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import cast

from glyph_core.config import LimitConfig
from glyph_core.documents import isolation
from glyph_core.documents.blocks import Document, FigureBlock, SourcePlace, TextBlock
from glyph_core.documents.image import read_image
from glyph_core.documents.language import language_of
from glyph_core.documents.paged import count_pages, each_page
from glyph_core.documents.pdf.reader import Mode, read_pdf
from glyph_core.documents.sniff import DOCX_TYPE, IMAGE_TYPES, is_html, media_type_of
from glyph_core.documents.text import decode_text
from glyph_core.errors import DocumentTooLargeError, EmptyDocumentError, InvalidDocumentError, UnsupportedDocumentError
from glyph_core.types import DocumentSource, PageError

_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")  # a stream of an OLE file around an Office document
_DOCX = "glyph_core.documents.docx.reader:read_docx"
_TIFF = "glyph_core.documents.frames"
_HTML = "glyph_core.documents.html.reader:read_html"
_BINARY_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in "pdf docx doc xlsx xls pptx ppt odt epub zip png jpg jpeg tif tiff gif webp bmp".split()  # noqa: SIM905
)
READABLE = "text, Markdown, HTML, PDF, DOCX, PNG, JPEG or TIFF"


def parse(source: DocumentSource, limits: LimitConfig, mode: Mode = "auto", *, with_pixels: bool = True) -> Document:
    """The document in ``source`` as blocks in reading order.

    ``mode`` is for what has pages of its own: "reflow" takes their text, "native" shows them as the file draws them,
    and "auto" decides for each page and says why in a warning. Without ``with_pixels`` a PDF's figures are only told
    of: drawing them is most of the work.

    Raises EmptyDocumentError, DocumentTooLargeError (bytes, pages, pixels or memory), UnsupportedDocumentError (a type
    that we don't read, named), InvalidDocumentError (damaged bytes of a type that we do) and DocumentTimeoutError.
    """
    num_bytes = len(source.content)
    if num_bytes > limits.max_document_bytes:
        raise DocumentTooLargeError(
            f"document {source.name!r} has {num_bytes} bytes, more than the {limits.max_document_bytes} that this "
            "service takes; split it"
        )
    if not num_bytes:
        raise EmptyDocumentError(f"document {source.name!r} is empty (0 bytes)")
    media_type = media_type_of(source.content)
    if media_type in IMAGE_TYPES:
        picture = FigureBlock(read_image(source, limits.max_image_pixels))
        return Document(source.name, source.digest, media_type, (picture,))
    if media_type == "image/tiff":
        return _read_frames(source, limits)
    if media_type == "application/pdf":
        return read_pdf(source, limits, mode, with_pixels=with_pixels)
    if media_type == DOCX_TYPE:
        (document,) = isolation.stream(_DOCX, source, limits.max_image_pixels, limits=limits)
        return cast(Document, document)
    if media_type is not None and _ENCRYPTED_PACKAGE in source.content:
        raise UnsupportedDocumentError(f"document {source.name!r} is protected by a password; save it without one")
    if media_type is not None:
        raise UnsupportedDocumentError(
            f"document {source.name!r} is of type {media_type}, which cannot be read; send {READABLE}"
        )
    if is_html(source.content):
        (document,) = isolation.stream(_HTML, source, limits.max_image_pixels, limits=limits)
        return replace(cast(Document, document), warnings=(*_misnamed(source, "a web page"), *document.warnings))
    text, warnings = decode_text(source)
    warnings = (*_misnamed(source, "text"), *warnings)
    if not text.strip():
        raise EmptyDocumentError(f"document {source.name!r} holds only white space")
    language = language_of(source.name, text)
    block = TextBlock(text, "code", language=language) if language else TextBlock(text)
    return Document(source.name, source.digest, "text/plain", (block,), warnings=warnings)


def _misnamed(source: DocumentSource, found: str) -> Iterator[str]:
    """A warning where the name promises something else: a broken download, or a page that says why there is none."""
    suffix = PurePath(source.name).suffix.lower()
    if suffix in _BINARY_SUFFIXES:
        yield f"{source.name!r} holds {found} and is no {suffix[1:].upper()} file; it was read as what it holds"


def _read_frames(source: DocumentSource, limits: LimitConfig) -> Document:
    """A TIFF: a picture for each frame that can be read."""
    num_frames = count_pages(f"{_TIFF}:num_frames", source, limits)
    figures: list[FigureBlock] = []
    errors: list[PageError] = []
    max_pixels = limits.max_image_pixels
    for index, frame in enumerate(
        each_page(f"{_TIFF}:read_frames", source, range(num_frames), max_pixels, num_frames, limits=limits)
    ):
        if isinstance(frame, PageError):
            errors.append(frame)
        else:
            figures.append(FigureBlock(frame, place=SourcePlace(index)))
    if not figures:
        raise InvalidDocumentError(f"no frame of picture {source.name!r} could be read; the first: {errors[0].reason}")
    warnings = tuple(str(error) for error in errors)
    return Document(source.name, source.digest, "image/tiff", tuple(figures), tuple(errors), warnings)
