"""PDF files as MuPDF opens them. Runs in a worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import pymupdf

from glyph_core.documents.attempts import reason_of
from glyph_core.errors import EmptyDocumentError, InvalidDocumentError, UnsupportedDocumentError
from glyph_core.types import DocumentSource

_MAX_OPEN = 2
_open: OrderedDict[str, pymupdf.Document] = OrderedDict()  # by the digest of its source

pymupdf.TOOLS.mupdf_display_errors(False)
pymupdf.TOOLS.mupdf_display_warnings(False)
pymupdf.mupdf.fz_disable_icc()  # pages are read for their shapes; colour profiles cost a third of a scan's time

# What MuPDF and its Python layer raise on damaged files, beside MemoryError
MUPDF_ERRORS = (
    pymupdf.mupdf.FzErrorBase,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    OSError,
)


def opened(source: DocumentSource) -> pymupdf.Document:
    """``source`` as a document with a page at least; the last few stay open."""
    if source.digest in _open:
        _open.move_to_end(source.digest)
        return _open[source.digest]
    try:
        document = pymupdf.open(stream=source.content, filetype="pdf")
        needs_password, num_pages = document.needs_pass, document.page_count
    except MUPDF_ERRORS as error:
        raise InvalidDocumentError(
            f"PDF {source.name!r} is damaged beyond repair: {reason_of(error)}; export it again"
        ) from error
    if needs_password:
        raise UnsupportedDocumentError(f"PDF {source.name!r} is protected by a password; save it without one")
    if not num_pages:
        raise EmptyDocumentError(f"PDF {source.name!r} has no page that could be found; it may be damaged")
    _open[source.digest] = document
    while len(_open) > _MAX_OPEN:
        _open.popitem(last=False)[1].close()
        pymupdf.TOOLS.store_shrink(100)
    return document


def num_pages(source: DocumentSource) -> Iterator[int]:
    """How many pages ``source`` has, as its page tree says."""
    yield opened(source).page_count
