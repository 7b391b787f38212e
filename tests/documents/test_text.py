"""Text in the encodings that it really has."""

from __future__ import annotations

import pytest

from glyph_core.documents.text import decode_text
from glyph_core.errors import UnsupportedDocumentError
from glyph_core.types import DocumentSource

CHINESE = "滚滚长江东逝水，浪花淘尽英雄。是非成败转头空，青山依旧在，几度夕阳红。"
TAIWANESE = "鑒於對人類家庭所有成員的固有尊嚴及其平等的和不移的權利的承認，乃是世界自由、正義與和平的基礎。"
JAPANESE = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"
RUSSIAN = "Все люди рождаются свободными и равными в своем достоинстве и правах."
GERMAN = "Grüße aus Köln: 5 € für „Übermut“."
ENGLISH = "Plain English, without any letter beyond ASCII."


def decoded(content: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    return decode_text(DocumentSource("a.txt", content), declared)


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        (CHINESE, "gb18030", "GB18030"),
        (CHINESE[:12], "gb18030", "GB18030"),
        (TAIWANESE, "big5", "BIG5"),
        (JAPANESE, "shift_jis", "CP932"),
        (JAPANESE, "euc_jp", "EUC"),
        (RUSSIAN, "cp1251", "CP1251"),
        (RUSSIAN, "koi8-r", "KOI8-R"),
        (GERMAN, "cp1252", "CP1252"),
        ("café", "latin-1", "CP1252"),
        ("a naïve façade " + ENGLISH * 30, "latin-1", "CP1252"),
        (ENGLISH, "utf-16-le", "UTF-16-LE"),
        (ENGLISH, "utf-16-be", "UTF-16-BE"),
        (ENGLISH, "utf-32-le", "UTF-32-LE"),
    ],
)
def test_a_guess_is_right_and_named(text: str, encoding: str, named: str) -> None:
    got, (warning,) = decoded(text.encode(encoding))
    assert got == text
    assert f"'a.txt' was guessed from its bytes: {named}" in warning


def test_a_guess_from_little_says_so() -> None:
    assert "save it as UTF-8" in decoded("café".encode("latin-1"))[1][0]
    assert "save it as UTF-8" not in decoded(JAPANESE.encode("shift_jis"))[1][0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_needs_no_guess_has_no_warning(encoding: str) -> None:
    assert decoded((GERMAN + CHINESE).encode(encoding)) == (GERMAN + CHINESE, ())


@pytest.mark.parametrize(
    ("encoding", "declared", "warns"),
    [
        ("gb18030", "gb2312", False),
        ("gb18030", "GBK", False),
        ("utf-8", "gb2312", False),  # UTF-8 that calls itself otherwise is no GB18030, mostly
        ("gb18030", "utf-8", True),
        ("utf-8", "iso-8859-1", False),
        ("utf-8", "no-such-thing", False),
        ("utf-8", "utf-16", False),
    ],
)
def test_declarations_are_believed_where_the_bytes_bear_them_out(encoding: str, declared: str, warns: bool) -> None:
    text, warnings = decoded(CHINESE.encode(encoding), declared)
    assert text == CHINESE
    assert bool(warnings) == warns


def test_latin_that_is_declared_is_no_guess() -> None:
    assert decoded(GERMAN.encode("cp1252"), "iso-8859-1") == (GERMAN, ())


def test_a_cut_character_costs_only_itself() -> None:
    got, (warning,) = decoded(CHINESE.encode()[:-1])
    assert got == CHINESE[:-1] + "\ufffd"
    assert warning.startswith("1 place of 'a.txt' is no valid UTF-8")
    assert decoded((CHINESE * 3).encode("utf-16")[:-1])[0].startswith(CHINESE)


def test_line_ends_and_zeros_stay() -> None:
    mixed = "one\r\ntwo\rthree\n\x00four\x0bfive\u2028six\n"
    assert decoded(mixed.encode()) == (mixed, ())


@pytest.mark.parametrize("content", [bytes(range(256)) * 4, b"\x00\x01\x02\x03" * 100, b"\x7fELF" + bytes(200)])
def test_binary_data_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedDocumentError, match=r"a\.txt.*binary"):
        decoded(content)


def test_a_long_text_is_decoded_at_once() -> None:
    text = CHINESE * 30_000
    assert decoded(text.encode("gb18030"))[0] == text
