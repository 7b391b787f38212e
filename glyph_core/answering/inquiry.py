"""One reading of documents' pages: the prompts of its windows and their answers in the making.

It decides nothing about time or threads: the in-process pipeline and the served decoder both drive it, and both
give the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from glyph_core.answering.assembly import AnswerAssembly, StageTimes
from glyph_core.answering.confidence import calibrated
from glyph_core.answering.prompts import DocumentPrompt, build_prompt, page_label
from glyph_core.answering.reader import Reader
from glyph_core.answering.windows import Selection, split_into_windows
from glyph_core.config import SamplingConfig
from glyph_core.engine.engine import TokenOutput
from glyph_core.errors import ContextLengthError
from glyph_core.model.token_counter import TokenCount
from glyph_core.types import Answer, DocumentPlan, Message, PageError, Progress, ReadingStep, TextDelta

ANSWER_RESERVE_TOKENS = 512  # what a window leaves of the context for the answer, where max_tokens doesn't say less


@dataclass(slots=True)
class Account:
    """What the readings of one request add up to."""

    clock: Callable[[], float] = time.perf_counter
    started_at: float = 0.0
    num_pages: int = 0
    num_windows: int = 1
    num_windows_read: int = 0
    num_tokens: int = 0  # generated
    reading: ReadingStep = "windows"
    stages: StageTimes = field(default_factory=StageTimes)
    page_errors: list[PageError] = field(default_factory=list)
    pages_encoded: set[str] = field(default_factory=set)  # digests
    pages_rendered: set[str] = field(default_factory=set)

    def progress(self) -> Progress:
        return Progress(
            self.num_pages,
            min(self.num_pages, len(self.pages_rendered | self.pages_encoded)),
            min(self.num_pages, len(self.pages_encoded)),
            self.num_tokens,
            self.num_windows,
            self.num_windows_read,
            self.reading,
        )


class Inquiry:
    """The sequences that one reading needs, one a window.

    The driver takes prompts with :meth:`next_sequence`, gives each generated token to :meth:`push`, and is done when
    :attr:`is_finished`. The text of a reading that is shown, with one window, streams out of ``push``; with several,
    nothing is certain before the last.
    """

    def __init__(
        self,
        name: str,
        messages: Sequence[Message],
        plans: Sequence[DocumentPlan],
        reader: Reader,
        sampling: SamplingConfig,
        account: Account,
        *,
        max_model_len: int,
        overlap_pages: int = 0,
        is_shown: bool = True,
    ) -> None:
        """``name`` begins its sequences' ids. Raises ContextLengthError for a page that the context does not hold."""
        self.plans = tuple(plans)
        self.account = account
        self._name, self._is_shown = name, is_shown
        self._messages, self._reader, self._sampling = messages, reader, sampling
        self._whole = self._prompt()
        self._windows = self._split(max_model_len, overlap_pages)
        self._num_started = 0
        self._assemblies: dict[str, AnswerAssembly] = {}
        self._prompts: dict[str, DocumentPrompt] = {}

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

    def show_only(self, selection: Selection) -> None:
        """One window of these pages, instead of all; before it has begun."""
        self._windows = [[list(pages) for pages in selection]]

    def window_tokens(self, document: int) -> list[int]:
        """Of each window that shows pages of a document, the prompt's tokens."""
        shown = (window for window in self._windows if window[document])
        return [
            self._num_bare_tokens + sum(self._num_page_tokens[d][p] for d, pages in enumerate(window) for p in pages)
            for window in shown
        ]

    def fits(self, selection: Selection, max_tokens: int | None = None) -> bool:
        """Whether one window may hold these pages; ``max_tokens``: fewer tokens than it could."""
        taken = [self._num_page_tokens[d][p] for d, pages in enumerate(selection) for p in pages]
        most, room = self._reader.window_pages, self._max_page_tokens
        return sum(taken) <= min(room, max_tokens or room) and (most is None or len(taken) <= most)

    def position(self, document: int, page_index: int) -> int:
        """Where a page stands among those of its document that are read."""
        return next(p for p, page in enumerate(self.plans[document].pages) if page.page_index == page_index)

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
        sequence_id = f"{self._name}/{self._num_started}"
        shown = self._windows[self._num_started]
        is_whole = all(len(pages) == plan.num_pages for pages, plan in zip(shown, self.plans, strict=True))
        prompt = self._whole if is_whole else self._prompt(shown)
        self._assemblies[sequence_id] = AnswerAssembly(
            prompt.prompt,
            self._reader.tokenizer.decode,
            self._reader.markup,
            self._sampling.stop,
            clock=self.account.clock,
            started_at=self.account.started_at,
            stages=self.account.stages,
        )
        self._prompts[sequence_id] = prompt
        self._num_started += 1
        return sequence_id, prompt

    def push(self, output: TokenOutput) -> list[TextDelta]:
        """Takes a token that the engine generated for one of the sequences; returns what may be shown now."""
        assembly = self._assemblies[output.request_id]
        if not assembly.token_ids:
            self.account.stages.prefill_s += output.prefill_s
        self.account.num_tokens += 1
        deltas = assembly.push(output.token_id, output.logprob, output.finish_reason, output.num_cached_tokens)
        self.account.num_windows_read += assembly.finish_reason is not None and self.account.reading == "windows"
        return deltas if self._is_shown and self.num_windows == 1 else []

    def note_page(self, sequence_id: str, page_number: int, error: PageError | None = None) -> None:
        """A page of a sequence's prompt was encoded; ``error`` is what kept it from being drawn, if anything did: the
        answer's warnings say it."""
        self.account.pages_encoded.add(self._prompts[sequence_id].prompt.pages[page_number].page.digest)
        if error is not None:
            self.account.page_errors.append(error)

    def has_ended(self, sequence_id: str) -> bool:
        """Whether the sequence needs no more tokens; a stop string ends it before the engine does."""
        return self._assemblies[sequence_id].finish_reason is not None

    def is_open(self, sequence_id: str) -> bool:
        """Whether it is one of this reading's, and has not ended."""
        return sequence_id in self._assemblies and not self.has_ended(sequence_id)

    def answers(self, count: TokenCount) -> list[Answer]:
        """Each window's."""
        return [
            replace(
                self._calibrated(assembly.answer(count.num_tokens, text_tokens_estimated=count.estimated)),
                pages_read=self._prompts[sequence_id].pages_of_documents(len(self.plans)),
            )
            for sequence_id, assembly in self._assemblies.items()
        ]

    def _calibrated(self, answer: Answer) -> Answer:
        calibration = self._reader.checkpoint.calibration
        if calibration is None:
            return answer
        confidence = calibrated(calibration, answer.token_logprobs, is_absent=answer.text == self._reader.absent_answer)
        return replace(answer, confidence=confidence, confidence_is_calibrated=True)

    def _split(self, max_model_len: int, overlap_pages: int) -> list[Selection]:
        """The windows that this request is read in: one, wherever the model reads all pages at once. Raises
        ContextLengthError for a page that fits none."""
        self._num_bare_tokens = len(self._prompt([()] * len(self.plans)).prompt.token_ids)
        self._reserve = min(self._sampling.max_tokens, ANSWER_RESERVE_TOKENS)
        num_taken = len(self._whole.prompt.token_ids) - self._num_bare_tokens
        labels = [self._num_label_tokens(document, plan) for document, plan in enumerate(self.plans)]
        num_others = num_taken - self._whole.prompt.num_visual_tokens - sum(map(sum, labels))
        num_pages = sum(plan.num_pages for plan in self.plans)
        num_marks = -(-num_others // max(1, num_pages))  # a page's begin and end
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
        self._max_page_tokens = max_model_len - self._reserve - self._num_bare_tokens
        window_pages = self._reader.window_pages
        return split_into_windows(self._num_page_tokens, self._max_page_tokens, window_pages, overlap_pages)

    def _num_label_tokens(self, document: int, plan: DocumentPlan) -> list[int]:
        """Of each page of a document."""
        labels = [page_label(self.plans, self._reader, document, page) for page in range(plan.num_pages)]
        return [len(self._reader.tokenizer.encode(label)) if label else 0 for label in labels]

    def _prompt(self, selection: Selection | None = None) -> DocumentPrompt:
        return build_prompt(self._messages, self.plans, self._reader, selection)
