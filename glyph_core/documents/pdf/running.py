"""Running heads and feet: what stands at the top or the bottom of one page after another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from glyph_core.documents.blocks import Block

if TYPE_CHECKING:  # the parser stays in its own process
    from glyph_core.documents.pdf.pages import ReadPage
    from glyph_core.documents.pdf.paragraphs import Paragraph

_MAX_PARTS = 3  # at each end of a page, and no more than half of them
_REACH = 2  # pages on: heads of left and right pages take turns
_MAX_CHARS = 300
_SAME_HEIGHT_PT = 12.0
_Likeness = tuple[str, int, bool]
_NUMBERS = re.compile(r"\d+|(?<![\w])[ivxlc]+(?![\w])", re.IGNORECASE)
_COUNTS_ON = re.compile(
    r"\s*(?:(?:chapter|section|article|part|clause|schedule|exhibit|annex|appendix)\b|第)", re.IGNORECASE
)


def running_parts(pages: Sequence[ReadPage]) -> set[int]:
    """The ids of the paragraphs of ``pages`` that are running heads or feet.

    One is, where the first or the last paragraphs of a page near it have the same in the same type, figures apart;
    a head also stands as high there, so that a title is none that runs on as a head. A heading that only counts on, as
    "Chapter 2" after "Chapter 1", is none.
    """
    found: set[int] = set()
    for is_foot in (False, True):
        ends = [dict(_end_of(page, is_foot=is_foot)) for page in pages]
        for index, end in enumerate(ends):
            for other in ends[index + 1 : index + 1 + _REACH]:
                for likeness in end.keys() & other.keys():
                    pair = end[likeness], other[likeness]
                    if is_foot or abs(pair[0].box[1] - pair[1].box[1]) < _SAME_HEIGHT_PT:
                        found |= set(map(id, pair))
    return found


def _end_of(page: ReadPage, *, is_foot: bool) -> Iterator[tuple[_Likeness, Paragraph]]:
    """(text without its figures and its type, paragraph) of those at the page's top, or at its bottom."""
    paragraphs = [part for part in page.parts if not isinstance(part, Block)]
    paragraphs.sort(key=lambda part: part.box[3 if is_foot else 1], reverse=is_foot)
    for part in paragraphs[: min(_MAX_PARTS, max(1, len(paragraphs) // 2))]:
        if len(part.text) <= _MAX_CHARS and not _COUNTS_ON.match(part.text):
            text = _NUMBERS.sub("#", " ".join(part.text.split()).casefold())
            yield (text, round(part.size), part.is_bold), part
