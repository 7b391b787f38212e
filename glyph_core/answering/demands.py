"""What a course asks of whoever drives it: see :mod:`glyph_core.answering.course`."""

from __future__ import annotations

from dataclasses import dataclass

from glyph_core.answering.inquiry import Inquiry
from glyph_core.config import RenderConfig
from glyph_core.evidence.finder import EvidenceQuery
from glyph_core.readings import PagesOfDocuments


@dataclass(frozen=True, slots=True)
class Read:
    """Drive the inquiry until it is finished. Its pages are drawn as ``render`` says. Wants None."""

    inquiry: Inquiry
    render: RenderConfig


@dataclass(frozen=True, slots=True)
class Count:
    """Wants a TokenCount: what the documents' text would have cost as tokens."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Wants a list of DocumentEvidence, one for each (index of a document, query), or why there is none, as a sentence.

    Regions are of pages that are drawn as ``render`` says."""

    asked: tuple[tuple[int, EvidenceQuery], ...]
    render: RenderConfig


@dataclass(frozen=True, slots=True)
class Enlarge:
    """Wants a list of DocumentPlan, one for each document, or why there is none, as a sentence: of its pages as
    ``larger`` draws them, those alone that show what ``pages`` (page indices) show as ``render`` draws them."""

    pages: PagesOfDocuments
    render: RenderConfig
    larger: RenderConfig


Demand = Read | Count | LookUp | Enlarge
