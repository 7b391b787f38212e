"""A request from its documents' plans to its answer: which pages are read, looked up and looked at again, and when.

    windows of all pages ──▶ the best findings' pages together ──▶ evidence ──▶ doubtful pages again, larger ──▶ Answer

A course is a generator that does nothing by itself: it yields demands (:mod:`glyph_core.answering.demands`) and is sent
what they want. The in-process pipeline and the served decoder both drive it, so both give the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from glyph_core.answering.combination import sum_usage, weigh
from glyph_core.answering.demands import Count, Demand, Enlarge, LookUp, Read
from glyph_core.answering.findings import locate, pages_together
from glyph_core.answering.inquiry import Account, Inquiry
from glyph_core.answering.reader import Reader
from glyph_core.answering.scope import scope_of
from glyph_core.answering.second_look import doubts_about, is_better, larger_look, look_of, pages_in_question
from glyph_core.config import EvidenceConfig, LimitConfig, ReadingConfig, RenderConfig, SamplingConfig
from glyph_core.errors import ContextLengthError, DocumentTooLargeError
from glyph_core.evidence.conclusion import conclude
from glyph_core.evidence.finder import DocumentEvidence, EvidenceQuery
from glyph_core.model.token_counter import TokenCount
from glyph_core.readings import Candidate, PagesOfDocuments, SecondLook, WindowsRead
from glyph_core.types import Answer, DocumentPlan, Message

DOUBTFUL = 0.5  # of a confidence that is a probability

Steps = Generator[Demand, Any, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, and by which rules."""

    request_id: str
    messages: tuple[Message, ...]
    sampling: SamplingConfig
    render: RenderConfig
    evidence: EvidenceConfig
    reading: ReadingConfig


