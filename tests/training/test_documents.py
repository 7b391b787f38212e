"""Questions: answered by the page, and by nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from glyph_core.training.charset import CHARSET
from glyph_core.training.documents import GeneratedDocument
from glyph_core.training.facts import ABSENT_ANSWER, QuestionKind
from glyph_core.training.generator import STYLES, DocumentSpec, generate
from glyph_core.training.material import Material
from glyph_core.training.text_sources import Split, TextSources
from glyph_core.training.values import TRAINED, make_value


def documents(sources: TextSources, split: Split, style: str, count: int) -> list[GeneratedDocument]:
    material = Material(sources.side(split), split, seed=7)
    return [generate(material, DocumentSpec(60, 24, 12, styles=((style, 1.0),))) for _ in range(count)]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("style", STYLES)
def test_answers_stand_on_the_page_and_not_in_the_question(sources: TextSources, split: Split, style: str) -> None:
    made = documents(sources, split, style, 30)
    assert sum(len(document.questions) for document in made) > 150
    for document in made:
        flat = " ".join(document.text.split())
        for question in document.questions:
            if question.kind is QuestionKind.ABSENT:
                assert question.answer == ABSENT_ANSWER
                continue
            assert question.answer.lower() not in question.text.lower()
            for part in question.answer.split("; ") if question.answer not in flat else [question.answer]:
                assert " ".join(part.split()) in flat, (question, document.text)


def test_nothing_can_be_guessed_without_the_page(sources: TextSources) -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for document in documents(sources, Split.TRAIN, "plain", 3000):
        for question in document.questions:
            if question.kind is not QuestionKind.ABSENT:
                answers[question.text][question.answer] += 1
    often = {text: counts for text, counts in answers.items() if counts.total() >= 5}
    assert len(often) > 10
    best = sum(counts.most_common(1)[0][1] for counts in often.values()) / sum(c.total() for c in often.values())
    assert best < 0.4  # five draws of different values: about one in five is the most common one


def test_a_question_for_what_is_absent_looks_like_the_others(sources: TextSources) -> None:
    openings: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for document in documents(sources, Split.TRAIN, "mixed", 300):
        for question in document.questions:
            if question.kind is not QuestionKind.CONTINUE:
                openings[question.kind is QuestionKind.ABSENT][question.text.split(" ")[0]] += 1
    common = {word for word, _ in openings[True].most_common(8)}
    assert common <= set(openings[False])


def test_every_value_fits_and_can_be_drawn(sources: TextSources) -> None:
    for split in Split:
        material = Material(sources.side(split), split, seed=3)
        for kind in TRAINED:
            for _ in range(50):
                value = make_value(material, kind)
                assert 1 <= len(value) <= 80
                assert value == value.strip()
                assert set(value) <= set(CHARSET)


def test_the_same_seed_writes_the_same_documents(sources: TextSources) -> None:
    assert documents(sources, Split.TRAIN, "mixed", 5) == documents(sources, Split.TRAIN, "mixed", 5)
