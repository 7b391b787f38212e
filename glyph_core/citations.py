"""What an answer tells of where it comes from: passages with their places, and which of its values stand there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a rendered page."""

    page_index: int
    box: tuple[int, int, int, int]  # left, top, right, bottom px
    page_size: tuple[int, int]  # width, height px of the whole page
    source_page: int | None = None  # of the file, from 0, where it has pages of its own


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage of a document that a part of the answer rests on."""

    document: int  # index into the request's documents
    name: str  # the document's
    text: str  # of the source, white space as single blanks
    offset: int  # characters [offset, offset + length) of the document's text
    length: int
    regions: tuple[Region, ...]  # where it stands, line by line
    answer_start: int  # the part: characters [answer_start, answer_stop) of the answer's text
    answer_stop: int
    similarity: float = 1.0  # in [0, 1]; 1: but for white space, hyphens, case and marks they are the same
    num_occurrences: int = 1  # of that text in the pages that the answer was read from; this is the likeliest
    before: str = ""  # what stands before it in the same paragraph, white space as single blanks; some words at most
    after: str = ""


GroundingMode = Literal["off", "flag", "repair"]
ValueKind = Literal["number", "date", "name", "identifier"]


@dataclass(frozen=True, slots=True)
class GroundedValue:
    """A number, date, name or identifier of an answer, beside what the documents say."""

    kind: ValueKind
    text: str  # characters [start, stop) of the answer's text
    start: int
    stop: int
    written: str  # as the model wrote it: another text only where it was repaired
    source: tuple[str, ...] = ()  # what stands in the documents: the same, or what is one character off


@dataclass(frozen=True, slots=True)
class Grounding:
    """Which values of an answer stand in the documents."""

    supported: tuple[GroundedValue, ...] = ()
    repaired: tuple[GroundedValue, ...] = ()  # one character off exactly one text of the documents, which stands now
    unsupported: tuple[GroundedValue, ...] = ()
