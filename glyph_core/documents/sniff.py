"""The media type that a document's first bytes name.

Signatures are those of the WHATWG MIME Sniffing Standard (section 6) and of the formats' own specifications, each
long enough that no ordinary text begins so: "BM" alone would take every text about BMW for a bitmap.
"""

from __future__ import annotations

import re
import zipfile
from contextlib import suppress
from io import BytesIO
from itertools import islice

IMAGE_TYPES = frozenset({"image/png", "image/jpeg"})  # those that become pages

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"BM.{4}\0{4}", "image/bmp"),
    (rb"II[*+]\0|MM\0[*+]", "image/tiff"),
    (rb"RIFF.{4}WEBP", "image/webp"),
    (rb"RIFF.{4}(?:WAVE|AVI )|\0\0\0.ftyp", "audio or video"),
    (rb"[\0\t\n\f\r ]*%PDF-|\xef\xbb\xbf%PDF-", "application/pdf"),
    (rb"\{\\rtf\d", "application/rtf"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword or another OLE file of Office before 2007"),
    (rb"PK\x03\x04|PK\x05\x06", "application/zip"),
    (rb"\x1f\x8b\x08", "application/gzip"),
    (rb"BZh[1-9]1AY&SY", "application/x-bzip2"),
    (rb"\xfd7zXZ\0", "application/x-xz"),
    (rb"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (rb"Rar!\x1a\x07", "application/vnd.rar"),
    (rb"\x28\xb5\x2f\xfd", "application/zstd"),
    (rb"\x7fELF|MZ.{58}\0\0", "an executable program"),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), media_type) for pattern, media_type in _SIGNATURES)
_PDF_OBJECT = re.compile(rb"(?:^|[\r\n])\d+ \d+ obj\b")
_HTML_HEAD_BYTES = 16_384
_BEFORE_TAG = re.compile(rb"\A(?:\s+|<!--.*?-->|<\?xml[^>]*\?>)+", re.DOTALL)
_PAGE_BEGINS = re.compile(rb"<!doctype\s+html|<(?:html|head|body|title)[\s>]", re.IGNORECASE)
_FRAGMENT_BEGINS = re.compile(
    rb"<(?:meta|link|style|script|table|div|p|h[1-6]|ul|ol|dl|pre|article|section|main|font|center|b|a|span)[\s>]",
    re.IGNORECASE,
)
_MARKDOWN_LINE = re.compile(rb"^(?:#{1,6} |```|[-*+] |\d+\. )", re.MULTILINE)
_ZIP_LISTED, _MAX_ZIP_MEMBERS = b"PK\x01\x02", 20_000  # listed at its end; a million take zipfile ten seconds to read
_ZIP_LOCAL_NAME = re.compile(rb"PK\x03\x04.{26}([\w/\[\]. -]{1,80})", re.DOTALL)
_OFFICE = "application/vnd.openxmlformats-officedocument."
DOCX_TYPE = _OFFICE + "wordprocessingml.document"
_ZIP_MEMBERS = (  # the folder that only this kind of package has, and its media type
    ("word/", DOCX_TYPE),
    ("xl/", _OFFICE + "spreadsheetml.sheet"),
    ("ppt/", _OFFICE + "presentationml.presentation"),
    ("META-INF/container.xml", "application/epub+zip"),
    ("content.xml", "application/vnd.oasis.opendocument"),
)


def media_type_of(content: bytes) -> str | None:
    """The media type that ``content`` declares by its first bytes, or None: it may be text."""
    head = content[:1024]
    for pattern, media_type in _PATTERNS:
        if pattern.match(head):
            return _zip_type(content) if media_type == "application/zip" else media_type
    return "application/pdf" if _is_pdf_after_all(content) else None


def is_html(content: bytes) -> bool:
    """Whether ``content``, of any encoding that is ASCII but for zeros, is an HTML page rather than text with tags.

    A page says so at its beginning. What begins with another tag, as Markdown may, is a page where it also ends with
    one and has no line that is Markdown.
    """
    head = _BEFORE_TAG.sub(b"", content[:_HTML_HEAD_BYTES].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff"), count=1)
    if _PAGE_BEGINS.match(head):
        return True
    if not _FRAGMENT_BEGINS.match(head):
        return False
    return content[-64:].replace(b"\0", b"").rstrip().endswith(b">") and not _MARKDOWN_LINE.search(content)


def _is_pdf_after_all(content: bytes) -> bool:
    """Whether there is a PDF behind junk or a damaged header, as readers of PDF accept: one that holds objects and
    has its header in the first kilobyte or its trailer in the last."""
    return (b"\n%PDF-" in content[:1024] or b"startxref" in content[-1024:]) and _PDF_OBJECT.search(content) is not None


def _zip_type(content: bytes) -> str:
    names = _zip_names(content)
    for prefix, media_type in _ZIP_MEMBERS:
        if any(name.startswith(prefix) for name in names):
            return media_type
    return "application/zip"


def _zip_names(content: bytes) -> list[str]:
    """Of an archive's members; of one that is damaged, or lists more than any document has, those that stand in front
    of its first members, too."""
    if content.count(_ZIP_LISTED) <= _MAX_ZIP_MEMBERS:
        with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return zipfile.ZipFile(BytesIO(content)).namelist()
    found = islice(_ZIP_LOCAL_NAME.finditer(content), _MAX_ZIP_MEMBERS)
    return [match[1].decode("utf-8", "replace") for match in found]
