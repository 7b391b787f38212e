"""What a request may say, before anything is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glyph_core.answering.request import AnswerRequest
from glyph_core.documents.source import read_source
from glyph_core.errors import InvalidRequestError


@pytest.mark.parametrize("text", ["Who is \udcff?", "\ud83d"])
def test_halves_of_characters_are_refused(text: str) -> None:
    """They come of arguments and JSON that are no Unicode; no tokenizer takes them."""
    with pytest.raises(InvalidRequestError, match="half a character") as raised:
        AnswerRequest.about([], text)
    assert raised.value.message.encode()


def test_a_file_s_name_is_text_whatever_its_bytes_are(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.txt"
    Path(os.fsdecode(path)).write_text("x")
    assert read_source(os.fsdecode(path)).name == "\ufffd.txt"
    with pytest.raises(InvalidRequestError, match="cannot be read") as raised:
        read_source(os.fsdecode(path) + "\udcfe")
    assert raised.value.message.encode()
