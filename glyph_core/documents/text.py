"""Bytes of text as characters: UTF-8, what a byte order mark says (Unicode Standard 23.8), or what they look like."""

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
_SAMPLE_BYTES, _DETECTION_BYTES = 4096, 65_536
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # C0 controls that no text file is full of
_BINARY_SHARE, _BINARY_COUNT = 0.05, 4  # more of them than both together allow: no text of an encoding with bytes
_ASCII = bytes(range(128))
_MAX_DAMAGED = 0.05  # of the characters, in a text whose encoding is sure
_MAX_STRAY = 0.02  # of the bytes beyond ASCII, in what is UTF-8 but for them
_SURE, _LIKELY = 0.15, 0.5  # the detector's confidence: below the first its single-byte guesses are chance
_MULTIBYTE = ("utf", "gb", "big5", "shift", "cp932", "cp949", "euc", "johab", "iso2022")
_WESTERN = "cp1252"
# What pages call an encoding, and the larger one that browsers take for it (WHATWG Encoding Standard)
_SUPERSETS = {
    "ascii": _WESTERN,
    "iso8859-1": _WESTERN,
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "utf-16": "utf-8",  # a declaration that can be read byte by byte is none of UTF-16
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
}


def decode_text(source: DocumentSource, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """``source``'s text without its byte order mark, and warnings where its encoding was guessed or it is damaged.

    Line ends stay as they are, so that offsets hold. ``declared`` is the encoding that the text itself names; it is
    believed only where the bytes bear it out. Raises UnsupportedDocumentError for binary data and
    InvalidDocumentError for bytes that their own byte order mark forbids.
    """
    content = source.content
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _marked(source, content[len(mark) :], encoding)
    sample = content[:_SAMPLE_BYTES]
    if len(_CONTROLS.findall(sample)) > _BINARY_SHARE * len(sample) + _BINARY_COUNT:
        return _wide(source, content)
    known = _known(declared)
    if known not in (None, "utf-8", _WESTERN) and (text := _strictly(content, known or "")) is not None:
        return text, ()
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        return _eight_bit(source, content, declared, known)


def _marked(source: DocumentSource, content: bytes, encoding: str) -> tuple[str, tuple[str, ...]]:
    try:
        return content.decode(encoding), ()
    except UnicodeDecodeError as error:
        text = content.decode(encoding, "replace")
        num_damaged = text.count("\ufffd")
        if num_damaged > max(1, _MAX_DAMAGED * len(text)) or len(text) < 1 / _MAX_DAMAGED:
            raise InvalidDocumentError(
                f"document {source.name!r} is no valid {encoding.upper()}, as its byte order mark says: "
                f"{error.reason} at byte {error.start} after the mark; save it as UTF-8 and send it again"
            ) from error
        return text, (_damage(source, num_damaged, encoding),)


def _wide(source: DocumentSource, content: bytes) -> tuple[str, tuple[str, ...]]:
    """Text in UTF-16 or UTF-32 without a mark: of control characters it is full."""
    encoding, _ = _detected(content)
    if encoding is not None and encoding.startswith(("utf-16", "utf-32")):
        text = content.decode(encoding, "replace")
        return text, (_guess(source, encoding),)
    raise UnsupportedDocumentError(
        f"document {source.name!r} is binary data of an unknown type; send text, PDF, DOCX, HTML or a picture"
    )


def _eight_bit(
    source: DocumentSource, content: bytes, declared: str | None, known: str | None
) -> tuple[str, tuple[str, ...]]:
    """Text that is no UTF-8: damaged UTF-8, what it declares, or what it looks like."""
    text = content.decode("utf-8", "replace")
    num_damaged, num_beyond = text.count("\ufffd"), len(content.translate(None, delete=_ASCII))
    if 3 * num_damaged < num_beyond and num_damaged <= max(1, _MAX_STRAY * num_beyond):
        return text, (_damage(source, num_damaged, "utf-8"),)
    if known == _WESTERN:
        return content.decode(_WESTERN, "replace"), ()
    encoding, confidence = _detected(content)
    if encoding is None or (confidence < _SURE and not _is_multibyte(encoding)):
        encoding, confidence = _WESTERN, 0.0
    lie = f"{source.name!r} says that it is {declared.upper()}, which it is not; " if declared else ""
    return content.decode(encoding, "replace"), (lie + _guess(source, encoding, confidence),)


def _detected(content: bytes) -> tuple[str | None, float]:
    """The encoding that the bytes look like, as Python names it, and how sure that is."""
    import chardet  # takes a while to import, and most text is UTF-8

    found = chardet.detect(content[:_DETECTION_BYTES], prefer_superset=True, compat_names=False)
    encoding = found["encoding"]
    if encoding is None or _strictly(b"", encoding) is None:
        return None, 0.0
    return encoding, float(found["confidence"])


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _known(declared: str | None) -> str | None:
    """The codec for what a page calls its encoding; None where there is none of that name."""
    try:
        name = codecs.lookup((declared or "").strip()).name
    except (LookupError, ValueError):
        return None
    return _SUPERSETS.get(name, name)


def _is_multibyte(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(_MULTIBYTE)


def _guess(source: DocumentSource, encoding: str, confidence: float = 1.0) -> str:
    doubt = "" if confidence >= _LIKELY else "; if it reads wrong, save it as UTF-8"
    return f"the encoding of {source.name!r} was guessed from its bytes: {encoding.upper()}{doubt}"


def _damage(source: DocumentSource, num_damaged: int, encoding: str) -> str:
    places = "1 place" if num_damaged == 1 else f"{num_damaged} places"
    verb, each = ("is", "it") if num_damaged == 1 else ("are", "each")
    return f"{places} of {source.name!r} {verb} no valid {encoding.upper()}; {each} is shown as \ufffd"
