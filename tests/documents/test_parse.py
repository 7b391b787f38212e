"""What a document is, is told by its content; what cannot be read is refused by name."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from glyph_core.config import LimitConfig
from glyph_core.documents.blocks import Document, FigureBlock, SourcePlace, TextBlock
from glyph_core.documents.parse import parse
from glyph_core.errors import (
    DocumentTooLargeError,
    EmptyDocumentError,
    GlyphError,
    InvalidDocumentError,
    UnsupportedDocumentError,
)
from glyph_core.types import DocumentSource

LIMITS = LimitConfig()
TEXT = "Grüße, 世界!\r\n\ttwo\n"


def parsed(content: bytes, limits: LimitConfig = LIMITS, name: str = "a.bin") -> Document:
    return parse(DocumentSource(name, content), limits)


def encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


def pixels_of(document: Document) -> np.ndarray:
    (block,) = document.blocks
    assert isinstance(block, FigureBlock)
    return block.pixels


@pytest.mark.parametrize(("content", "found"), [(b"404: gone", "text"), (b"<html><p>Sign in</html>", "a web page")])
def test_a_name_that_promises_something_else_is_told(content: bytes, found: str) -> None:
    assert parsed(content, name="contract.PDF").warnings == (
        f"'contract.PDF' holds {found} and is no PDF file; it was read as what it holds",
    )
    for name in ("contract.txt", "contract", "pdf", "contract.html"):
        assert parsed(content, name=name).warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-8"),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"],
)
def test_text_is_decoded_and_kept_as_it_is(content: bytes) -> None:
    document = parsed(content)
    assert document.text == TEXT
    assert document.media_type == "text/plain"


def test_the_name_decides_nothing() -> None:
    assert parsed(b"# Title\n", name="scan.png").text == "# Title\n"
    assert parsed(encoded(Image.new("L", (3, 2)), "PNG"), name="notes.txt").media_type == "image/png"


@pytest.mark.parametrize(
    ("name", "text", "language"),
    [
        ("a.PY", "x = 1\n", "python"),
        ("run", "#!/usr/bin/env -S python3.11 -u\nx = 1\n", "python"),
        ("run.txt", "#!/bin/sh\nls\n", "bash"),
        ("a.tsx", "let x\n", "tsx"),
        ("a.txt", "x = 1\n", ""),
        ("a.md", "# Title\n", ""),
        ("py", "#!no interpreter\n", ""),
    ],
)
def test_code_is_told_by_its_first_line_or_suffix_for_its_colours(name: str, text: str, language: str) -> None:
    (block,) = parsed(text.encode(), name=name).blocks
    assert block == TextBlock(text, "code" if language else "plain", language=language)


@pytest.mark.parametrize(
    "text", ["BM is short for Bench Mark", "MZ", "PK fire", "II* note", "RIFF raff", "GIF89 is old"]
)
def test_text_that_begins_like_a_signature_is_text(text: str) -> None:
    assert parsed(text.encode()).text == text


@pytest.mark.parametrize(
    "content", [b"", b" \n\t \r\n", "\ufeff\u3000\n".encode()], ids=["none", "blank", "blank with mark"]
)
def test_empty_documents(content: bytes) -> None:
    with pytest.raises(EmptyDocumentError, match=r"a\.bin"):
        parsed(content)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (zipped("xl/workbook.xml"), "spreadsheetml"),
        (zipped("a.txt"), "application/zip"),
        (zipped("a.txt")[:20], "application/zip"),
        (encoded(Image.new("L", (3, 2)), "GIF"), "image/gif"),
        (encoded(Image.new("L", (3, 2)), "BMP"), "image/bmp"),
        (encoded(Image.new("L", (3, 2)), "WEBP"), "image/webp"),
        (b"{\\rtf1\\ansi hello}", "application/rtf"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "OLE"),
        (b"\x1f\x8b\x08" + bytes(40), "application/gzip"),
        (bytes(range(256)) * 4, "binary data"),
    ],
    ids=["xlsx", "zip", "cut zip", "gif", "bmp", "webp", "rtf", "ole", "gzip", "binary"],
)
def test_other_types_are_refused_by_name(content: bytes, named: str) -> None:
    with pytest.raises(UnsupportedDocumentError, match=named):
        parsed(content)


def test_an_archive_of_a_million_names_is_told_by_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading them all took this process ten seconds and 700 MB."""
    listed = b"PK\x01\x02" + bytes(43)

    def opened(*_: object) -> None:
        raise AssertionError("its directory is read")

    monkeypatch.setattr(zipfile, "ZipFile", opened)
    for first, named in (("a.txt", "application/zip"), ("xl/workbook.xml", "spreadsheetml")):
        archive = b"PK\x03\x04" + bytes(26) + first.encode() + listed * 30_000
        with pytest.raises(UnsupportedDocumentError, match=named):
            parsed(archive)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfea\x00b", "UTF-16-LE.*truncated"),
        (b"\xff\xfe\x00\x00\x00\x00\x11\x00\xff\xff\xff\xff", "UTF-32-LE"),
        (zipped("word/document.xml"), "damaged"),
        (encoded(Image.new("L", (64, 64)), "TIFF")[:60], "damaged|could be read"),
        (encoded(Image.effect_noise((64, 64), 50), "PNG")[:900], "damaged"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:300], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "damaged"),
        (b"\xff\xd8\xff" + bytes(30), "damaged"),
    ],
)
def test_damaged_documents_say_what_was_tried(content: bytes, said: str) -> None:
    with pytest.raises(InvalidDocumentError, match=said):
        parsed(content)


