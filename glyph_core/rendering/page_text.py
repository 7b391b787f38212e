"""What can be read on a rendered page: the document's own text, cut where the page is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from glyph_core.rendering.placed import Span


@dataclass(frozen=True, slots=True)
class PageText:
    """The text that stands on a page; empty for a picture.

    ``text`` is the document's, from ``start`` to ``stop``, without what stands on no page or on another. ``spans`` say
    where its lines are; their offsets, too, are the document's.
    """

    page_index: int
    text: str
    start: int
    stop: int
    spans: tuple[Span, ...] = field(default=(), repr=False)


def page_text(text: str, page_index: int, spans: Sequence[Span]) -> PageText:
    """``spans`` are the page's, in any order; ``text`` is the document's."""
    runs: list[tuple[int, int]] = []
    for start, stop in sorted((span.start, span.stop) for span in spans):
        if runs and not text[runs[-1][1] : start].strip():  # nothing between them but spaces and line ends
            runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
        else:
            runs.append((start, stop))
    whole = "\n".join(text[start:stop] for start, stop in runs)
    start, stop = (runs[0][0], runs[-1][1]) if runs else (0, 0)
    return PageText(page_index, whole, start, stop, tuple(spans))
