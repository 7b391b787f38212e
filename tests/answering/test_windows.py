"""Windows hold every page once, in order, within their bounds; the best of their answers is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_core.answering.windows import combine, split_into_windows
from glyph_core.types import Answer, Timings, Usage


@given(
    st.lists(st.lists(st.integers(1, 50), max_size=12), max_size=4),
    st.integers(1, 120),
    st.one_of(st.none(), st.integers(1, 6)),
)
def test_windows_cover_all_pages_in_order(num_tokens: list[list[int]], max_tokens: int, max_pages: int | None) -> None:
    windows = split_into_windows(num_tokens, max_tokens, max_pages)
    shown = [(d, p) for window in windows for d, pages in enumerate(window) for p in pages]
    assert shown == [(d, p) for d, pages in enumerate(num_tokens) for p in range(len(pages))]
    for window in windows:
        taken = [num_tokens[d][p] for d, pages in enumerate(window) for p in pages]
        assert len(taken) <= 1 or (sum(taken) <= max_tokens and (max_pages is None or len(taken) <= max_pages))


def test_a_request_without_pages_has_one_empty_window() -> None:
    assert split_into_windows([], 10, None) == [[]]


def answer(text: str, confidence: float) -> Answer:
    return Answer(
        text=text,
        finish_reason="stop",
        token_ids=(1,),
        usage=Usage(10, 1, 8, 2, 100),
        timings=Timings(),
        num_pages=3,
        confidence=confidence,
    )


def test_the_most_confident_finding_wins() -> None:
    best = combine([answer("not stated", 0.99), answer("blue", 0.6), answer("red", 0.8)], "not stated")
    assert (best.text, best.num_pages) == ("red", 9)
    assert best.usage == Usage(30, 3, 24, 6, 100)
    assert "3 windows" in best.warnings[0]


def test_nothing_found_anywhere_is_as_sure_as_all_windows_together() -> None:
    nothing = combine([answer("not stated", 0.7), answer("not stated", 0.9)], "not stated")
    assert (nothing.text, nothing.confidence) == ("not stated", pytest.approx(0.63))


def test_one_window_is_the_answer_itself() -> None:
    only = replace(answer("blue", 0.6), warnings=("w",))
    assert combine([only], None) is only
