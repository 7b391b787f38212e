"""Values: formats that are held out stay held out, and those without a format are clear and surprising."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from glyph_core.training.charset import CHARSET
from glyph_core.training.material import Material
from glyph_core.training.random_values import altered, is_clear, random_value
from glyph_core.training.shapes import is_reserved, shape
from glyph_core.training.text_sources import Split, TextSources, split_of
from glyph_core.training.trained_formats import TRAINED
from glyph_core.training.values import HELD_OUT, RANDOM, common_kind, make_value
from glyph_core.training.wordings import ALL_FRAMES, KEY_FRAMES, POLITE

SHAPELESS = {"word", "words", "long"}  # held out by their words alone
# Held-out formats that no reader could tell from a trained one by their shape: the name says where both are from.
SHARED = {"9", "A", "x", "a", "Aa Aa", "Aa, Aa", "A 9", "9 A", "9 a", "Aa 9"}
HEX = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{28}")  # as on the other side, any shape


def material(sources: TextSources, split: Split, seed: int = 3) -> Material:
    return Material(sources.side(split), split, seed)


def test_a_shape_keeps_punctuation_and_says_what_runs_are_made_of() -> None:
    assert shape("approx. 566 pages") == "a. 9 a"
    assert shape("Acme Co., 4.10 a.m. (X7)") == "Aa Aa., 9.9 a.a. (x)"
    assert shape("ÉTÉ Grün ROT-9_a") == "A Aa A-9_a"


@pytest.mark.parametrize("value", ["approx. 566 pages", "4.10 a.m.", "Bel Ami Co.", "No. 12", "12 Mar 2031", "CHF 400"])
def test_held_out_formats_are_reserved(value: str) -> None:
    assert is_reserved(value)


@pytest.mark.parametrize("kind", sorted(HELD_OUT.keys() - SHAPELESS))
def test_a_held_out_value_is_reserved_or_shares_the_shape_of_a_trained_one(sources: TextSources, kind: str) -> None:
    held_out = material(sources, Split.HELD_OUT)
    values = [make_value(held_out, kind) for _ in range(800)]
    open_shapes = {shape(value) for value in values if not is_reserved(value) and not HEX.fullmatch(value)}
    trained = material(sources, Split.TRAIN)
    known = {shape(maker(trained)) for maker in TRAINED[kind] for _ in range(150)} | SHARED
    assert not open_shapes - known
    assert sum(map(is_reserved, values)) > 0.2 * len(values)


def test_no_trained_value_has_a_held_out_format(sources: TextSources) -> None:
    trained = material(sources, Split.TRAIN)
    for kind in (*TRAINED, RANDOM):
        assert not any(is_reserved(make_value(trained, kind)) for _ in range(400)), kind


def test_every_trained_format_gives_values_that_are_not_reserved(sources: TextSources) -> None:
    trained = material(sources, Split.TRAIN)
    assert sum(len(makers) for makers in TRAINED.values()) > 210
    for kind, makers in TRAINED.items():
        for number, maker in enumerate(makers):
            assert any(not is_reserved(maker(trained)) for _ in range(40)), (kind, number)


@pytest.mark.parametrize("in_sentence", [False, True])
def test_random_values_are_clear_and_of_the_set(sources: TextSources, in_sentence: bool) -> None:
    trained = material(sources, Split.TRAIN)
    values = [random_value(trained, in_sentence=in_sentence) for _ in range(4000)]
    assert all(1 <= len(value) <= 80 and value == " ".join(value.split()) for value in values)
    assert set("".join(values)) <= set(CHARSET)
    assert all(is_clear(value, in_sentence=in_sentence) for value in values)
    shapes = Counter(map(shape, values))
    assert len(shapes) > 2500
    assert shapes.most_common(1)[0][1] < 0.1 * len(values)
    assert sum(value.endswith(".") for value in values) > 200
    assert sum(len(value) > 40 for value in values) > 200


def test_a_sentence_does_not_hide_the_end_of_a_value() -> None:
    assert is_clear("Bel Ami Inc.", in_sentence=True)
    for unclear in ("red. The", "done!", "so... ", "it was. Éva"):
        assert is_clear(unclear, in_sentence=False)
        assert not is_clear(unclear, in_sentence=True), unclear


def test_altered_words_are_not_held_out_ones(sources: TextSources) -> None:
    trained = material(sources, Split.TRAIN)
    made = {altered(trained) for _ in range(2000)}
    assert all(split_of(word) is Split.TRAIN for word in made)
    assert len(made - set(sources.words)) > 1000


def test_a_key_that_says_nothing_often_has_a_value_without_a_format(sources: TextSources) -> None:
    counts = Counter(common_kind(material(sources, Split.TRAIN, seed)) for seed in range(1000))
    assert 250 < counts[RANDOM] < 400
    assert RANDOM not in {common_kind(material(sources, Split.HELD_OUT, seed)) for seed in range(300)}


def test_ways_of_putting_a_question_are_on_one_side() -> None:
    shared = {"What is the {k}?", "{k}?", "{q}", "{l}"}  # there is no other way to ask plainly
    for frames in (KEY_FRAMES, ALL_FRAMES, POLITE):
        assert set(frames[Split.TRAIN]) & set(frames[Split.HELD_OUT]) <= shared
