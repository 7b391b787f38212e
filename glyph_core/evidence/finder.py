"""What a document says of an answer: asked where its text is, told in a few small values that can travel."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass

from glyph_core.citations import Region
from glyph_core.config import EvidenceConfig
from glyph_core.documents.language import drawn_digest
from glyph_core.evidence.lookup import Found, look_up
from glyph_core.evidence.passages import Passage, passages_of
from glyph_core.evidence.places import PlacedDocuments, regions_of
from glyph_core.evidence.source_text import SourceText
from glyph_core.evidence.values import values_of
from glyph_core.types import DocumentSource

MAX_TEXT_CHARS = 400  # of a passage that is quoted
MAX_AROUND_CHARS = 80  # before it, and behind it
BLANK_LINE = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class EvidenceQuery:
    """What is asked of one document."""

    answer: str
    question: str
    pages: tuple[int, ...] | None  # that the answer was read from; None: all
    wanted: EvidenceConfig


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """Characters ``[offset, offset + length)`` of the document's text, for a part of the answer."""

    answer_start: int
    answer_stop: int
    text: str
    offset: int
    length: int
    regions: tuple[Region, ...]
    similarity: float
    num_occurrences: int
    context: float  # how much of what was asked stands around it: the greater, the likelier
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class DocumentEvidence:
    """What one document says. ``values`` are in the order of :func:`~glyph_core.evidence.values.values_of`."""

    has_text: bool  # on each of the pages that the answer was read from
    passages: tuple[CitedPassage, ...] = ()
    values: tuple[Found, ...] = ()


def words_before(text: str, offset: int) -> str:
    """The words that lead to ``offset`` in its paragraph, :data:`MAX_AROUND_CHARS` at most, white space as blanks."""
    near = text[max(0, offset - MAX_AROUND_CHARS) : offset]
    paragraph = BLANK_LINE.split(near)[-1]
    if len(paragraph) == MAX_AROUND_CHARS and not text[offset - len(paragraph) - 1 : offset - len(paragraph)].isspace():
        paragraph = paragraph.partition(" ")[2]  # it began within a word
    return " ".join(paragraph.split())


def words_after(text: str, offset: int) -> str:
    """The same of those that follow."""
    near = text[offset : offset + MAX_AROUND_CHARS]
    paragraph = BLANK_LINE.split(near)[0]
    end = offset + len(paragraph)
    if len(paragraph) == MAX_AROUND_CHARS and not text[end : end + 1].isspace():
        paragraph = paragraph.rpartition(" ")[0]
    return " ".join(paragraph.split())


class EvidenceFinder:
    """Thread-safe. Remembers the folded texts of the documents that were asked about last."""

    def __init__(self, renderer: PlacedDocuments, max_documents: int = 8) -> None:
        self._renderer, self._max_documents = renderer, max_documents
        self._texts: OrderedDict[str, SourceText] = OrderedDict()  # by what their pages are made of
        self._lock = threading.Lock()

    def find(self, document: DocumentSource, query: EvidenceQuery) -> DocumentEvidence:
        """Raises the errors of reading and laying out ``document``."""
        text = self._text(document)
        bounds = text.bounds_of(query.pages)
        if not any(start < stop and text.text[start:stop].strip() for start, stop in bounds):
            return DocumentEvidence(has_text=False)
        values = [(value, look_up(text, value, bounds)) for value in values_of(query.answer)]
        passages = passages_of(text, query.answer, query.question, bounds, values) if query.wanted.citations else []
        cited = tuple(self._cited(document, text, passage) for passage in passages)
        # Where a page shows no text, as a scan does, what is missing from the text may stand there.
        has_text = all(start < stop for start, stop in text.ranges[list(query.pages or range(len(text.ranges)))])
        return DocumentEvidence(has_text, cited, tuple(what for _, what in values))

    def _cited(self, document: DocumentSource, text: SourceText, passage: Passage) -> CitedPassage:
        quoted = " ".join(text.text[passage.start : passage.stop].split())
        return CitedPassage(
            answer_start=passage.answer_start,
            answer_stop=passage.answer_stop,
            text=quoted if len(quoted) <= MAX_TEXT_CHARS else quoted[: MAX_TEXT_CHARS - 1] + "…",
            offset=passage.start,
            length=passage.stop - passage.start,
            regions=regions_of(self._renderer, document, text, passage.start, passage.stop),
            similarity=passage.similarity,
            num_occurrences=passage.num_occurrences,
            context=passage.context,
            before=words_before(text.text, passage.start),
            after=words_after(text.text, passage.stop),
        )

    def _text(self, document: DocumentSource) -> SourceText:
        key = drawn_digest(document.name, document.digest)
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        text = SourceText(self._renderer.text(document), self._renderer.text_ranges(document))
        with self._lock:
            self._texts[key] = text
            while len(self._texts) > self._max_documents:
                self._texts.popitem(last=False)
        return text
