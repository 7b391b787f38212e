"""Windows hold every page, in order, within their bounds, and overlap where there is room for it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from glyph_core.answering.windows import Selection, split_into_windows

SIZES = st.lists(st.lists(st.integers(1, 50), max_size=12), max_size=4)
MAX_PAGES = st.one_of(st.none(), st.integers(1, 6))


def shown_in(window: Selection) -> list[tuple[int, int]]:
    return [(document, page) for document, pages in enumerate(window) for page in pages]


@given(SIZES, st.integers(1, 120), MAX_PAGES, st.integers(0, 3))
def test_windows_cover_all_pages_in_order(
    num_tokens: list[list[int]], max_tokens: int, max_pages: int | None, overlap_pages: int
) -> None:
    windows = split_into_windows(num_tokens, max_tokens, max_pages, overlap_pages)
    firsts = dict.fromkeys(page for window in windows for page in shown_in(window))
    assert list(firsts) == [(d, p) for d, pages in enumerate(num_tokens) for p in range(len(pages))]
    for window in windows:
        taken = [num_tokens[d][p] for d, p in shown_in(window)]
        assert len(taken) <= 1 or (sum(taken) <= max_tokens and (max_pages is None or len(taken) <= max_pages))


@given(SIZES, st.integers(1, 120), MAX_PAGES, st.integers(0, 3))
def test_no_window_holds_a_part_of_a_document_beside_another(
    num_tokens: list[list[int]], max_tokens: int, max_pages: int | None, overlap_pages: int
) -> None:
    for window in split_into_windows(num_tokens, max_tokens, max_pages, overlap_pages):
        documents = {document for document, _ in shown_in(window)}
        for document in documents if len(documents) > 1 else ():
            assert list(window[document]) == list(range(len(num_tokens[document])))


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(1, 120), MAX_PAGES, st.integers(0, 3))
def test_what_is_shared_is_as_much_as_there_is_room_for(
    sizes: list[int], max_tokens: int, max_pages: int | None, overlap_pages: int
) -> None:
    windows = [list(window[0]) for window in split_into_windows([sizes], max_tokens, max_pages, overlap_pages)]
    for before, after in pairwise(windows):
        assert after[-1] > before[-1]
        shared = len(set(before) & set(after))
        assert shared <= overlap_pages
        wider = [after[0] - 1, *range(after[0], before[-1] + 2)]  # one more shared page and one new page
        taken = [sizes[page] for page in wider]
        is_full = sum(taken) > max_tokens or (max_pages is not None and len(taken) > max_pages)
        assert shared == overlap_pages or is_full or after[0] - 1 == before[0]


def test_four_pages_of_which_windows_share_one() -> None:
    windows = split_into_windows([[1] * 10], 100, 4, 1)
    assert [list(window[0]) for window in windows] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]


def test_a_request_without_pages_has_one_empty_window() -> None:
    assert split_into_windows([], 10, None) == [[]]
    assert [list(map(list, window)) for window in split_into_windows([[], []], 10, None)] == [[[], []]]
