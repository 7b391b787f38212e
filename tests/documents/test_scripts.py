"""Letters are counted by script; what is no letter belongs to none."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_core.documents.scripts import count_scripts, script_of


@pytest.mark.parametrize(
    ("character", "script"),
    [
        ("a", "Latin"), ("é", "Latin"), ("ß", "Latin"), ("ž", "Latin"), ("ạ", "Latin Extended"), ("Ж", "Cyrillic"),
        ("β", "Greek"), ("中", "Han"), ("々", "Han"), ("𠀀", "Han"), ("あ", "Hiragana"), ("カ", "Katakana"),
        ("ー", "Katakana"), ("한", "Hangul"), ("ش", "Arabic"), ("א", "Hebrew"), ("क", "Devanagari"),
        ("7", None), (".", None), ("€", None), (" ", None), ("，", None), ("😀", None), ("→", None),
    ],
)  # fmt: skip
def test_script_of(character: str, script: str | None) -> None:
    assert script_of(character) == script


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_letter_is_counted_once(text: str) -> None:
    counts = count_scripts(text)
    assert dict(counts) == Counter(script for character in text if (script := script_of(character)))
    assert [count for _, count in counts] == sorted((count for _, count in counts), reverse=True)


def test_real_documents(shared_data: Path) -> None:
    def main_script(name: str) -> str:
        return count_scripts((shared_data / name).read_text(encoding="utf-8"))[0][0]

    assert main_script("long_text/三国演义.txt") == "Han"
    assert main_script("long_text/1946-Truman.txt") == "Latin"
    assert main_script("hostile_text/udhr_Hindi-UTF8.txt") == "Devanagari"
    assert main_script("hostile_text/udhr2_arb.txt") == "Arabic"
