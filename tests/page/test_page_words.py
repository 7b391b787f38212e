"""The page's words: complete in both languages, and the right language for a visitor."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from deployments.page import strings
from deployments.page.strings import LANGUAGES, language_for, table, words_of
from glyph_core.errors import GlyphError

FOLDER = Path(strings.__file__).parent
LITERAL = re.compile(r"""["'](\w+)["']""")
COMPOSED = re.compile(r"""f["'](\w*)\{[\w\[\]'".]+\}(\w*)["']""")
ASKED = re.compile(r"""words\(\s*"(\w+)\"""")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_word_is_there_in_each_language_with_the_same_fields() -> None:
    for key, texts in table().items():
        assert set(texts) == set(LANGUAGES), key
        assert all(text.strip() for text in texts.values()), key
        assert len({frozenset(fields(text)) for text in texts.values()}) == 1, key


def test_chinese_is_chinese() -> None:
    same = {"dpi", "top_p", "export_file", "compare_file", "other_language", "other_language_hint"}
    for key, texts in table().items():
        if key not in same:
            assert re.search(r"[\u4e00-\u9fff]", texts["zh"]), key


def test_every_word_that_the_code_asks_for_exists() -> None:
    used = {key for path in FOLDER.glob("*.py") for key in ASKED.findall(path.read_text(encoding="utf-8"))}
    assert len(used) > 40
    assert used <= set(table())


def test_every_word_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py"))
    named, composed = set(LITERAL.findall(code)), COMPOSED.findall(code)
    unused = [
        key
        for key in table()
        if key not in named and not any(key.startswith(a) and key.endswith(z) for a, z in composed if a or z)
    ]
    assert unused == []


def subclasses(of: type[GlyphError]) -> set[type[GlyphError]]:
    return {of}.union(*(subclasses(child) for child in of.__subclasses__()))


def test_advice_on_errors_is_about_errors_that_exist() -> None:
    advised = {key.removeprefix("error_") for key in table() if key.startswith("error_")} - {"other"}
    assert advised <= {error.code for error in subclasses(GlyphError)}


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("", None, "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", None, "zh"),
        ("de;q=0.9,zh-TW;q=0.5,en;q=0.4", None, "zh"),
        ("en-GB,zh;q=0.9", None, "en"),
        ("fr,de", None, "en"),
        ("zh;q=nonsense,en;q=0.1", None, "en"),
        ("zh-CN", "en", "en"),
        ("en", "zh", "zh"),
        ("zh-CN", "klingon", "zh"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(accepted: str, chosen: str | None, language: str) -> None:
    assert language_for(accepted, chosen) == language


def test_words_are_filled_in() -> None:
    assert words_of("en")("page_caption", number=3) == "page 3"
    assert words_of("zh")("page_caption", number=3) == "第 3 页"
