"""A confidence that was off is put right, in the mean and in every bin, and never turned round."""

from __future__ import annotations

import math

import numpy as np
import pytest

from glyph_core.answering.confidence import calibrated
from glyph_core.training.calibration import ABSENT_SHARE, fit, halves, probabilities, reliability, separation
from glyph_core.training.reading import Asked, RowResult


def answers(count: int, seed: int, overconfident: float = 3.0) -> list[Asked]:
    """Answers of a model whose log-odds are ``overconfident`` times the truth's, one token being in doubt."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        truth = random.uniform(0.2, 0.999)
        odds = overconfident * math.log(truth / (1 - truth))
        weakest = min(-1e-5, -math.log1p(math.exp(-odds)))
        tokens = [weakest, *(-1e-5 for _ in range(9))]
        right = bool(random.random() < truth)
        made.append(Asked("q", "x", "x" if right else "y", 0.0, sum(tokens) / 10, weakest, 10, 0))
    return made


def test_an_overconfident_model_is_put_right() -> None:
    first, second = halves([RowResult("a", answers(4000, 1)), RowResult("b", answers(1000, 2))])
    calibration = fit(first)
    mean = np.exp(
        [a.mean_logprob for seed, count in ((1, 4000), (2, 1000)) for a in answers(count, seed)[count // 2 :]]
    )
    before, after = reliability(mean, second), reliability(probabilities(second, calibration), second)
    assert before.expected_error > 0.15
    assert after.expected_error < 0.05  # of 2,500 answers, of which 500 count half
    assert before.weight.sum() == pytest.approx(1)
    assert calibration.weakest_token + calibration.whole_answer == pytest.approx(1 / 3, abs=0.06)


def test_what_is_fitted_is_what_answering_computes() -> None:
    sample, _ = halves([RowResult("a", answers(600, 3))])
    calibration = fit(sample)
    ours = probabilities(sample, calibration)
    for asked, probability in zip(answers(600, 3)[:300], ours, strict=True):
        tokens = [asked.min_logprob, *(-1e-5 for _ in range(9))]
        assert calibrated(calibration, tokens, is_absent=False) == pytest.approx(probability, abs=1e-6)


def test_slopes_never_turn_round() -> None:
    """Here the surer answers are the wrong ones: the best that is allowed is to say the same of all."""
    turned = [
        Asked("q", "x", "x" if a.answer == "y" else "y", 0.0, a.mean_logprob, a.min_logprob, 10, 0)
        for a in answers(1000, 5)
    ]
    calibration = fit(halves([RowResult("a", turned)])[0])
    assert 0 <= calibration.weakest_token + calibration.whole_answer < 0.05


def test_rows_count_alike_and_absent_ones_a_fifth() -> None:
    rows = [RowResult("a", answers(100, 1)), RowResult("b", answers(1000, 2))]
    sample, _ = halves(rows)
    assert sample.weights[:50].sum() == pytest.approx(0.5)
    absent = RowResult("c", [Asked("q", "not stated", "not stated", 0.0, -0.1, -0.1, 3, 0)] * 20)
    sample, _ = halves([*rows, absent])
    assert sample.weights[-10:].sum() == pytest.approx(ABSENT_SHARE)
    assert sample.weights.sum() == pytest.approx(1)
    assert halves([absent])[0].weights.sum() == pytest.approx(1)


def test_separation() -> None:
    sample, _ = halves([RowResult("a", answers(400, 1))])
    assert separation(sample.is_right.astype(float), sample) == 1.0
    assert separation(np.zeros(200), sample) == 0.5