def test_limits() -> None:
    with pytest.raises(DocumentTooLargeError, match="11 bytes, more than the 10"):
        parsed(b"hello world", LimitConfig(max_document_bytes=10))
    with pytest.raises(DocumentTooLargeError, match="40×30 px, more than the 1000"):
        parsed(encoded(Image.new("L", (40, 30)), "PNG"), LimitConfig(max_image_pixels=1000))


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    header = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    with pytest.raises(GlyphError) as caught:  # the size no longer matches the header's checksum: either error is right
        parsed(bytes(header))
    assert isinstance(caught.value, DocumentTooLargeError | InvalidDocumentError)


def test_pictures_become_gray_or_rgb() -> None:
    gray = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert np.array_equal(pixels_of(parsed(encoded(gray, "PNG"))), np.asarray(gray))
    red = pixels_of(parsed(encoded(Image.new("RGB", (4, 6), "red"), "PNG")))
    assert red.shape == (6, 4, 3)
    assert tuple(red[0, 0]) == (255, 0, 0)
    assert pixels_of(parsed(encoded(Image.new("CMYK", (4, 6)), "JPEG"))).shape == (6, 4, 3)
    assert pixels_of(parsed(encoded(Image.new("1", (4, 6), 1), "PNG"))).max() == 255


def test_transparent_pixels_show_white_paper() -> None:
    assert pixels_of(parsed(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "PNG"))).min() == 255
    assert pixels_of(parsed(encoded(Image.new("LA", (2, 2), (0, 0)), "PNG"))).min() == 255


def test_sixteen_bit_gray_is_scaled() -> None:
    deep = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert pixels_of(parsed(encoded(deep, "PNG"))).tolist() == [[0, 0x80, 0xFF]]


def test_the_camera_s_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to be upright
    assert pixels_of(parsed(encoded(Image.new("L", (40, 20)), "JPEG", exif=exif))).shape == (40, 20)


def test_each_frame_of_a_tiff_is_a_picture() -> None:
    frames = [Image.new("1", (30, 20), 1), Image.new("RGB", (10, 10), "red"), Image.new("L", (5, 5), 7)]
    stream = io.BytesIO()
    frames[0].save(stream, "TIFF", save_all=True, append_images=frames[1:])
    document = parsed(stream.getvalue())
    assert document.media_type == "image/tiff"
    figures = [block for block in document.blocks if isinstance(block, FigureBlock)]
    assert [figure.pixels.shape for figure in figures] == [(20, 30), (10, 10, 3), (5, 5)]
    assert [figure.place for figure in figures] == [SourcePlace(0), SourcePlace(1), SourcePlace(2)]
    assert [int(figure.pixels.flat[0]) for figure in figures] == [255, 255, 7]
    small = parsed(stream.getvalue(), LimitConfig(max_image_pixels=300))
    assert len(small.blocks) == 2
    assert small.page_errors[0].page == 0
    assert "30×20 px" in small.warnings[0]
    with pytest.raises(DocumentTooLargeError, match="3 pages, more than the 2"):
        parsed(stream.getvalue(), LimitConfig(max_pages=2))
