"""Text of a declared encoding: UTF-8, or what a byte order mark says (Unicode Standard 23.8)."""

from __future__ import annotations

import codecs
import re

from glyph_core.errors import InvalidDocumentError, UnsupportedDocumentError
from glyph_core.types import DocumentSource

# UTF-32 first: its little-endian mark begins with UTF-16's
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE_BYTES = 4096
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # C0 controls that no text file is full of
_BINARY_SHARE, _BINARY_COUNT = 0.05, 4  # more of them than both together allow: no text, or of an encoding unmarked


def decode_text(source: DocumentSource) -> str:
    """``source``'s text without its byte order mark; line ends stay as they are, so that offsets hold.

    Raises UnsupportedDocumentError for binary data and InvalidDocumentError for bytes that the encoding forbids.
    """
    content = source.content
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decode(source, content[len(mark) :], encoding, "as its byte order mark says")
    sample = content[:_SAMPLE_BYTES]
    if len(_CONTROLS.findall(sample)) > _BINARY_SHARE * len(sample) + _BINARY_COUNT:
        raise UnsupportedDocumentError(
            f"document {source.name!r} is binary data of an unknown type (or UTF-16 without a byte order mark); send "
            "text in UTF-8, or a PNG or JPEG picture"
        )
    return _decode(source, content, "utf-8", "tried because there is no byte order mark")


def _decode(source: DocumentSource, content: bytes, encoding: str, why: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(
            f"document {source.name!r} is no valid {encoding.upper()} ({why}): {error.reason} at byte {error.start} "
            "after the mark, if any; save it as UTF-8 and send it again"
        ) from error
