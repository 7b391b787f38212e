"""Outside of what a checkpoint declares, a request says so; inside, and where nothing is declared, it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from glyph_core.answering.scope import Scope, scope_of
from glyph_core.config import PRESETS, RenderConfig
from glyph_core.model.checkpoint import Checkpoint
from glyph_core.model.declaration import ReadingRange
from glyph_core.rendering.renderer import PageRenderer
from glyph_core.types import DocumentPlan, DocumentSource, Message

READS = ReadingRange.model_validate(
    {
        "looks": [
            {"font": "mono", "font_size_px": [11, 12], "line_height_px": [14, 14], "cell_width_px": 7},
            {"font": "sans", "font_size_px": [12, 12], "line_height_px": [14, 15]},
        ],
        "inverted": True,
        "max_pages": 8,
        "scripts": ["Latin"],
    }
)
CHECKPOINT = Checkpoint(Path(), "some-model", "glm4v", "mini", 8192, (1,), absent_answer="not stated", reads=READS)
MINI = PRESETS["mini"]
QUESTION = (Message("user", "Who signs?", (0,)),)


def plan_of(text: str, config: RenderConfig = MINI) -> DocumentPlan:
    return PageRenderer(config).plan(DocumentSource("document", text.encode()))


def scope(text: str, config: RenderConfig = MINI, question: str = "Who signs?") -> Scope:
    return scope_of(CHECKPOINT, config, [plan_of(text, config)], [Message("user", question, (0,))])


@pytest.mark.parametrize(
    "config",
    [
        MINI,
        MINI.model_copy(update={"inverted": True, "page_width_px": 280, "margin_px": 28}),
        RenderConfig(font="sans", font_size_px=12, cell_width_px=0, line_height_px=15),
    ],
    ids=["preset", "inverted, other page", "sans"],
)
def test_inside_nothing_is_said(config: RenderConfig) -> None:
    assert scope("Signed by Zoë Müller → 12 €, «naïve»", config) == Scope()


def test_a_question_about_nothing_is_told() -> None:
    found = scope_of(CHECKPOINT, PRESETS["glyph-en"], [], QUESTION)  # a look without pages is none
    assert (found.readable_share, len(found.warnings)) == (0.0, 1)
    assert "no document" in found.warnings[0]


def test_nothing_declared_nothing_said() -> None:
    undeclared = replace(CHECKPOINT, reads=None)
    assert scope_of(undeclared, PRESETS["glyph-en"], [plan_of("三国" * 9000)], QUESTION) == Scope()


@pytest.mark.parametrize(
    "change",
    [
        {"line_height_px": 13},
        {"font_size_px": 13},
        {"cell_width_px": 0},
        {"cell_width_px": 6},
        {"styled": True},
        {"tables": "ruled"},
        {"formulas": "set"},
        {"figures": "set"},
        {"highlight": True},
        {"newline_marks": True},
    ],
)
def test_another_look_is_told(change: dict[str, object]) -> None:
    outside = scope("Signed", MINI.model_copy(update=change))
    assert outside.readable_share == 0
    assert "some-model does not read well" in outside.warnings[0]


def test_inverted_pages_where_that_is_not_declared() -> None:
    plain = replace(CHECKPOINT, reads=READS.model_copy(update={"inverted": False}))
    config = MINI.model_copy(update={"inverted": True})
    assert "white on black" in scope_of(plain, config, [plan_of("Signed", config)], QUESTION).warnings[0]


def test_foreign_letters_are_told_by_their_share() -> None:
    outside = scope("abcdef 三国")
    assert outside.readable_share == pytest.approx(0.75)
    assert outside.warnings == (
        "2 of 8 letters of the documents (2 Han) are none that some-model reads: it knows Latin",
    )


def test_a_question_in_other_letters_is_told() -> None:
    outside = scope("Signed", question="谁签的？")
    assert outside.readable_share == 0
    assert "of the question" in outside.warnings[0]


def test_too_many_pages_are_told() -> None:
    plan = plan_of("line\n" * 60 * 30)
    outside = scope_of(CHECKPOINT, MINI, [plan], QUESTION)
    assert plan.num_pages == 30
    assert outside == Scope(("30 pages are more than the 8 that some-model was measured on",), 8 / 30)


def test_a_long_question_is_told() -> None:
    measured = replace(CHECKPOINT, reads=READS.model_copy(update={"max_question_chars": 20}))
    plans = [plan_of("Signed")]
    assert scope_of(measured, MINI, plans, QUESTION) == Scope()
    outside = scope_of(measured, MINI, plans, [*QUESTION, Message("user", "Who signs it, and whose pen is it?")])
    assert outside == Scope(
        ("the question has 34 characters; some-model was measured on questions of at most 20",), 0.0
    )


def test_pictures_are_told_and_their_look_is_not() -> None:
    picture = replace(plan_of("x"), num_picture_pages=1, scripts=())
    outside = scope_of(CHECKPOINT, PRESETS["glyph-en"], [picture], QUESTION)
    assert len(outside.warnings) == 1
    assert "1 of 1 pages are pictures" in outside.warnings[0]
    assert outside.readable_share == 0
