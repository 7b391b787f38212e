"""Where the findings of a long document's windows stand, and which of their pages are read together."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from glyph_core.answering.combination import Verdict
from glyph_core.answering.demands import Demand, LookUp
from glyph_core.answering.inquiry import Inquiry
from glyph_core.answering.windows import Selection
from glyph_core.config import EvidenceConfig, RenderConfig
from glyph_core.evidence.finder import DocumentEvidence, EvidenceQuery

CITED_PAGES = 2  # of a finding, that are read together with others'
STANDS = 0.75  # similarity from which on words stand on a page, rather than some of them here and there
LOOKED_UP = 4  # times as many findings as are told
WHERE = EvidenceConfig(citations=True, grounding="off")

Located = list[list[tuple[int, int]]]  # of each finding, documents and page indices


def locate(
    verdict: Verdict, max_candidates: int, question: str, render: RenderConfig
) -> Generator[Demand, Any, tuple[Verdict, Located]]:
    """The verdict, and for each of its first findings the pages that it stands on; none where that is not known.

    Of a model whose confidences are no probabilities and that has no fixed words for a vain search, those findings
    come first whose words stand on the pages: "I could not find it" is none.
    """
    found = verdict.found[: LOOKED_UP * max_candidates]
    asked = [
        (number, document, EvidenceQuery(weighed.answer.text, question, pages, WHERE))
        for number, weighed in enumerate(found)
        for document, pages in enumerate(weighed.answer.pages_read)
        if pages
    ]
    told: list[DocumentEvidence] | str = yield LookUp(tuple(ask[1:] for ask in asked), render)
    located: Located = [[] for _ in found]
    if isinstance(told, str):
        return verdict, located
    stands = [False] * len(found)
    for (number, document, query), evidence in zip(asked, told, strict=True):
        pages = [region.page_index for passage in evidence.passages for region in passage.regions]
        stands[number] |= any(passage.similarity >= STANDS for passage in evidence.passages)
        pages = list(dict.fromkeys(pages))[:CITED_PAGES]
        if not evidence.has_text and not pages:  # a scan: it may stand on any of them
            pages = list(query.pages or ())
        located[number] += [(document, page) for page in pages]
    if any(stands) and not found[0].answer.confidence_is_calibrated:
        order = sorted(range(len(found)), key=lambda number: not stands[number])
        verdict = replace(verdict, found=(*(found[n] for n in order), *verdict.found[len(found) :]))
        located = [located[number] for number in order]
    return verdict, located


def pages_together(located: Sequence[Sequence[tuple[int, int]]], inquiry: Inquiry) -> tuple[Selection, int]:
    """Pages of the first findings, as many findings as one window of ``inquiry`` holds, and how many those are."""
    chosen: list[set[int]] = [set() for _ in inquiry.plans]
    num_shown = 0
    for pages in located:
        wider = [set(positions) for positions in chosen]
        for document, page in pages:
            wider[document].add(inquiry.position(document, page))
        if not pages or not inquiry.fits([sorted(positions) for positions in wider]):
            break
        chosen, num_shown = wider, num_shown + 1
    return [sorted(positions) for positions in chosen], num_shown
