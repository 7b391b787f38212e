"""What people ask: every ask means one field, can be read, and leaves enough on both sides of the split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest
import yaml

from glyph_core.training import facts
from glyph_core.training.facts import FIELDS_FILE, FieldOfInterest, fields_of
from glyph_core.training.text_sources import Split
from glyph_core.training.trained_formats import TRAINED
from glyph_core.training.values import HELD_OUT

MAX_CHARS = 90
MIN_TRAINED_ASKS = 12
TRAINED_FIELDS = fields_of(Split.TRAIN)
BRACES = re.compile(r"\{.*?\}|[{}]")


def all_asks(name: str) -> list[str]:
    return [ask for split in Split for field in fields_of(split) if field.name == name for ask in field.asks]


def folded(text: str) -> str:
    """What is left of a text when the case, the kind of document and the last mark are left out."""
    return text.lower().replace("{doc}", "document").rstrip("?. ")


def groups_by_text(texts_of: dict[FieldOfInterest, list[str]]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for field, texts in texts_of.items():
        for text in texts:
            groups[folded(text)].add(field.group)
    return groups


def test_no_name_stands_twice_in_the_file() -> None:
    names = re.findall(r"^(\w+):", FIELDS_FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len(names) == len(TRAINED_FIELDS) > 150


def test_no_ask_could_mean_fields_of_two_groups() -> None:
    groups = groups_by_text({field: all_asks(field.name) for field in TRAINED_FIELDS})
    assert {text: found for text, found in groups.items() if len(found) > 1} == {}


def test_no_label_could_mean_fields_of_two_groups() -> None:
    groups = groups_by_text({field: list(field.labels) for field in TRAINED_FIELDS})
    assert {text: found for text, found in groups.items() if len(found) > 1} == {}


@pytest.mark.parametrize("field", TRAINED_FIELDS, ids=lambda field: field.name)
def test_a_field_is_whole(field: FieldOfInterest) -> None:
    asks = all_asks(field.name)
    assert field.value in TRAINED
    assert field.value in HELD_OUT
    assert len(field.asks) >= MIN_TRAINED_ASKS
    assert len(set(map(str.lower, asks))) == len(asks)
    assert len(field.labels) >= 6
    assert len(field.says) >= 5
    for text in (*asks, *field.labels, *field.says):
        assert text.isascii()
        assert text.isprintable()
        assert text == text.strip()
        assert len(text) <= MAX_CHARS
    for ask in asks:
        assert set(BRACES.findall(ask)) <= {"{doc}"}, ask
    for sentence in field.says:
        assert Counter(BRACES.findall(sentence))["{v}"] == 1, sentence
        assert set(BRACES.findall(sentence)) <= {"{doc}", "{v}"}, sentence
    assert not any(BRACES.search(label) for label in field.labels)


def test_most_fields_keep_several_asks_held_out() -> None:
    counts = Counter({field.name: len(field.asks) for field in fields_of(Split.HELD_OUT)})
    assert sum(counts[field.name] >= 2 for field in TRAINED_FIELDS) > 0.9 * len(TRAINED_FIELDS)


def test_the_table_of_related_fields_names_fields() -> None:
    file_names = yaml.safe_load(FIELDS_FILE.read_text(encoding="utf-8")).keys()
    assert {name for group in facts._RELATED for name in group} <= file_names