@dataclass(slots=True)
class Course:
    """One request's. Raises DocumentTooLargeError where the documents have more pages than ``limits`` allows, and
    ContextLengthError for a page that the context does not hold, both before the first demand."""

    task: Task
    plans: tuple[DocumentPlan, ...]
    reader: Reader
    max_model_len: int
    limits: LimitConfig
    clock: Callable[[], float] = time.perf_counter
    started_at: float | None = None

    account: Account = field(init=False)
    first: Inquiry = field(init=False)
    _notes: list[str] = field(init=False, default_factory=list)  # warnings about how it was read
    _usages: list[Answer] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        num_pages = sum(plan.num_pages for plan in self.plans)
        if num_pages > self.limits.max_pages:
            raise DocumentTooLargeError(
                f"the documents make {num_pages} pages; a request may have {self.limits.max_pages}: send less, or "
                "raise limits.max_pages"
            )
        started_at = self.clock() if self.started_at is None else self.started_at
        self.account = Account(self.clock, started_at, num_pages)
        self.first = self._inquiry("", self.plans)
        self.account.num_windows = self.first.num_windows

    def steps(self) -> Generator[Demand, Any, Answer]:
        yield Read(self.first, self.task.render)
        count: TokenCount = yield Count()
        answers = self._taken(self.first, count)
        if self.first.num_windows == 1:
            answer = answers[0]
        else:
            answer = yield from self._of_windows(answers, count)
        scope = scope_of(self.reader.checkpoint, self.task.render, self.plans, self.task.messages)
        if self._is_absent(answer):
            answer = replace(answer, confidence=answer.confidence * scope.readable_share)
        answer = yield from self._with_evidence(answer, self.task.render)
        if self.task.reading.second_look.enabled:
            answer = yield from self._looked_at_again(answer, count)
        return self._finished(answer, scope.warnings)

    def _of_windows(self, answers: Sequence[Answer], count: TokenCount) -> Steps:
        """The answer of several windows."""
        verdict = weigh(answers, self.reader.absent_answer)
        config = self.task.reading.windows
        best, combined = verdict.best, None
        if config.combine and len(verdict.found) > 1:
            question = self.task.messages[-1].text
            verdict, located = yield from locate(verdict, config.max_candidates, question, self.task.render)
            selection, num_shown = pages_together(located, self.first)
            best = verdict.best
            if num_shown > 1:
                self.account.reading = "best pages"
                together = self._inquiry("/together", self.plans, is_shown=False)
                together.show_only(selection)
                yield Read(together, self.task.render)
                (answer,) = self._taken(together, count)
                combined, best = answer.pages_read, verdict.after(answer, num_shown, self.reader.absent_answer)
        self._notes.append(self._how_windows_were_read(combined))
        candidates = tuple(
            Candidate(one.answer.text, one.probability, one.answer.confidence, one.answer.pages_read)
            for one in verdict.found[: config.max_candidates]
        )
        confidence = best.probability if best.answer.confidence_is_calibrated else best.answer.confidence
        windows = WindowsRead(len(answers), candidates, combined)
        return replace(best.answer, confidence=confidence, windows=windows)

    def _with_evidence(self, answer: Answer, render: RenderConfig) -> Steps:
        """The answer with its citations and its grounding. That they can't be had costs a warning, not the answer."""
        wanted, names = self.task.evidence, [plan.name for plan in self.plans]
        if wanted.is_off or not answer.text or self._is_absent(answer):
            return conclude(answer, names, {}, wanted)
        question = self.task.messages[-1].text
        asked = tuple(
            (document, EvidenceQuery(answer.text, question, pages, wanted))
            for document, pages in enumerate(answer.pages_read)
            if pages
        )
        told: list[DocumentEvidence] | str = yield LookUp(asked, render)
        if isinstance(told, str):
            self._notes.append(f"the answer has no citations, and its values were not looked up: {told}")
            return answer
        evidence = {document: one for (document, _), one in zip(asked, told, strict=True)}
        concluded = conclude(answer, names, evidence, wanted)
        schema = self.task.sampling.json_schema
        if concluded.written is None or schema is None or self.reader.masks.accepts(schema, concluded.text):
            return concluded
        return conclude(answer, names, evidence, wanted.model_copy(update={"grounding": "flag"}))  # no longer valid

    def _looked_at_again(self, answer: Answer, count: TokenCount) -> Steps:
        """``answer``, or that of its pages drawn larger where it is the better one."""
        config, render = self.task.reading.second_look, self.task.render
        reasons, larger = doubts_about(answer, config), larger_look(render, config)
        pages = pages_in_question(answer)
        if not reasons or larger is None or not any(pages):
            return answer
        plans: list[DocumentPlan] | str = yield Enlarge(pages, render, larger)
        if isinstance(plans, str):
            self._notes.append(f"no second look: {plans}")
            return answer
        inquiry = self._second_inquiry(plans, config.max_tokens)
        if inquiry is None:
            self._notes.append(f"no second look: a page at {larger.dpi:g} dpi takes more than second_look.max_tokens")
            return answer
        self.account.reading = "second look"
        yield Read(inquiry, larger)
        (again,) = self._taken(inquiry, count)
        scope = scope_of(self.reader.checkpoint, larger, plans, self.task.messages)
        if self._is_absent(again):
            again = replace(again, confidence=again.confidence * scope.readable_share)
        again = yield from self._with_evidence(again, larger)
        before, after = look_of(answer), look_of(again)
        better = is_better(after, before)
        report = SecondLook(reasons, pages, larger.dpi, again.usage.num_visual_tokens, before, after, better)
        if not better:
            return replace(answer, second_look=report)
        was_shown = self.first.num_windows == 1 and answer.text != again.text
        written = (answer.written or answer.text) if was_shown else again.written
        return replace(again, written=written, windows=answer.windows, second_look=report)

    def _second_inquiry(self, plans: Sequence[DocumentPlan], max_tokens: int) -> Inquiry | None:
        """Of as many of the pages as ``max_tokens`` and one window hold; None where that is none."""
        try:
            inquiry = self._inquiry("/again", plans, is_shown=False)
        except ContextLengthError:
            return None
        selection: list[list[int]] = [[] for _ in plans]
        for document, plan in enumerate(plans):
            for position in range(plan.num_pages):
                selection[document].append(position)
                if not inquiry.fits(selection, max_tokens):
                    selection[document].pop()
        inquiry.show_only(selection)
        return inquiry if any(selection) else None

    def _inquiry(self, name: str, plans: Sequence[DocumentPlan], *, is_shown: bool = True) -> Inquiry:
        return Inquiry(
            f"{self.task.request_id}{name}",
            self.task.messages,
            plans,
            self.reader,
            self.task.sampling,
            self.account,
            max_model_len=self.max_model_len,
            overlap_pages=self.task.reading.windows.overlap_pages,
            is_shown=is_shown,
        )

    def _taken(self, inquiry: Inquiry, count: TokenCount) -> list[Answer]:
        answers = inquiry.answers(count)
        self._usages += answers
        return answers

    def _is_absent(self, answer: Answer) -> bool:
        return answer.text == self.reader.absent_answer

    def _how_windows_were_read(self, combined: PagesOfDocuments | None) -> str:
        ways = f"read in {self.first.num_windows} windows of pages, one after another"
        if combined is None:
            return f"{ways}; the answer is the likeliest of them"
        num_pages = sum(map(len, combined))
        return f"{ways}, and then in {num_pages} pages that the likeliest answers stand on"

    def _finished(self, answer: Answer, scope_warnings: Sequence[str]) -> Answer:
        of_plans = (error for plan in self.plans for error in plan.page_errors)
        missing = dict.fromkeys(str(error) for error in (*of_plans, *self.account.page_errors))
        about_plans = (warning for plan in self.plans for warning in plan.warnings)
        warnings = list(dict.fromkeys([*missing, *about_plans, *scope_warnings]))
        how = [note for note in self._notes if note.startswith("read in")]
        warnings = [*how, *warnings]
        if answer.confidence_is_calibrated and answer.confidence < DOUBTFUL:
            warnings.append(f"the answer is probably wrong: its confidence is {answer.confidence:.2g}")
        checkpoint = self.reader.checkpoint
        if self._is_absent(answer) and checkpoint.about is not None:
            warnings.append(f"nothing was found; {checkpoint.name} {checkpoint.about}")
        warnings += [note for note in self._notes if note not in how]
        answer = replace(
            answer,
            usage=sum_usage([taken.usage for taken in self._usages]),
            num_pages=self.account.num_pages,
            warnings=tuple(warnings),
        )
        if len(self._usages) == 1:
            return answer
        e2e_s = self.clock() - self.account.started_at
        shown = self._usages[0].timings
        ttft_s, tpot_s = (e2e_s, 0.0) if self.first.num_windows > 1 else (shown.ttft_s, shown.tpot_s)
        return replace(answer, timings=replace(answer.timings, ttft_s=ttft_s, tpot_s=tpot_s, e2e_s=e2e_s))
