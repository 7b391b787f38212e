"""Training and held-out material: no word, name, paragraph, format or wording on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyph_core.errors import ConfigError
from glyph_core.training.facts import fields_of
from glyph_core.training.text_sources import Split, TextSources, load, read_paragraphs, read_words, save
from glyph_core.training.values import HELD_OUT, TRAINED

SHAPELESS = {"word", "words"}  # words have no format: the words themselves are held out


def test_the_sides_share_nothing_and_lose_nothing(sources: TextSources) -> None:
    train, held_out = (sources.side(split) for split in Split)
    for whole, *sides in zip(*(vars(s).values() for s in (sources, train, held_out)), strict=True):
        assert set(sides[0]) | set(sides[1]) == set(whole)
        assert not {text.lower() for text in sides[0]} & {text.lower() for text in sides[1]}
        assert all(sides)


def test_every_kind_of_value_has_formats_of_its_own_on_each_side() -> None:
    assert TRAINED.keys() == HELD_OUT.keys()
    for kind, trained in TRAINED.items():
        assert trained
        if kind not in SHAPELESS:
            assert not set(trained) & set(HELD_OUT[kind]), kind


def test_a_way_of_asking_is_on_one_side_only() -> None:
    asks = [{ask for field in fields_of(split) for ask in field.asks} for split in Split]
    assert not asks[0] & asks[1]
    assert len(asks[1]) > 30


def test_saved_sources_come_back_by_side(sources: TextSources, tmp_path: Path) -> None:
    save(sources, tmp_path / "sources.json.gz")
    assert load(tmp_path / "sources.json.gz", Split.HELD_OUT) == sources.side(Split.HELD_OUT)


def test_a_missing_word_list_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="wamerican"):
        read_words(tmp_path / "nothing")


def test_words_and_prose_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("apple\nBerlin\nit's\nNASA\nzebra\n")
    assert read_words(tmp_path / "words") == (("apple", "zebra"), ("Berlin",))
    prose = "A paragraph of plain words that is long enough to be taken as prose by the reader of files. It ends here."
    (tmp_path / "guide.txt").write_text(f"Title\n\n{prose}\n\nx = 1; y = 2\n")
    assert read_paragraphs([tmp_path], 10_000) == (prose,)
