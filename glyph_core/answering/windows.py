"""Documents of more pages than a model reads at once: windows of whole pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

Selection = Sequence[Sequence[int]]  # for each document, the indices of its pages that a prompt shows, ascending


def split_into_windows(
    num_tokens: Sequence[Sequence[int]], max_tokens: int, max_pages: int | None, overlap_pages: int = 0
) -> list[Selection]:
    """Windows that show every page.

    ``num_tokens[d][p]`` is what page p of document d takes of a prompt. A window holds at most ``max_tokens`` of them
    and at most ``max_pages`` pages. Documents that fit as wholes stand together, in their order; one that fits no
    window has windows of its own, each of which begins with the last ``overlap_pages`` pages of the one before, or with
    fewer where those leave no room for a new page. A page that is too large by itself is a window of its own, which the
    engine will refuse with the numbers. There is always a window, if only an empty one.
    """

    def fits(pages: Sequence[int]) -> bool:
        return sum(pages) <= max_tokens and (max_pages is None or len(pages) <= max_pages)

    def shown(document: int, pages: range) -> Selection:
        return [pages if number == document else () for number in range(len(num_tokens))]

    windows: list[Selection] = []
    together: list[int] = []  # documents that share the window in the making
    for document, pages in enumerate(num_tokens):
        if not fits([*(taken for other in together for taken in num_tokens[other]), *pages]):
            windows += [_wholes(num_tokens, together)] if together else []
            together = []
        if fits(pages):
            together.append(document)
        else:
            windows += [shown(document, window) for window in _cut(pages, fits, overlap_pages)]
    return [*windows, _wholes(num_tokens, together)] if together or not windows else windows


def _wholes(num_tokens: Sequence[Sequence[int]], documents: Sequence[int]) -> Selection:
    return [range(len(pages)) if number in documents else () for number, pages in enumerate(num_tokens)]


def _cut(pages: Sequence[int], fits: Callable[[Sequence[int]], bool], overlap_pages: int) -> Iterator[range]:
    """One document's pages; ``fits`` says whether pages of such sizes fit a window."""
    start = stop = 0
    while stop < len(pages):
        stop += 1
        while stop < len(pages) and fits(pages[start : stop + 1]):
            stop += 1
        yield range(start, stop)
        start = max(stop - overlap_pages, start + 1)
        while start < stop and not fits(pages[start : stop + 1]):
            start += 1
