"""Document → Page → PageFeatures → Answer: what passes between the stages.

Frozen and small, so that a value made in one replica means the same in the next. Sizes are in pixels, times in
seconds, counts are ``num_*``. The only tensors are in :class:`PageFeatures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from glyph_core.citations import Citation, Grounding
from glyph_core.readings import SecondLook, WindowsRead

if TYPE_CHECKING:
    import numpy as np
    import torch

DIGEST_BYTES = 16  # 128 bits: no two documents of a deployment's life share a digest by chance


def digest_of(*parts: bytes) -> str:
    """Hex digest (blake2b, 128 bits) of ``parts``; each part's length is hashed too, so that cuts matter."""
    h = blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.hexdigest()


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """A document as it came in: bytes and what the sender calls them. Its type is told by content, not by name."""

    name: str
    content: bytes = field(repr=False)
    digest: str = ""  # of the content alone: the same bytes under another name are the same document

    def __post_init__(self) -> None:
        if not self.digest:
            object.__setattr__(self, "digest", digest_of(self.content))


@dataclass(frozen=True, slots=True)
class PageError:
    """A page of the source that could not be read or drawn; the rest of the document goes on without it."""

    document: str  # its name
    page: int  # of the source, from 0
    reason: str

    def __str__(self) -> str:
        return f"page {self.page + 1} of {self.document!r} is missing: {self.reason}"


@dataclass(frozen=True, slots=True)
class PagePlan:
    """What is known of a page before it is drawn: enough to lay out a prompt and to look into a prefix cache.

    ``digest`` names the page's pixels without having them: it is made of the document's digest, the render
    configuration's and the page's index, and rendering is deterministic.
    """

    page_index: int
    width_px: int
    height_px: int
    digest: str


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """What the renderer says of a document before it draws it."""

    document_digest: str
    name: str
    media_type: str
    pages: tuple[PagePlan, ...]
    num_text_chars: int
    warnings: tuple[str, ...] = ()
    page_errors: tuple[PageError, ...] = ()
    scripts: tuple[tuple[str, int], ...] = ()  # letters of its text by script, see documents.scripts
    num_picture_pages: int = 0  # pages that are shown as they came, not set from text

    @property
    def num_pages(self) -> int:
        return len(self.pages)

    def showing(self, page_indices: Sequence[int] | None) -> DocumentPlan:
        """The plan of some of its pages, which were found by their text; None: all of them."""
        if page_indices is None:
            return self
        return replace(self, pages=tuple(self.pages[index] for index in page_indices), num_picture_pages=0)


PageChoice = tuple[tuple[int, ...] | None, ...]  # for each document the pages to read, None: all; (): all of all


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page. Where drawing failed, ``pixels`` say so in words and ``error`` names the cause."""

    plan: PagePlan
    pixels: np.ndarray = field(repr=False)  # (height_px, width_px) gray or (height_px, width_px, 3), uint8
    error: PageError | None = None


@dataclass(frozen=True, slots=True)
class PageFeatures:
    """A page as the language model reads it."""

    plan: PagePlan
    grid_thw: tuple[int, int, int]  # patches, before the spatial merge
    features: torch.Tensor = field(repr=False)  # (num_visual_tokens, the language model's feature_size), on the host
    error: PageError | None = None  # the page's

    @property
    def num_visual_tokens(self) -> int:
        return int(self.features.shape[0])


@dataclass(frozen=True, slots=True)
class PagePlacement:
    """Where a page stands in a prompt: its placeholder tokens are ``[start, start + num_tokens)``."""

    page: PagePlan
    start: int
    num_tokens: int
    grid_thw: tuple[int, int, int]  # patches, before the spatial merge

    @property
    def stop(self) -> int:
        return self.start + self.num_tokens


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with a run of placeholder tokens for each page; known before any page is drawn."""

    token_ids: tuple[int, ...] = field(repr=False)
    pages: tuple[PagePlacement, ...]

    @property
    def num_visual_tokens(self) -> int:
        return sum(page.num_tokens for page in self.pages)


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of the conversation. Its documents stand before its text in the prompt."""

    role: Literal["system", "user", "assistant"]
    text: str
    documents: tuple[int, ...] = ()  # indices into the request's documents


FinishReason = Literal["stop", "length", "abort"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took. ``num_text_tokens`` is what the documents' text would have cost as tokens."""

    num_prompt_tokens: int
    num_completion_tokens: int
    num_visual_tokens: int
    num_cached_tokens: int
    num_text_tokens: int
    text_tokens_estimated: bool = False

    @property
    def compression_ratio(self) -> float:
        """``num_text_tokens / num_visual_tokens``; 0 where there is no page."""
        return self.num_text_tokens / self.num_visual_tokens if self.num_visual_tokens else 0.0


@dataclass(frozen=True, slots=True)
class Timings:
    """Where an answer's time went, in seconds.

    ``render_s``, ``encode_s`` and ``prefill_s`` are work of a stage, summed over its calls; they overlap in time,
    and ``overlap`` says by how much: (render_s + encode_s + prefill_s) over the time to the first token.
    ``tpot_s`` is the mean time of a token after the first.
    """

    render_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0
    ttft_s: float = 0.0
    tpot_s: float = 0.0
    e2e_s: float = 0.0

    @property
    def overlap(self) -> float:
        return (self.render_s + self.encode_s + self.prefill_s) / self.ttft_s if self.ttft_s else 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the pipeline gives back."""

    text: str
    finish_reason: FinishReason
    token_ids: tuple[int, ...]
    usage: Usage
    timings: Timings
    num_pages: int
    reasoning: str = ""  # what stood in <think>…</think>
    confidence: float = 0.0  # in [0, 1], see answering.confidence
    confidence_is_calibrated: bool = False  # it is the probability that the answer is right
    token_logprobs: tuple[float, ...] = field(default=(), repr=False)  # of the answer's tokens and its end, no thinking
    warnings: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()  # in the order of the answer
    grounding: Grounding | None = None  # None: switched off, or the documents have no text to compare with
    pages_read: tuple[tuple[int, ...], ...] = ()  # of each document, the page indices that this answer was read from
    written: str | None = None  # as the model wrote it and as it was streamed, where ``text`` is another by now
    windows: WindowsRead | None = None  # None: all pages were read at once
    second_look: SecondLook | None = None  # None: there was no need for one, or it is switched off


ReadingStep = Literal["windows", "best pages", "second look"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request has come; every count only grows. A page that several windows show is counted once."""

    num_pages: int
    num_pages_rendered: int
    num_pages_encoded: int
    num_tokens: int  # generated so far
    num_windows: int = 1
    num_windows_read: int = 0
    reading: ReadingStep = "windows"


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, or of the thinking before it."""

    text: str
    is_reasoning: bool = False


AnswerEvent = Progress | TextDelta | Answer
