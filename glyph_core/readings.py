"""What an answer tells of how it was read: windows, their candidates, and the second look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PagesOfDocuments = tuple[tuple[int, ...], ...]  # for each document, page indices, ascending


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a window answered, if it found something."""

    text: str
    confidence: float  # that it is right, beside all other windows' answers
    window_confidence: float  # the same of its window alone
    pages: PagesOfDocuments  # the window's


@dataclass(frozen=True, slots=True)
class WindowsRead:
    num_windows: int
    candidates: tuple[Candidate, ...]  # the likeliest first, each text once
    combined: PagesOfDocuments | None = None  # pages of the best candidates that were read together at the end


Doubt = Literal["confidence", "grounding"]


@dataclass(frozen=True, slots=True)
class Look:
    """An answer before or after the second look."""

    text: str
    confidence: float
    num_unsupported: int | None  # values that the documents' text does not hold; None: not known


@dataclass(frozen=True, slots=True)
class SecondLook:
    reasons: tuple[Doubt, ...]
    pages: PagesOfDocuments  # as they were drawn the first time
    dpi: float
    num_visual_tokens: int
    before: Look
    after: Look
    is_better: bool  # the second answer is the one that is given
