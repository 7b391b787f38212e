"""Confidence: monotone in every token, a probability, and never sure of nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_core.answering.confidence import calibrated, mean_probability
from glyph_core.model.declaration import Calibration

CALIBRATION = Calibration(bias=-1.0, weakest_token=0.6, whole_answer=0.4, absent=0.5)
LOGPROBS = st.lists(st.floats(-30, 0), min_size=1, max_size=20)


@given(LOGPROBS, st.integers(0, 19), st.floats(0, 10))
def test_a_likelier_token_never_lowers_it(logprobs: list[float], index: int, gain: float) -> None:
    likelier = list(logprobs)
    likelier[index % len(logprobs)] = min(0.0, likelier[index % len(logprobs)] + gain)
    before, after = (calibrated(CALIBRATION, tokens, is_absent=False) for tokens in (logprobs, likelier))
    assert 0 < before <= after + 1e-12
    assert after < 1


def test_one_unlikely_token_counts_however_long_the_answer() -> None:
    sure = [-1e-4] * 60
    assert calibrated(CALIBRATION, sure, is_absent=False) > 0.9
    assert calibrated(CALIBRATION, [*sure, math.log(0.3)], is_absent=False) < 0.3
    assert mean_probability([*sure, math.log(0.3)]) > 0.95  # which is why the mean does not do


def test_the_model_s_own_odds_come_through() -> None:
    plain = Calibration(bias=0.0, weakest_token=1.0, whole_answer=0.0)
    assert calibrated(plain, [math.log(0.8)], is_absent=False) == pytest.approx(0.8)
    shifted = plain.model_copy(update={"absent": math.log(2)})
    assert calibrated(shifted, [math.log(0.5)], is_absent=True) == pytest.approx(2 / 3)


def test_no_token_no_confidence() -> None:
    assert calibrated(CALIBRATION, [], is_absent=False) == mean_probability([]) == 0.0
