"""One request on its way: the prompts of its windows, their answers in the making, and what they come to.

It decides nothing about time or threads: the in-process pipeline and the served decoder both drive it, and both
give the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from glyph_core.answering.assembly import AnswerAssembly, StageTimes
from glyph_core.answering.confidence import calibrated
from glyph_core.answering.prompts import DocumentPrompt, build_prompt, page_label
from glyph_core.answering.reader import Reader
from glyph_core.answering.scope import scope_of
from glyph_core.answering.windows import Selection, combine, split_into_windows
from glyph_core.config import EvidenceConfig, LimitConfig, RenderConfig, SamplingConfig
from glyph_core.engine.engine import TokenOutput
from glyph_core.errors import ContextLengthError, DocumentTooLargeError
from glyph_core.evidence.conclusion import conclude
from glyph_core.evidence.finder import DocumentEvidence, EvidenceQuery
from glyph_core.types import Answer, DocumentPlan, Message, PageError, TextDelta

DOUBTFUL = 0.5  # of a confidence that is a probability
ANSWER_RESERVE_TOKENS = 512  # what a window leaves of the context for the answer, where max_tokens doesn't say less


class Inquiry:
    """The sequences that one request needs, one a window.

    The driver takes prompts with :meth:`next_sequence`, gives each generated token to :meth:`push`, and asks for
    :meth:`answer` when :attr:`is_finished`. The text of a request with one window streams out of ``push``; with
    several, nothing is certain before the last, and the whole text comes with the answer.
    """

    def __init__(
        self,
        request_id: str,
        messages: Sequence[Message],
        plans: Sequence[DocumentPlan],
        reader: Reader,
        sampling: SamplingConfig,
        *,
        render: RenderConfig,
        max_model_len: int,
        limits: LimitConfig,
        clock: Callable[[], float] = time.perf_counter,
        started_at: float | None = None,
    ) -> None:
        """Raises DocumentTooLargeError where the documents have more pages than the limits allow, ContextLengthError
        for a page that the context does not hold."""
        self.plans = tuple(plans)
        self.stages = StageTimes()
        self.num_pages = sum(plan.num_pages for plan in plans)
        if self.num_pages > limits.max_pages:
            raise DocumentTooLargeError(
                f"the documents make {self.num_pages} pages; a request may have {limits.max_pages}: send less, or "
                "raise limits.max_pages"
            )
        self._request_id = request_id
        self._scope = scope_of(reader.checkpoint, render, self.plans, messages)
        self._messages, self._reader, self._sampling = messages, reader, sampling
        self._clock = clock
        self._started_at = clock() if started_at is None else started_at
        self._whole = self._prompt()
        self._windows = self._split(max_model_len)
        self._num_started = 0
        self._assemblies: dict[str, AnswerAssembly] = {}
        self._prompts: dict[str, DocumentPrompt] = {}
        self._page_errors = [error for plan in self.plans for error in plan.page_errors]

    @property
    def num_windows(self) -> int:
        return len(self._windows)

    def largest_window(self) -> tuple[int, dict[str, int]]:
        """What the engine holds at once for this request, at most: tokens of text, with what is kept for the answer,
        and tokens of the pages by page digest."""
        num_tokens = self._num_page_tokens
        largest = max(self._windows, key=lambda shown: sum(num_tokens[d][p] for d, ps in enumerate(shown) for p in ps))
        pages = {self.plans[d].pages[p].digest: num_tokens[d][p] for d, ps in enumerate(largest) for p in ps}
        return self._num_bare_tokens + self._reserve, pages

    @property
    def num_tokens(self) -> int:
        """Tokens generated so far."""
        return sum(len(assembly.token_ids) for assembly in self._assemblies.values())

    @property
    def is_finished(self) -> bool:
        return self._num_started == len(self._windows) and not self.num_open

    @property
    def num_open(self) -> int:
        """Sequences that were taken and have not ended."""
        return sum(assembly.finish_reason is None for assembly in self._assemblies.values())

    def next_sequence(self) -> tuple[str, DocumentPrompt] | None:
        """The id and the prompt of the next window's sequence; None after the last."""
        if self._num_started == len(self._windows):
            return None
        sequence_id = f"{self._request_id}/{self._num_started}"
        prompt = self._whole if self.num_windows == 1 else self._prompt(self._windows[self._num_started])
        self._assemblies[sequence_id] = AnswerAssembly(
            prompt.prompt,
            self._reader.tokenizer.decode,
            self._reader.markup,
            self._sampling.stop,
            clock=self._clock,
            started_at=self._started_at,
            stages=self.stages,
        )
        self._prompts[sequence_id] = prompt
        self._num_started += 1
        return sequence_id, prompt

    def push(self, output: TokenOutput) -> list[TextDelta]:
        """Takes a token that the engine generated for one of the sequences; returns what may be shown now."""
        assembly = self._assemblies[output.request_id]
        if not assembly.token_ids:
            self.stages.prefill_s += output.prefill_s
        deltas = assembly.push(output.token_id, output.logprob, output.finish_reason, output.num_cached_tokens)
        return deltas if self.num_windows == 1 else []

    def note_error(self, error: PageError | None) -> None:
        """Takes what kept a page from being drawn, if anything did; the answer's warnings say it."""
        if error is not None:
            self._page_errors.append(error)

    def has_ended(self, sequence_id: str) -> bool:
        """Whether the sequence needs no more tokens; a stop string ends it before the engine does."""
        return self._assemblies[sequence_id].finish_reason is not None

    def answer(self, num_text_tokens: int, *, text_tokens_estimated: bool) -> Answer:
        """The answer of all windows together. That nothing was found is only as sure as the request can be read."""
        missing = dict.fromkeys(str(error) for error in self._page_errors)
        warnings = [*missing, *(warning for plan in self.plans for warning in plan.warnings), *self._scope.warnings]
        answers = [
            replace(
                self._calibrated(
                    assembly.answer(num_text_tokens, text_tokens_estimated=text_tokens_estimated, warnings=warnings)
                ),
                pages_read=self._prompts[sequence_id].pages_of_documents(len(self.plans)),
            )
            for sequence_id, assembly in self._assemblies.items()
        ]
        answer = combine(answers, self._reader.absent_answer)
        if self._is_absent(answer):
            answer = replace(answer, confidence=answer.confidence * self._scope.readable_share)
        if answer.confidence_is_calibrated and answer.confidence < DOUBTFUL:
            doubt = f"the answer is probably wrong: its confidence is {answer.confidence:.2g}"
            answer = replace(answer, warnings=(*answer.warnings, doubt))
        if len(answers) == 1:
            return answer
        e2e_s = self._clock() - self._started_at  # nothing was shown before now
        return replace(answer, timings=replace(answer.timings, ttft_s=e2e_s, tpot_s=0.0, e2e_s=e2e_s))

    def evidence_queries(self, answer: Answer, wanted: EvidenceConfig) -> list[EvidenceQuery]:
        """What to ask of each document about ``answer``; nothing where there is nothing to look for."""
        if wanted.is_off or not answer.text or self._is_absent(answer):
            return []
        question = self._messages[-1].text
        return [EvidenceQuery(answer.text, question, pages, wanted) for pages in answer.pages_read]

    def with_evidence(self, answer: Answer, evidence: Sequence[DocumentEvidence], wanted: EvidenceConfig) -> Answer:
        """``evidence`` is what each document said to its query."""
        names = [plan.name for plan in self.plans]
        concluded = conclude(answer, names, evidence, wanted)
        schema = self._sampling.json_schema
        if concluded.written is None or schema is None or self._reader.masks.accepts(schema, concluded.text):
            return concluded
        return conclude(answer, names, evidence, wanted.model_copy(update={"grounding": "flag"}))  # no longer valid

    def _is_absent(self, answer: Answer) -> bool:
        return answer.text == self._reader.absent_answer

    def _calibrated(self, answer: Answer) -> Answer:
        calibration = self._reader.checkpoint.calibration
        if calibration is None:
            return answer
        confidence = calibrated(calibration, answer.token_logprobs, is_absent=self._is_absent(answer))
        return replace(answer, confidence=confidence, confidence_is_calibrated=True)

    def _split(self, max_model_len: int) -> list[Selection]:
        """The windows that this request is read in: one, wherever the model reads all pages at once. Raises
        ContextLengthError for a page that fits none."""
        self._num_bare_tokens = len(self._prompt([()] * len(self.plans)).prompt.token_ids)
        self._reserve = min(self._sampling.max_tokens, ANSWER_RESERVE_TOKENS)
        num_taken = len(self._whole.prompt.token_ids) - self._num_bare_tokens
        labels = [self._num_label_tokens(document, plan) for document, plan in enumerate(self.plans)]
        num_others = num_taken - self._whole.prompt.num_visual_tokens - sum(map(sum, labels))
        num_marks = -(-num_others // max(1, self.num_pages))  # a page's begin and end
        self._num_page_tokens: list[list[int]] = [[] for _ in self.plans]
        for document, placement in zip(self._whole.document_of_page, self._whole.prompt.pages, strict=True):
            num_label_tokens = labels[document][len(self._num_page_tokens[document])]
            num_tokens = placement.num_tokens + num_marks + num_label_tokens
            if self._num_bare_tokens + num_tokens >= max_model_len:
                raise ContextLengthError(
                    f"page {placement.page.page_index + 1} of document {self.plans[document].name!r} takes "
                    f"{num_tokens} tokens and the question {self._num_bare_tokens}; the context holds {max_model_len}, "
                    "the answer included: ask for smaller pages or a shorter question",
                    param="messages",
                )
            self._num_page_tokens[document].append(num_tokens)
        max_page_tokens = max_model_len - self._reserve - self._num_bare_tokens
        return split_into_windows(self._num_page_tokens, max_page_tokens, self._reader.window_pages)

    def _num_label_tokens(self, document: int, plan: DocumentPlan) -> list[int]:
        """Of each page of a document."""
        labels = [page_label(self.plans, self._reader, document, page) for page in range(plan.num_pages)]
        return [len(self._reader.tokenizer.encode(label)) if label else 0 for label in labels]

    def _prompt(self, selection: Selection | None = None) -> DocumentPrompt:
        return build_prompt(self._messages, self.plans, self._reader, selection)
