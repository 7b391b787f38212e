"""What is read, looked up and looked at again for a request, and what comes of it. The model is a script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from glyph_core.answering.course import Course, Task
from glyph_core.answering.demands import Count, Enlarge, LookUp, Read
from glyph_core.answering.reader import Reader
from glyph_core.citations import Region
from glyph_core.config import (
    EvidenceConfig,
    LimitConfig,
    ReadingConfig,
    SamplingConfig,
    SecondLookConfig,
    WindowConfig,
    preset,
)
from glyph_core.engine.engine import TokenOutput
from glyph_core.evidence.finder import CitedPassage, DocumentEvidence
from glyph_core.evidence.lookup import Found
from glyph_core.evidence.values import values_of
from glyph_core.model.checkpoint import resolve_checkpoint
from glyph_core.model.token_counter import TokenCount
from glyph_core.types import Answer, DocumentPlan, Message, PagePlan, TextDelta

MINI = preset("mini")
ABSENT = "not stated"
SURE, UNSURE = 0.999, 0.4
Says = tuple[str, float]  # a text and the probability of all its tokens together


def plan_of(name: str, num_pages: int, side: int = 112) -> DocumentPlan:
    pages = tuple(PagePlan(index, side, side, f"{name}/{side}/{index}") for index in range(num_pages))
    return DocumentPlan(name, name, "text/plain", pages, 1000)


@dataclass
class Script:
    """``says`` gives the model's words about the pages that it is shown, as pairs of a document and a page index.
    ``stands_on``: on which pages a text stands; ``holds``: the documents' text has the answer's values."""

    says: Callable[[Sequence[tuple[int, int]]], Says]
    stands_on: dict[str, tuple[int, int]] = field(default_factory=dict)
    holds: bool = True
    refuses: bool = False
    shown: list[list[tuple[int, int]]] = field(default_factory=list, init=False)
    asked: list[LookUp] = field(default_factory=list, init=False)
    enlarged: list[Enlarge] = field(default_factory=list, init=False)
    streamed: str = field(default="", init=False)

    def play(self, course: Course) -> Answer:
        steps, told = course.steps(), None
        try:
            while True:
                demand = steps.send(told)
                told = getattr(self, f"_{type(demand).__name__}")(course, demand)
        except StopIteration as finished:
            answer = finished.value
            assert isinstance(answer, Answer)
            return answer

    def _Read(self, course: Course, demand: Read) -> None:  # noqa: N802
        inquiry = demand.inquiry
        while started := inquiry.next_sequence():
            name, prompt = started
            pages = [
                (document, page.page.page_index)
                for document, page in zip(prompt.document_of_page, prompt.prompt.pages, strict=True)
            ]
            self.shown.append(pages)
            for number in range(len(pages)):
                inquiry.note_page(name, number)
            text, probability = self.says(pages)
            tokens = [*course.reader.tokenizer.encode(text), course.reader.checkpoint.eos_token_ids[0]]
            for index, token in enumerate(tokens):
                is_last = index == len(tokens) - 1
                logprob = math.log(probability) if is_last else 0.0
                deltas = inquiry.push(TokenOutput(name, token, logprob, "stop" if is_last else None, 0))
                self.streamed += "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
        assert inquiry.is_finished

    def _Count(self, course: Course, demand: Count) -> TokenCount:  # noqa: N802
        return TokenCount(1000, estimated=True)

    def _LookUp(self, course: Course, demand: LookUp) -> list[DocumentEvidence] | str:  # noqa: N802
        self.asked.append(demand)
        if self.refuses:
            return "nobody is there"
        return [self._evidence(document, query.answer, query.pages or ()) for document, query in demand.asked]

    def _evidence(self, document: int, answer: str, pages: Sequence[int]) -> DocumentEvidence:
        values = tuple(Found(0, value.text) if self.holds else Found() for value in values_of(answer))
        at = self.stands_on.get(answer)
        if at is None or at[0] != document or at[1] not in pages:
            return DocumentEvidence(bool(pages), values=values)
        region = Region(at[1], (0, 0, 1, 1), (112, 112))
        passage = CitedPassage(0, len(answer), answer, 0, len(answer), (region,), 1.0, 1, 1.0)
        return DocumentEvidence(has_text=True, passages=(passage,), values=values)

    def _Enlarge(self, course: Course, demand: Enlarge) -> list[DocumentPlan] | str:  # noqa: N802
        self.enlarged.append(demand)
        if self.refuses:
            return "nobody is there"
        plans = [plan_of(plan.name, plan.num_pages, 140) for plan in course.plans]
        return [plan.showing(pages) for plan, pages in zip(plans, demand.pages, strict=True)]


def course_of(*num_pages: int, look: bool = False, is_calibrated: bool = True, **changes: Any) -> Course:
    plans = tuple(plan_of(f"d{number}", count) for number, count in enumerate(num_pages))
    checkpoint = resolve_checkpoint("glyph-mini")
    if not is_calibrated:
        checkpoint = replace(checkpoint, calibration=None, absent_answer=None)
    reading = ReadingConfig(windows=WindowConfig(**changes), second_look=SecondLookConfig(enabled=look, max_tokens=100))
    message = Message("user", "What is the rent?", tuple(range(len(plans))))
    task = Task("r", (message,), SamplingConfig(max_tokens=40), MINI, EvidenceConfig(), reading)
    return Course(task, plans, Reader.of(checkpoint), max_model_len=8192, limits=LimitConfig())


def facts(*facts: tuple[tuple[int, int], Says]) -> Callable[[Sequence[tuple[int, int]]], Says]:
    """A reader that knows what each page tells and finds nothing elsewhere; of several the surest."""
    known = dict(facts)

    def says(pages: Sequence[tuple[int, int]]) -> Says:
        return max((known[page] for page in pages if page in known), key=lambda said: said[1], default=(ABSENT, SURE))

    return says


def test_windows_share_a_page_and_the_finding_wins() -> None:
    script = Script(facts(((0, 5), ("1,200 EUR", SURE))), {"1,200 EUR": (0, 5)})
    course = course_of(10)
    answer = script.play(course)
    assert [[page for _, page in pages] for pages in script.shown] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert (answer.text, answer.pages_read, answer.num_pages) == ("1,200 EUR", ((3, 4, 5, 6),), 10)
    assert answer.windows is not None
    assert (answer.windows.num_windows, answer.windows.combined) == (3, None)
    assert [found.text for found in answer.windows.candidates] == ["1,200 EUR"]
    assert 0.9 < answer.confidence < answer.windows.candidates[0].window_confidence
    assert [query.pages for look in script.asked for _, query in look.asked] == [(3, 4, 5, 6)]  # the winner's alone
    assert answer.citations[0].regions[0].page_index == 5
    assert "3 windows" in answer.warnings[0]
    assert answer.usage.num_prompt_tokens > 3 * 4 * 16
    progress = course.account.progress()
    assert (progress.num_pages_encoded, progress.num_windows, progress.num_windows_read) == (10, 3, 3)


def test_what_is_hardly_believed_loses_to_not_stated() -> None:
    answer = Script(facts(((0, 5), ("1,200 EUR", 0.01)))).play(course_of(10))
    assert answer.text == ABSENT
    assert answer.windows is not None
    assert answer.windows.candidates[0].text == "1,200 EUR"


def test_the_pages_of_two_findings_are_read_together() -> None:
    def says(pages: Sequence[tuple[int, int]]) -> Says:
        if {(0, 1), (0, 8)} <= set(pages):
            return "900 EUR", SURE
        return facts(((0, 1), ("1,200 EUR", 0.99)), ((0, 8), ("900 EUR", 0.98)))(pages)

    script = Script(says, {"1,200 EUR": (0, 1), "900 EUR": (0, 8)})
    answer = script.play(course_of(10))
    assert script.shown[3:] == [[(0, 1), (0, 8)]]
    assert (answer.text, answer.pages_read) == ("900 EUR", ((1, 8),))
    assert answer.windows is not None
    assert answer.windows.combined == ((1, 8),)
    assert "2 pages that the likeliest answers stand on" in answer.warnings[0]
    without = Script(says, script.stands_on).play(course_of(10, combine=False))
    assert without.text == "1,200 EUR"


def test_findings_that_stand_nowhere_are_not_read_together() -> None:
    told = facts(((0, 1), ("1,200 EUR", 0.99)), ((0, 8), ("900 EUR", 0.98)))
    script = Script(told, {"900 EUR": (0, 8)})
    assert script.play(course_of(10)).text == "1,200 EUR"
    assert len(script.shown) == 3
    away = Script(told, refuses=True)
    answer = away.play(course_of(10))
    assert (answer.text, len(away.shown)) == ("1,200 EUR", 3)
    assert "nobody is there" in answer.warnings[-1]


def test_small_documents_stand_together_and_a_long_one_by_itself() -> None:
    script = Script(facts(((3, 0), ("900 EUR", SURE))), {"900 EUR": (3, 0)})
    answer = script.play(course_of(1, 2, 6, 2))
    assert script.shown == [
        [(0, 0), (1, 0), (1, 1)],
        [(2, 0), (2, 1), (2, 2), (2, 3)],
        [(2, 3), (2, 4), (2, 5)],
        [(3, 0), (3, 1)],
    ]
    assert (answer.text, answer.citations[0].name) == ("900 EUR", "d3")
    assert [document for look in script.asked for document, _ in look.asked] == [3]  # the others' pages were not read
    assert answer.grounding is not None
    assert [value.text for value in answer.grounding.supported] == ["900", "EUR"]


def test_of_a_model_without_probabilities_what_stands_on_the_pages_comes_first() -> None:
    def says(pages: Sequence[tuple[int, int]]) -> Says:
        return ("900 EUR", 0.5) if (0, 8) in pages else (f"Page {pages[0][1]} does not say.", 0.9)

    answer = Script(says, {"900 EUR": (0, 8)}).play(course_of(10, is_calibrated=False))
    assert answer.text == "900 EUR"
    assert not answer.confidence_is_calibrated


def larger(said: Says, first: Says) -> Callable[[Sequence[tuple[int, int]]], Says]:
    turns = iter([first, said])
    return lambda pages: next(turns)


def test_a_doubtful_answer_is_looked_at_again() -> None:
    script = Script(larger(("900 EUR", SURE), ("1,200 EUR", UNSURE)), {"1,200 EUR": (0, 2)})
    answer = script.play(course_of(3, look=True))
    assert script.shown == [[(0, 0), (0, 1), (0, 2)], [(0, 2)]]  # the page that it was found on, and no other
    assert script.enlarged[0].larger.dpi == 120
    assert script.enlarged[0].larger.font_size_px > MINI.font_size_px
    assert (answer.text, answer.written, script.streamed) == ("900 EUR", "1,200 EUR", "1,200 EUR")
    look = answer.second_look
    assert look is not None
    assert (look.reasons, look.pages, look.is_better) == (("confidence",), ((2,),), True)
    assert look.before.confidence < 0.5 < look.after.confidence
    assert look.num_visual_tokens == 25
    assert answer.usage.num_visual_tokens == 3 * 16 + 25


@pytest.mark.parametrize(("again", "kept"), [(("900 EUR", UNSURE / 2), "1,200 EUR"), (("", SURE), "1,200 EUR")])
def test_the_first_answer_stays_where_the_second_is_no_better(again: Says, kept: str) -> None:
    answer = Script(larger(again, ("1,200 EUR", UNSURE))).play(course_of(1, look=True))
    assert (answer.text, answer.written) == (kept, None)
    assert answer.second_look is not None
    assert not answer.second_look.is_better


def test_values_that_stand_nowhere_are_a_reason_too() -> None:
    script = Script(larger(("900 EUR", SURE), ("1,200 EUR", SURE)), holds=False)
    answer = script.play(course_of(1, look=True))
    assert answer.second_look is not None
    assert answer.second_look.reasons == ("grounding",)
    assert answer.second_look.before.num_unsupported == 2  # the number and the currency


def test_no_second_look_where_there_is_no_doubt_or_it_is_off() -> None:
    sure, off = Script(facts(((0, 0), ("900 EUR", SURE)))), Script(facts(((0, 0), ("900 EUR", UNSURE))))
    assert sure.play(course_of(1, look=True)).second_look is None
    assert off.play(course_of(1)).second_look is None
    assert not [*sure.enlarged, *off.enlarged]


def test_a_second_look_keeps_to_its_budget() -> None:
    script = Script(larger(("900 EUR", SURE), ("1,200 EUR", UNSURE)))
    script.play(course_of(4, look=True))
    assert len(script.shown[1]) == 3  # of 25 tokens and its two marks each, in 100
    refused = Script(facts(((0, 0), ("900 EUR", UNSURE))), refuses=True).play(course_of(1, look=True))
    assert any("no second look: nobody is there" in warning for warning in refused.warnings)
